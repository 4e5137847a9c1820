"""What may be asked of an endpoint: what the ledger keeps of it, and what the back end is told."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from taxiway.backends import Bake, EndpointSpec, ModelRef, Resources, Routing, Tls
from taxiway.control import options
from taxiway.control.api import deploy
from taxiway.control.client import EndpointClient
from taxiway.control.ledger import Ledger, ledger
from taxiway.control.reconcile import specification
from taxiway.control.tables import EndpointRow
from taxiway.errors import InputError
from tests.control.agents import Agents
from tests.control.rows import endpoint_row


@pytest.fixture
def pems(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "server.pem", tmp_path / "server.key"
    for path in paths:
        path.write_text("PEM")
    return paths


def spec(given: dict[str, Any]) -> EndpointSpec:
    return EndpointSpec("rain", Routing(ModelRef("rain", "one", Path("/nowhere"))), **options.fields(given))


def test_nothing_given_is_the_specifications_own_default() -> None:
    plain = EndpointSpec("rain", Routing(ModelRef("rain", "one", Path("/nowhere"))))
    assert options.merge({}) == {}
    assert spec({}) == plain
    assert options.fields(None) == options.fields({})


def test_what_is_given_comes_through_the_ledger_to_the_back_end(
    ledger_url: str, tmp_path: Path, pems: tuple[Path, Path]
) -> None:
    wanted = options.merge(
        {},
        host="0.0.0.0",
        uds=tmp_path / "rain.sock",
        cpus=1.5,
        memory="2GiB",
        device="gpu",
        bake=Bake(30, 0.1, 3),
        tls_certificate=pems[0],
        tls_key=pems[1],
    )
    wanted, token = options.with_token(wanted)
    book = Ledger(ledger_url)
    with book.transaction() as session:
        session.add(endpoint_row("rain", options=wanted))
    with book.reading() as session:
        stored = session.get_one(EndpointRow, "rain").options
    told = spec(stored)
    assert (told.host, told.device, told.uds) == ("0.0.0.0", "gpu", tmp_path / "rain.sock")
    assert told.limits == Resources(1.5, 2 * 1024**3)
    assert told.bake == Bake(30, 0.1, 3)
    assert told.tls == Tls(*pems)
    assert told.token_hash == hashlib.sha256(token.encode()).hexdigest()
    assert token not in str(stored)


def test_what_is_not_given_stays_and_nought_takes_away(tmp_path: Path, pems: tuple[Path, Path]) -> None:
    full = options.merge(
        {}, cpus=2, memory=10**9, bake=60, uds=tmp_path / "s", tls_certificate=pems[0], tls_key=pems[1]
    )
    assert options.merge(full) == full
    assert options.merge(full, device="cpu") == {**full, "device": "cpu"}
    none = options.merge(full, cpus=0, memory=0, bake=0, uds="", tls_certificate="", tls_key="")
    assert none == {}


@pytest.mark.parametrize(
    ("text", "size"), [("512MB", 512 * 10**6), ("1.5 GiB", 1.5 * 2**30), ("64k", 64_000), (100, 100)]
)
def test_amounts_of_memory(text: str | int, size: float) -> None:
    assert options.merge({}, memory=text) == {"memory_bytes": size}


@pytest.mark.parametrize(
    "given",
    [
        {"memory": "much"},
        {"memory": "-1GB"},
        {"cpus": -1.0},
        {"cpus": float("inf")},
        {"cpus": float("nan")},
        {"device": "tpu"},
        {"bake": -1.0},
        {"bake": Bake(60, 2.0)},
        {"bake": Bake(60, 0.1, 0.5)},
        {"tls_key": "only"},
        {"tls_certificate": "/no/where", "tls_key": "/no/where"},
        {"uds": "/no/where/socket"},
        {"uds": "/tmp/" + "x" * 100},
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(given: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        options.merge({}, **given)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "127.0.0.2"}, False),
        ({"host": "::1"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "::"}, True),
        ({"host": "10.0.0.1"}, True),
        ({"host": "server.example"}, True),
        ({"host": "0.0.0.0", "uds": "/tmp/socket"}, False),
    ],
)
def test_whoever_can_be_reached_from_elsewhere_needs_a_token(given: dict[str, Any], needed: bool) -> None:
    assert options.needs_token(given) is needed


def test_deploy_shows_a_token_once_and_keeps_its_hash(
    agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taxiway.control.agent_process.start", lambda: None)

    def ask(**more: Any) -> str:
        return deploy(agents.tags[0], to="fake", endpoint="rain", wait=False, **more).token

    assert ask() == ""
    first = ask(host="0.0.0.0", cpus=0.5)
    assert len(first) > 40
    assert ask(memory="1GB") == ""  # it has one
    told = specification(agents.row("rain"))
    assert told.token_hash == hashlib.sha256(first.encode()).hexdigest()
    assert told.limits == Resources(0.5, 10**9)
    second = ask(new_token=True, port=8123)
    assert second not in ("", first)
    assert specification(agents.row("rain")).port == 8123
    for token in (first, second):
        for path in agents.home.glob("ledger*"):
            assert token.encode() not in path.read_bytes()
    assert ledger().engine.dialect.name == "sqlite"


def test_the_client_sends_the_token() -> None:
    client = EndpointClient("http://127.0.0.1:9", token="abc")
    assert client._http.headers["authorization"] == "Bearer abc"
    assert "authorization" not in EndpointClient("http://127.0.0.1:9")._http.headers
