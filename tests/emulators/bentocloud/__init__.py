"""BentoCloud as it can be had without an account: driven by the real bentoml client only.

The stores and the control plane are emulated; what a deployment runs is real: the pushed Bento as a process,
behind the deployment's URL.

Where BentoCloud's behaviour is not documented, this takes what asks more of a back end: an update without
labels loses them, a name is taken until its deployment is deleted, only what is terminated can be deleted,
the URL is told once something has answered behind it, values of secrets are never shown, and a 500 hides its
status behind a trace id. Replicas are as many as the least and do not grow with the load.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Literal

from starlette.applications import Starlette

from tests.emulators.bentocloud.control import Control
from tests.emulators.bentocloud.deployment import Deployment
from tests.emulators.bentocloud.images import Images
from tests.emulators.bentocloud.listener import Listener, Loop
from tests.emulators.bentocloud.logs import Logs
from tests.emulators.bentocloud.nursery import Nursery
from tests.emulators.bentocloud.organization import Organization
from tests.emulators.bentocloud.shapes import CLUSTERS
from tests.emulators.bentocloud.shelf import Shelf
from tests.emulators.bentocloud.site import Site
from tests.emulators.bentocloud.uploads import Uploads

Strategy = Literal["presigned_url", "proxy"] | None


class BentoCloudEmulator:
    """Start it by entering it; everything that it runs ends with it.

    Parameters
    ----------
    folder
        For uploads, images, and the replicas' homes and logs.
    strategy
        How the client uploads: None for one presigned PUT, ``presigned_url`` for parts, ``proxy`` through the
        API itself.
    life
        Seconds that a deployment is at least image-building, deploying or terminating.
    second
        How long one second of BentoCloud's own waits (idle time, cold start) takes here.
    startup
        Seconds for a replica's first probe.
    """

    def __init__(
        self, folder: Path, *, strategy: Strategy = None, life: float = 0.1,
        second: float = 1.0, startup: float = 60.0,
    ) -> None:  # fmt: skip
        self.folder, self._strategy = folder, strategy
        self._timing = (life, second, startup)

    def __enter__(self) -> BentoCloudEmulator:
        self.folder.mkdir(parents=True, exist_ok=True)
        shelf, nursery = Shelf(self.folder / "uploads", self._strategy), Nursery(self.folder / "nursery.log")
        self._site = site = Site(self.folder, shelf, nursery, *self._timing)
        images = Images(site)
        parts = (Organization(site), Uploads(site), Control(site, images), Logs(site, images))
        self._loop = Loop()
        self._listener = Listener(Starlette(routes=[route for part in parts for route in part.routes()]))
        site.url = self._listener.url
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        for deployment in self._site.deployments.values():
            self._loop.run(deployment.close())
        self._listener.close()
        self._loop.close()
        self._site.nursery.close()

    # What tests read

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which bentoml, and a back end, reach this and nothing else."""
        return {
            "BENTO_CLOUD_API_KEY": self._site.token,
            "BENTO_CLOUD_API_ENDPOINT": self._site.url,
            "BENTOML_DO_NOT_TRACK": "True",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def account(self) -> dict[str, list[str]]:
        """The names of all there is: for the test that nothing was left behind."""
        shelf = self._site.shelf
        return {
            "bento_repositories": sorted(one.resource.name for one in shelf.repositories("bento")),
            "model_repositories": sorted(one.resource.name for one in shelf.repositories("model")),
            "bentos": sorted(one.tag for one in shelf.artifacts("bento")),
            "models": sorted(one.tag for one in shelf.artifacts("model")),
            "deployments": sorted(name for _cluster, name in self._site.deployments),
            "secrets": sorted(self._site.secret_items),
        }

    def calls(self) -> list[str]:
        """What was asked for, in order, named as the methods of bentoml's REST client."""
        return list(self._site.calls)

    def deployment(self, name: str, cluster: str = CLUSTERS[0]) -> Deployment:
        """One, as it is inside: status, revisions, requests that reached it."""
        return self._site.deployments[cluster, name]

    def processes(self, name: str) -> list[int]:
        """The ids of a deployment's live replicas."""
        replicas = [one for fleet in self.deployment(name).fleets.values() for one in fleet.replicas]
        return [one.pid for one in replicas if one.alive and one.pid is not None]

    # What tests plant

    def transmit(self, strategy: Strategy) -> None:
        """How the client uploads and downloads from now on."""
        self._site.shelf.strategy = strategy

    def fail_next(self, operation: str, status: int, times: int = 1, message: str | None = None) -> None:
        """Let the next calls of an operation (``create_deployment``, ``put_object``, ``*``) fail."""
        self._site.faults.plant(operation, status, times, message)

    def lose_next(self, operation: str, times: int = 1) -> None:
        """Do what the next calls of an operation say, but cut the connection instead of answering."""
        self._site.faults.lose(operation, times)

    def answer_next(self, operation: str, content: bytes) -> None:
        """Answer the next call of an operation with this, whatever it asks for."""
        self._site.faults.answers[operation] = content

    def forbid(self, operation: str) -> None:
        """Take a permission from the token: 403 until :meth:`release`."""
        self._site.faults.forbidden.add(operation)

    def slow(self, seconds: float, operation: str = "*") -> None:
        """Every call of an operation takes so much longer."""
        self._site.faults.pauses[operation] = seconds

    def slow_upload(self, bytes_per_second: float) -> None:
        """Uploads are taken in no faster."""
        self._site.faults.bytes_per_second = bytes_per_second

    def cut_upload(self, at: float = 0.5, after: int = 0) -> None:
        """Cut the connection of an upload after that share of its bytes, and so many whole ones before it."""
        self._site.faults.cut(at, after)

    def build_fails(self, log_lines: tuple[str, ...] | list[str]) -> None:
        """Images that are needed from now on are built anew, print this, and fail."""
        self._site.faults.build_log = tuple(log_lines)

    def never_ready(self, seconds: float = 1.0) -> None:
        """What starts from now on passes no probe: deploying for so long, then unhealthy."""
        self._site.faults.never_ready = seconds

    def cold_start(self, seconds: float) -> None:
        """Waking from zero takes so much longer."""
        self._site.faults.cold_start = seconds

    def stuck(self, state: str) -> None:
        """Keep deployments in image-building, deploying or terminating."""
        self._site.faults.stuck.add(state)

    def go_on(self, state: str) -> None:
        """Let deployments leave that state again."""
        self._site.faults.stuck.discard(state)

    def quota(self, replicas: int) -> None:
        """The most replicas that the organization may ask for, together."""
        self._site.replicas_allowed = replicas

    def release(self) -> None:
        """Let every planted fault end, but an expired token, a quota, and being down."""
        self._site.faults.end()

    def expire_token(self) -> None:
        """The API token has expired, for the API and for deployments' URLs."""
        self._site.token_expired = True

    def renew_token(self) -> None:
        """The API token is good again."""
        self._site.token_expired = False

    def down(self) -> None:
        """The API refuses connections; what is deployed goes on."""
        self._loop.run(self._listener.stop())

    def up(self) -> None:
        """The API is back, at the same address."""
        self._loop.run(self._listener.start())

    def lose_replica(self, name: str) -> None:
        """Kill one replica of each version, as when its machine dies."""
        for fleet in self.deployment(name).fleets.values():
            fleet.replicas[0].kill()


__all__ = ["BentoCloudEmulator"]
