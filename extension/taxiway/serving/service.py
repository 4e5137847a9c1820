"""What the Service of a Bento runs: one Model, wherever BentoML serves it.

Settings are environment variables, because that is all that the places which run Bentos can set:

``TAXIWAY_TOKEN``
    The bearer token that clients must send.
``TAXIWAY_CONTAINER_OPEN``
    1: without a token, answer everyone, because the network lets only those in who may ask (BentoCloud asks
    for its own token). Else only this machine is answered.
``TAXIWAY_SERVING_OPTIONS``
    Options of ``python -m taxiway.serving`` that say how the Model is run, as on a command line:
    ``--policy``, ``--threads``, ``--device``, ``--batch-…``, ``--max-…``, ``--body-seconds``,
    ``--predict-seconds``, ``--spool-…``.
``TAXIWAY_ROLE``
    ``live`` (the default), or ``shadow``: what the prediction log says that it was.
``TAXIWAY_SPOOL``
    Where the prediction log lies (default: a new folder at each start). Name one where the log is shipped
    too: what a killed worker had not shipped is shipped by the next one from there.
``TAXIWAY_SHIP_TO``, ``TAXIWAY_SHIP_SECONDS``
    See ``taxiway.serving.shipping``. Each worker ships a folder of its own, ``worker-N`` of the spool.
``TAXIWAY_MIRROR_TO``, ``TAXIWAY_MIRROR_TOKEN``
    The address of a candidate, ``https://host``, that gets a copy of each answered request, and the bearer
    token to send there. What it does not answer within 10 s (while it starts from zero, say) is lost to it,
    and counted in ``taxiway_mirrored_total``.
``TAXIWAY_DRAIN_SECONDS``
    Half of it is the longest that SIGTERM waits for shipping (default 15). What BentoML itself waits is
    its own: workers that are not gone 30 s after SIGTERM are killed.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import itertools
import logging
import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import NamedTuple, NoReturn, cast

from taxiway.serving import mirror
from taxiway.serving.admission import hash_token
from taxiway.serving.app import App, Role
from taxiway.serving.destination import Destination
from taxiway.serving.options import add_options, create
from taxiway.serving.shipping import Shipper
from taxiway.serving.variables import DRAIN_SECONDS, SHIP_SECONDS, read_number, read_options

_SECRETS = ("TAXIWAY_TOKEN", "TAXIWAY_MIRROR_TOKEN")

_log = logging.getLogger("taxiway.serving")


class Settings(NamedTuple):
    """What the environment variables say; see the module."""

    options: argparse.Namespace
    role: Role
    token_hash: str | None
    anyone: bool
    spool: str
    ship_to: str
    ship_seconds: float
    candidate: Destination | None
    drain_seconds: float

    @classmethod
    def read(cls, environment: MutableMapping[str, str]) -> Settings:
        """Read them; secrets are taken out, so that no child process inherits them.

        Raises
        ------
        ValueError
            One cannot be used.
        """
        token, mirror_token = (environment.pop(name, "").strip() for name in _SECRETS)
        role = environment.get("TAXIWAY_ROLE") or "live"
        if role not in ("live", "shadow"):
            raise ValueError(f"TAXIWAY_ROLE is {role!r}: set it to live or shadow")
        return cls(
            _read_options(environment),
            cast(Role, role),
            hash_token(token) if token else None,
            environment.get("TAXIWAY_CONTAINER_OPEN") == "1",
            environment.get("TAXIWAY_SPOOL", ""),
            environment.get("TAXIWAY_SHIP_TO", ""),
            read_number(environment, "TAXIWAY_SHIP_SECONDS", SHIP_SECONDS),
            _candidate(environment.get("TAXIWAY_MIRROR_TO", ""), mirror_token),
            read_number(environment, "TAXIWAY_DRAIN_SECONDS", DRAIN_SECONDS),
        )


class BentoService:
    """Serves one Model until it is stopped.

    Parameters
    ----------
    model
        The Model's folder.
    environment
        Secrets are taken out of it.

    Attributes
    ----------
    app
        The ASGI callable.

    Raises
    ------
    ModelError, OSError, ValueError
        The Model cannot be served, or a setting cannot be used.
    """

    def __init__(self, model: Path, environment: MutableMapping[str, str] = os.environ) -> None:
        settings = self._settings = Settings.read(environment)
        spool = _spool(settings)
        self.app: App = create(
            settings.options,
            model,
            spool,
            settings.role,
            token_hash=settings.token_hash,
            anyone=settings.anyone,
        )
        self._shipper = (
            Shipper(spool, settings.ship_to, seconds=settings.ship_seconds) if settings.ship_to else None
        )

    async def start(self) -> None:
        """Mirror and ship from now on."""
        self.app.mirror.direct(self._settings.candidate)
        if self._shipper is not None:
            self._shipper.start()

    async def stop(self) -> None:
        """Mirror and ship what is left: the last request has been answered."""
        await self.app.mirror.drain(mirror.DRAIN_SECONDS)
        self.app.close()
        if self._shipper is not None:
            await asyncio.to_thread(self._shipper.close, self._settings.drain_seconds / 2)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"TAXIWAY_SERVING_OPTIONS cannot be used in a Bento: {message}")


def _read_options(environment: MutableMapping[str, str]) -> argparse.Namespace:
    parser = _Parser(add_help=False)
    add_options(parser)
    return parser.parse_args(read_options(environment))


def _candidate(address: str, token: str) -> Destination | None:
    if not address:
        return None
    try:
        if "://" not in address:
            raise ValueError("it is neither https://… nor http://…")
        return Destination(address, token)
    except ValueError as error:
        raise ValueError(f"TAXIWAY_MIRROR_TO cannot be used: {error}") from None


def _spool(settings: Settings) -> Path:
    """Give the folder of this worker's prediction log."""
    if not settings.spool:
        spool = tempfile.mkdtemp(prefix="taxiway-spool-")
        if not settings.ship_to:
            _log.warning(
                "the prediction log goes to %s, which is new at each start and read by nobody: "
                "set TAXIWAY_SPOOL to a folder that stays",
                spool,
            )
        return Path(spool)
    return _claim(Path(settings.spool)) if settings.ship_to else Path(settings.spool)


def _claim(folder: Path) -> Path:
    """Give the first of a folder's parts that no living worker has, with what was left in it."""
    for number in itertools.count():
        part = folder / f"worker-{number}"
        part.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(part / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return part  # it is locked for as long as this process lives
    raise AssertionError
