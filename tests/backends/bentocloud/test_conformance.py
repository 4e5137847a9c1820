"""The BentoCloud back end keeps what every back end promises."""

from __future__ import annotations

import pytest

from tests.backends.bentocloud.conftest import Endpoint
from tests.backends.conformance import Conformance


class TestBentoCloudBackend(Conformance):
    """It does."""

    @pytest.fixture
    def subject(self, endpoint: Endpoint) -> Endpoint:
        return endpoint
