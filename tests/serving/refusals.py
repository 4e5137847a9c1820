"""How a process refuses a body, and that it lives on."""

from __future__ import annotations

import httpx

from tests.models import BuiltModel
from tests.serving.conftest import Served


def expect(response: httpx.Response, status: int, what: object) -> None:
    assert response.status_code == status, (what, response.text[:500])
    if status != 200:
        assert response.json()["error"], what
        assert response.json()["hint"], what


def still_sound(process: Served, iris: BuiltModel) -> None:
    assert process.post("/predict", iris.rows(1)).status_code == 200
    assert process.process.poll() is None
    assert "taxiway_ready 1" in process.get("/metrics").text
