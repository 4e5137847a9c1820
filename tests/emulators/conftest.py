"""What the tests of emulators share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.emulators.bentocloud.tenant import Tenant


@pytest.fixture(scope="session")
def _tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    from tests.emulators.bentocloud.tenant import alive, tenant
    from tests.waiting import wait_until

    with tenant(tmp_path_factory.mktemp("bentocloud")) as made:
        yield made
        running = [pid for name in made.names() for pid in made.cloud.processes(name)]
    wait_until(lambda: not any(alive(pid) for pid in running), "replicas to end with the emulator", 10)


@pytest.fixture
def tenant(_tenant: Tenant) -> Iterator[Tenant]:
    """One organization of BentoCloud for all tests, the tiny Bento pushed; nothing planted stays."""
    with _tenant.at_home():
        if not _tenant.cloud.account()["bentos"]:
            _tenant.push()
        yield _tenant
    _tenant.cloud.release()
    _tenant.cloud.renew_token()
    _tenant.cloud.transmit(None)
    _tenant.cloud.quota(20)
