"""What every part of the emulator shares: settings, keys, faults, and AWS as seen from inside."""

from __future__ import annotations

import functools
import itertools
import random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.emulators.sagemaker.faults import Faults
from tests.emulators.sagemaker.keys import PATH, Keys

if TYPE_CHECKING:
    from tests.emulators.registry import Registry


@dataclass
class Site:
    """See the module.

    Parameters
    ----------
    folder
        For models' files.
    docker
        Whether instances are containers.
    life
        Seconds that an endpoint is at least Creating, Updating or Deleting.
    second
        How long one second of AWS's waits (baking, canaries, ``TerminationWaitInSeconds``) takes here.
    startup
        Seconds in which a container must pass its first ping.
    profiles
        Settings of Studio's users, by domain and name, which moto lacks.
    """

    folder: Path
    docker: bool
    registry: Registry | None
    life: float
    second: float
    startup: float
    profiles: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    url: str = ""
    keys: Keys = field(default_factory=Keys)
    faults: Faults = field(default_factory=Faults)
    ended: threading.Event = field(default_factory=threading.Event)
    random: random.Random = field(default_factory=lambda: random.Random(7))
    _numbers: Any = field(default_factory=itertools.count)
    _making: Any = field(default_factory=threading.Lock)

    def number(self) -> int:
        """Never the same twice."""
        return int(next(self._numbers))

    def client(self, service: str, region: str, *, inside: bool = True) -> Any:
        """AWS as SageMaker itself reaches it, where no fault is planted, or as the user does."""
        with self._making:
            return self._client(service, region, self.keys.inside.id if inside else self.keys.user.id)

    @functools.cache  # noqa: B019  (a site lives as long as its emulator)
    def _client(self, service: str, region: str, key_id: str) -> Any:
        import boto3
        from botocore.config import Config

        key = next(key for key in (self.keys.inside, self.keys.user) if key.id == key_id)
        session = boto3.session.Session(key.id, key.secret, region_name=region)
        return session.client(
            service,
            endpoint_url=self.url,
            config=Config(s3={"addressing_style": "path"}, max_pool_connections=50),
        )

    def __hash__(self) -> int:
        return id(self)

    @property
    def pass_word(self) -> Path:
        """The file that a container shows to be given its role's credentials."""
        return self.folder / "pass-word"

    def platform(self, region: str) -> dict[str, str]:
        """What a container finds in its environment: its region, and where its role's keys are."""
        return {
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": self.url + PATH,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self.pass_word),
        }
