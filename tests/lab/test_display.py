"""The static displays: every text escaped, pictures inline, the whole bundle there."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from taxiway.lab.display import ENDPOINT_MIME, MODEL_MIME, endpoint_bundle, model_bundle
from tests.lab import seeds

HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(1)>&\'"'


class Tags(HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


def poisoned(value: object) -> object:
    """Every text of a JSON value made hostile, but for what chooses a branch."""
    if isinstance(value, dict):
        kept = ("state", "role", "result")
        return {key: item if key in kept else poisoned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def test_hostile_texts_stay_texts() -> None:
    state = poisoned(seeds.full())
    assert isinstance(state, dict)
    for page in (
        endpoint_bundle(state["endpoints"]["rain"])["text/html"],
        model_bundle(state["models"][seeds.LIVE])["text/html"],
    ):
        assert isinstance(page, str)
        found = Tags()
        found.feed(page)
        assert "script" not in found.tags
        assert "img" not in found.tags
        assert not [name for name in found.attributes if name.startswith("on")]


def test_an_endpoint_shows_its_drift_and_its_alerts_without_a_script() -> None:
    page = str(endpoint_bundle(seeds.full()["endpoints"]["rain"])["text/html"])
    assert page.count("<svg") == 3
    assert "temp_max" in page
    assert "account_type" in page
    assert "74.1% (71.4% to 76.7%)" in page
    assert "acknowledged" in page


def test_the_bundle_is_json_and_has_all_three_forms() -> None:
    state = seeds.full()
    endpoint = endpoint_bundle(state["endpoints"]["rain"])
    model = model_bundle(state["models"][seeds.LIVE])
    assert set(endpoint) == {ENDPOINT_MIME, "text/html", "text/plain"}
    assert set(model) == {MODEL_MIME, "text/html", "text/plain"}
    json.dumps([endpoint, model], allow_nan=False)
    assert endpoint["text/plain"] == (
        f"Endpoint rain READY at http://127.0.0.1:43111, live {seeds.LIVE}, shadow {seeds.SHADOW}"
    )
    assert model["text/plain"] == f"Model {seeds.LIVE} (preflight passed, 3 checks)"


def test_an_endpoint_without_any_data_shows_itself() -> None:
    bare = {
        "name": "new",
        "status": "PENDING",
        "reason": "starting",
        "windows": [],
        "alerts": [],
        "accuracy": None,
    }
    page = str(endpoint_bundle(bare)["text/html"])
    assert "PENDING: starting" in page
    assert "no outcomes yet" in page
    assert "<svg" not in page


def test_long_tables_are_cut() -> None:
    model = seeds.full()["models"][seeds.LIVE]
    model["signature"]["inputs"] *= 100
    page = str(model_bundle(model)["text/html"])
    assert "and 580 more" in page
    assert len(page) < 20_000
