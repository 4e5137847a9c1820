"""The routes: who may use them, what they answer, and what they say when they cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.lab import seeds
from tests.lab.jupyter import TOKEN, Jupyter

GETS = (
    "overview",
    "stream",
    "endpoints/rain",
    "endpoints/rain/columns/temp_max",
    "endpoints/rain/columns/temp_max/history",
    "models/rain/0123456789ab",
    "profiles?path=a.bin",
    "profiles/comparison?left=a.bin&right=b.bin",
    "profiles/ready",
    "nothing",
)
POSTS = (
    "endpoints/rain/promote",
    "endpoints/rain/rollback",
    "endpoints/rain/shadow",
    "endpoints/rain/shadow/stop",
    "alerts/1/acknowledge",
    "alerts/1/silence",
    "agent/start",
    "agent/stop",
)


def calls(seed: Path) -> list[Any]:
    path = seed.with_name("calls.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def signed_in(jupyter: Jupyter) -> Iterator[httpx.Client]:
    """A browser's session: signed in by a cookie, no token in its requests."""
    with httpx.Client(base_url=jupyter.url, timeout=20) as browser:
        browser.get("/login")
        answer = browser.post("/login", data={"password": TOKEN, "_xsrf": browser.cookies["_xsrf"]})
        assert answer.status_code == 302, answer.text
        yield browser


@pytest.mark.parametrize("path", GETS)
def test_a_get_without_a_token_is_refused(jupyter: Jupyter, path: str) -> None:
    answer = httpx.get(f"{jupyter.url}/taxiway/api/{path}", timeout=20)
    assert answer.status_code in {401, 403}
    assert answer.json()["error"]


@pytest.mark.parametrize("path", POSTS)
def test_a_post_without_a_token_is_refused_and_does_nothing(jupyter: Jupyter, seed: Path, path: str) -> None:
    answer = httpx.post(f"{jupyter.url}/taxiway/api/{path}", json={"model": "a:b", "seconds": 60}, timeout=20)
    assert answer.status_code in {401, 403}
    assert calls(seed) == []


@pytest.mark.parametrize("path", POSTS)
def test_a_post_of_a_signed_in_browser_needs_the_xsrf_token(jupyter: Jupyter, seed: Path, path: str) -> None:
    with signed_in(jupyter) as browser:
        refused = browser.post(f"/taxiway/api/{path}", json={"model": "a:b", "seconds": 60})
        assert refused.status_code == 403
        assert calls(seed) == []
        headers = {"X-XSRFToken": browser.cookies["_xsrf"]}
        assert (
            browser.post(
                f"/taxiway/api/{path}", json={"model": "a:b", "seconds": 60}, headers=headers
            ).status_code
            == 200
        )
    assert len(calls(seed)) == 1


def test_no_route_of_ours_lets_the_unauthenticated_in(jupyter: Jupyter) -> None:
    warned = [
        line
        for line in jupyter.log.splitlines()
        if "JupyterServerAuthWarning" in line or "unauthenticated" in line
    ]
    # by module or by route: the checkout's own folder may be called taxiway
    ours = ("taxiway.lab", "taxiway/lab", "/taxiway/api")
    assert not [line for line in warned if any(name in line for name in ours)]


def test_the_overview_is_what_the_control_plane_says(client: httpx.Client, seed: Path) -> None:
    answer = client.get("overview")
    assert answer.status_code == 200
    assert answer.json() == seeds.full()["overview"]


def test_an_endpoint_and_a_model_are_found_by_name(client: httpx.Client, seed: Path) -> None:
    assert client.get("endpoints/rain").json()["live"] == seeds.LIVE
    assert client.get("models/rain/0123456789ab").json()["tag"] == seeds.LIVE


def test_actions_reach_the_control_plane_with_their_arguments(client: httpx.Client, seed: Path) -> None:
    client.post("endpoints/rain/promote", json={"force": True})
    client.post("endpoints/rain/promote")
    client.post("endpoints/rain/shadow", json={"model": seeds.SHADOW})
    client.post("alerts/7/acknowledge")
    assert calls(seed) == [
        ["promote", "rain", {"force": True}],
        ["promote", "rain", {"force": False}],
        ["start_shadow", "rain", seeds.SHADOW, {}],
        ["acknowledge", 7, {}],
    ]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("NotFoundError", 404),
        ("ConflictError", 409),
        ("InputError", 400),
        ("ParityError", 400),
        ("BackendError", 500),
        ("AgentError", 500),
    ],
)
def test_an_error_is_a_sentence_and_a_hint(client: httpx.Client, seed: Path, kind: str, status: int) -> None:
    failure = {"type": kind, "error": "It cannot be.", "hint": "Try another."}
    seeds.write(seed, seeds.full() | {"failure": failure})
    answer = client.post("endpoints/rain/promote")
    assert answer.status_code == status
    assert answer.json() == {"error": "It cannot be.", "hint": "Try another."}


def test_an_unforeseen_error_is_told_without_a_traceback(client: httpx.Client, seed: Path) -> None:
    seeds.write(seed, seeds.full() | {"failure": {"type": "none", "error": "odd", "hint": ""}})
    answer = client.get("overview")
    assert answer.status_code == 500
    assert "ValueError: odd" in answer.json()["error"]
    assert "Traceback" not in answer.text
    assert answer.json()["hint"]


def test_a_shadow_without_a_model_is_refused(client: httpx.Client, seed: Path) -> None:
    answer = client.post("endpoints/rain/shadow", json={})
    assert answer.status_code == 400
    assert "name:version" in answer.json()["error"]
    assert calls(seed) == []


def test_an_unknown_path_is_a_404_in_json(client: httpx.Client) -> None:
    for path in ("nothing", "alerts/abc/acknowledge", "endpoints/rain/delete"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"]


def test_numbers_that_json_lacks_become_null(client: httpx.Client, seed: Path) -> None:
    state = seeds.full()
    state["endpoints"]["rain"]["accuracy"]["low"] = float("nan")
    seeds.write(seed, state)
    assert client.get("endpoints/rain").json()["accuracy"]["low"] is None
