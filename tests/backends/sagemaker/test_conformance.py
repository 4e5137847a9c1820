"""The SageMaker back end keeps what every back end promises."""

from __future__ import annotations

import pytest

from tests.backends.conformance import Conformance
from tests.backends.sagemaker.conftest import Endpoint


class TestSageMakerBackend(Conformance):
    """It does."""

    @pytest.fixture
    def subject(self, endpoint: Endpoint) -> Endpoint:
        return endpoint
