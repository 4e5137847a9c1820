"""Who tests the emulator: the real client, a BentoML home of its own, and one tiny Bento with a model."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.emulators.bentocloud import BentoCloudEmulator
from tests.emulators.bentocloud.shapes import CLUSTERS, NAMESPACE
from tests.waiting import wait_until

TAG = "tiny:v1"
_SERVICE = '''
import os

import bentoml

if os.environ.get("CRASH"):
    raise RuntimeError("this Bento was told to crash")


@bentoml.service(name="tiny")
class Tiny:
    """Says what it was given, what it is told by its environment, and what its model holds."""

    model = bentoml.models.BentoModel("tiny:v1")

    @bentoml.api
    def answer(self, text: str) -> dict[str, str]:
        print("asked for", text, flush=True)
        word = open(self.model.path_of("word")).read()
        return {"text": text, "said": os.environ.get("SAID", ""), "model": word, "pid": str(os.getpid())}
'''
_BUILD = """
import bentoml

with bentoml.models.create("tiny:v1") as model:
    open(model.path_of("word"), "w").write("hello")
bentoml.bentos.build(
    "tiny_service:Tiny", name="tiny", version="v1", models=["tiny:v1"], include=["*.py"], build_ctx=".",
    python={"lock_packages": False},
)
"""


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def refused(match: str) -> pytest.RaisesExc[Exception]:
    """What bentoml raises for an answer other than 200."""
    from bentoml.exceptions import BentoMLException

    return pytest.raises(BentoMLException, match=match)


class Tenant:
    """A user of the emulator: the shortest way to a deployment and an answer."""

    def __init__(self, cloud: BentoCloudEmulator, home: Path) -> None:
        from bentoml._internal.bento import BentoStore

        self.cloud, self.home = cloud, home
        self.token = cloud.environment["BENTO_CLOUD_API_KEY"]
        self.endpoint = cloud.environment["BENTO_CLOUD_API_ENDPOINT"]
        self._clients: list[Any] = []
        self.http = httpx.Client(timeout=30, verify=False)
        self.client = self.another(self.token)
        self.deployments, self.rest = self.client.deployment, self.client.client
        self.bento = BentoStore(home / "bentos").get(TAG)

    @contextmanager
    def at_home(self) -> Iterator[None]:
        """Let bentoml use this home: for each test, since others in this process set theirs."""
        from bentoml._internal.bento import BentoStore
        from bentoml._internal.configuration.containers import BentoMLContainer
        from bentoml._internal.models import ModelStore

        used = (
            (BentoMLContainer.bento_store, BentoStore(self.home / "nothing")),  # it takes what was pushed
            (BentoMLContainer.model_store, ModelStore(self.home / "models")),
            (BentoMLContainer.tmp_bento_store_dir, str(self.home / "tmp")),
        )
        for provider, value in used:
            provider.set(value)
        try:
            yield
        finally:
            for provider, _ in used:
                provider.reset()

    def another(self, token: str, timeout: float = 10.0) -> Any:
        """A client with a token; closed with the tenant."""
        import bentoml

        made = bentoml.BentoCloudClient(api_key=token, endpoint=self.endpoint, timeout=timeout)  # type: ignore[call-arg]
        self._clients.append(made)
        return made

    def close(self) -> None:
        """Close every client."""
        for client in self._clients:
            client.client.session.close()
        self.http.close()

    def push(self, *, force: bool = False) -> None:
        """The model, then the Bento."""
        self.client.bento.push(self.bento, force=force)

    def parameters(self, **given: Any) -> Any:
        """As ``bentoml.deployment.create`` and ``update`` make them."""
        from bentoml._internal.cloud.deployment import DeploymentConfigParameters

        made = DeploymentConfigParameters(**given)
        made.verify(create="bento" in given, _client=self.rest)
        return made

    def create(self, name: str, **given: Any) -> Any:
        """Ask for a deployment of the Bento."""
        given = {"access_authorization": True, "bento": TAG, **given}
        if said := given.pop("said", None):
            given["envs"] = [{"name": "SAID", "value": said}]
        return self.deployments.create(self.parameters(name=name, **given))

    def update(self, name: str, **given: Any) -> Any:
        """Ask for a change of one."""
        if said := given.pop("said", None):
            given["envs"] = [{"name": "SAID", "value": said}]
        return self.deployments.update(self.parameters(name=name, **given))

    def names(self) -> list[str]:
        """Of all deployments."""
        return [one.name for one in self.deployments.list()]

    def status(self, name: str) -> str:
        """Its status now."""
        return str(self.deployments.get(name).get_status(False).status)

    def until(self, name: str, status: str) -> None:
        """Wait for a status."""
        wait_until(lambda: self.status(name) == status, f"{name} to be {status}")

    def url(self, name: str) -> str:
        """Where it answers."""
        return str(self.deployments.get(name).get_endpoint_urls(False)[0])

    def ask(
        self, name: str, text: str = "x", *, token: str | None = None, query: str = "", **headers: str
    ) -> httpx.Response:
        """One question with the token, by default the account's."""
        headers["authorization"] = f"Bearer {self.token if token is None else token}"
        return self.http.post(f"{self.url(name)}/answer{query}", json={"text": text}, headers=headers)

    def gone(self, name: str) -> None:
        """Terminate and delete it."""
        self.deployments.terminate(name)
        self.until(name, "terminated")
        self.deployments.delete(name)

    def logs(self, pod: str, container: str = "main") -> Iterator[str]:
        """What a pod prints."""
        for line in self.rest.v2.tail_logs(
            cluster_name=CLUSTERS[0], namespace=NAMESPACE, pod_name=pod,
            container_name=container, stop_event=threading.Event(),
        ):  # fmt: skip
            yield base64.b64decode(line).decode()


@contextmanager
def tenant(folder: Path) -> Iterator[Tenant]:
    """A tenant of a new emulator; nothing is pushed yet."""
    home, project = folder / "bentoml", folder / "project"
    project.mkdir(parents=True)
    (project / "tiny_service.py").write_text(_SERVICE)
    environment = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-W", "ignore", "-c", _BUILD]
    built = subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.DEVNULL)
    with warnings.catch_warnings():  # of what bentoml itself is built on, at its first import
        warnings.simplefilter("ignore")
        import _bentoml_sdk.models  # type: ignore[import-untyped]  # noqa: F401
        import bentoml._internal.cloud  # noqa: F401
    with BentoCloudEmulator(folder / "cloud", life=0.2, second=0.02) as cloud:
        assert built.wait(120) == 0
        (home / "tmp").mkdir(exist_ok=True)
        made = Tenant(cloud, home)
        yield made
        made.close()
