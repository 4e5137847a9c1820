"""What environment variables tell a Bento's Service."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from taxiway.serving.service import BentoService, Settings
from taxiway.serving.spool import list_segments, read_segment
from tests.models import BuiltModel


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TAXIWAY_ROLE": "boss"}, "TAXIWAY_ROLE is 'boss': set it to live or shadow"),
        ({"TAXIWAY_SHIP_SECONDS": "often"}, "TAXIWAY_SHIP_SECONDS is 'often', which is no number"),
        ({"TAXIWAY_SERVING_OPTIONS": "--policy 'extra"}, "TAXIWAY_SERVING_OPTIONS cannot be read"),
        # Where it listens is BentoML's to say.
        (
            {"TAXIWAY_SERVING_OPTIONS": "--port 80"},
            "cannot be used in a Bento: unrecognized arguments: --port",
        ),
        ({"TAXIWAY_SERVING_OPTIONS": "--max-rows few"}, "cannot be used in a Bento: argument --max-rows"),
        ({"TAXIWAY_MIRROR_TO": "/tmp/socket"}, "TAXIWAY_MIRROR_TO cannot be used: it is neither https"),
        (
            {"TAXIWAY_MIRROR_TO": "http://far.away", "TAXIWAY_MIRROR_TOKEN": "a"},
            "TAXIWAY_MIRROR_TO cannot be used: it is not https://…, and the token could be read on the way",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_told(environment: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Settings.read(environment)


def test_secrets_are_taken_out_and_shown_nowhere() -> None:
    environment = {
        "TAXIWAY_TOKEN": "s3cret",
        "TAXIWAY_MIRROR_TO": "https://candidate",
        "TAXIWAY_MIRROR_TOKEN": "s3cret too",
    }
    settings = Settings.read(environment)
    assert environment == {"TAXIWAY_MIRROR_TO": "https://candidate"}
    assert "s3cret" not in repr(settings)


def test_without_a_token_only_this_machine_is_answered_unless_it_is_said(
    iris: BuiltModel, tmp_path: Path
) -> None:
    async def ask(**environment: str) -> int:
        service = BentoService(iris.path, {"TAXIWAY_SPOOL": str(tmp_path / "spool"), **environment})
        transport = httpx.ASGITransport(app=service.app, client=("192.0.2.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://endpoint") as client:
            status = (await client.post("/predict", json=iris.rows(1))).status_code
        await service.stop()
        return status

    assert asyncio.run(ask()) == 401
    assert asyncio.run(ask(TAXIWAY_CONTAINER_OPEN="1")) == 200
    assert asyncio.run(ask(TAXIWAY_CONTAINER_OPEN="1", TAXIWAY_TOKEN="s3cret")) == 401


def test_workers_of_one_spool_ship_a_part_each_and_take_over_what_another_left(
    iris: BuiltModel, tmp_path: Path
) -> None:
    store, spool = tmp_path / "store", tmp_path / "spool"
    settings = {
        "TAXIWAY_ROLE": "shadow",
        "TAXIWAY_SPOOL": str(spool),
        "TAXIWAY_SHIP_TO": f"file://{store}",
        "TAXIWAY_SHIP_SECONDS": "3600",
    }
    left = spool / "worker-1" / "shadow-1-1-1.spool"

    async def main() -> None:
        one = BentoService(iris.path, dict(settings))
        transport = httpx.ASGITransport(app=one.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://endpoint") as client:
            await client.post("/predict", json=iris.rows(1), headers={"X-Request-Id": "one"})
        left.parent.mkdir()
        left.write_bytes(next((spool / "worker-0").glob("*.spool")).read_bytes())
        other = BentoService(iris.path, dict(settings))
        for service in (one, other):
            await service.start()
            await service.stop()

    asyncio.run(main())
    assert [path.name for path in sorted(spool.iterdir())] == ["worker-0", "worker-1"]
    assert list(spool.glob("*/*.spool")) == []
    found = [record for path in list_segments(store) for record in read_segment(path)[0]]
    assert [(record["role"], record["request"]) for record in found] == [("shadow", "one")] * 2
    assert len(list_segments(store)) == 2
