from __future__ import annotations

import stat
from pathlib import Path

import psutil
import pytest

from taxiway.backends import Status
from taxiway.errors import BackendError
from taxiway_backends.local import LocalBackend
from tests.backends.conformance import Conformance
from tests.backends.conftest import Endpoint
from tests.conftest import processes_of
from tests.load import Load, ask


class TestLocalBackend(Conformance):
    """The local back end keeps what every back end promises."""

    @pytest.fixture
    def subject(self, endpoint: Endpoint) -> Endpoint:
        return endpoint


def test_the_home_of_the_settings_is_used_by_default(taxiway_home: Path) -> None:
    assert LocalBackend().home == taxiway_home


def test_stopped_it_leaves_no_process_and_comes_back_at_the_same_url(
    endpoint: Endpoint, taxiway_home: Path
) -> None:
    first = endpoint.start(shadow=1)
    assert len(processes_of(taxiway_home)) == 3
    stopped = endpoint.backend.stop(endpoint.ref)
    assert (stopped.status, stopped.native) == (Status.ABSENT, "stopped")
    assert processes_of(taxiway_home) == []
    assert endpoint.start(shadow=1).url == first.url


def test_destroyed_it_leaves_only_the_spool(endpoint: Endpoint, taxiway_home: Path) -> None:
    url = endpoint.start().url
    ask(url, "/predict", endpoint.models[0].rows(1))
    endpoint.backend.destroy(endpoint.ref, token="a")
    assert processes_of(taxiway_home) == []
    assert [entry.name for entry in endpoint.folder.iterdir()] == ["spool"]
    assert len(endpoint.records("live")) == 1


def test_all_that_it_writes_is_its_owners_alone(endpoint: Endpoint) -> None:
    endpoint.start(shadow=1)
    for entry in [endpoint.folder, *endpoint.folder.rglob("*")]:
        mode = stat.S_IMODE(entry.stat().st_mode)
        assert mode == (0o700 if entry.is_dir() else 0o600), f"{entry} has {mode:o}"


def test_it_listens_on_loopback_only(endpoint: Endpoint) -> None:
    endpoint.start()
    addresses = {
        connection.laddr.ip
        for connection in endpoint.worker("live").net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}
    with pytest.raises(BackendError, match="without a token"):
        endpoint.backend.apply(endpoint.spec(host="0.0.0.0"), token="a")


def test_policies_reach_the_serving_process(endpoint: Endpoint) -> None:
    url = endpoint.start().url
    row = endpoint.models[0].rows(1)[0] | {"account_type": "gold"}
    assert ask(url, "/predict", [row])[0] == 200
    endpoint.start(policies={"extra": "reject"})
    assert ask(url, "/predict", [row])[0] == 422


def test_several_workers_serve_and_their_number_can_change_under_load(endpoint: Endpoint) -> None:
    url = endpoint.start().url
    assert url is not None
    with Load(url, endpoint.models[0].rows(150)) as load:
        for workers in (2, 1):
            endpoint.backend.apply(endpoint.spec(workers=workers), token=f"{workers}")
            endpoint.until(lambda seen: (seen.status, seen.replicas) == (Status.READY, workers))  # noqa: B023
            load.wait_for(50)
    assert load.failures == []


def test_a_port_that_is_taken_is_a_failure_that_names_it(endpoint: Endpoint) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        endpoint.backend.apply(endpoint.spec(port=port), token="a")
        seen = endpoint.until(lambda seen: seen.status is Status.FAILED)
        assert str(port) in seen.reason
    endpoint.start(port=port)
