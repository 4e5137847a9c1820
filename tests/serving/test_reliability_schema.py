"""What ``/schema`` allows is answered as ``/schema`` says, and what it does not allow is refused so too."""

from __future__ import annotations

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.serving.conftest import Serve

EXAMPLES = 12
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def test_every_route_keeps_to_the_schema_that_the_endpoint_gives_of_itself(serve: Serve) -> None:
    served = serve()
    schema = schemathesis.openapi.from_url(f"{served.url}/schema")
    session = requests.Session()
    asked = 0
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in operations:
        if "/versions/" in operation.path or "/labels/" in operation.path:
            continue  # the same routes again
        for mode in MODES if operation.body else MODES[:1]:

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Case) -> None:
                nonlocal asked
                asked += 1
                case.call_and_validate(session=session, checks=CHECKS)

            ask()
    session.close()
    assert asked > 120
    assert served.process.poll() is None
