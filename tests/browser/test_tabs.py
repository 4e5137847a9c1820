"""The tabs of an endpoint and of a Model, and what can be done from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Shot, open_panel
from tests.lab import seeds
from tests.lab.jupyter import Jupyter


def open_endpoint(page: Page) -> None:
    open_panel(page)
    page.get_by_title("Open endpoint rain").click()
    expect(page.get_by_role("heading", name="rain", exact=True)).to_be_visible()


def calls(seed: Path) -> list[Any]:
    path = seed.with_name("calls.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_endpoint_shows_its_drift_its_schema_and_its_shadow(
    seeded_lab: Jupyter, seed: Path, open_lab: Open, shot: Shot, theme: str
) -> None:
    page = open_lab(seeded_lab, dark=theme == "dark")
    open_endpoint(page)
    chart = page.get_by_role("group", name="Heat map of drift")
    expect(chart.locator("svg")).to_be_visible()
    expect(chart.locator("svg").get_by_text("temp_max")).to_be_visible()
    expect(page.get_by_role("img", name="Line of accuracy").locator("svg")).to_be_visible()
    expect(page.get_by_role("region", name="Schema changes").get_by_text("account_type")).to_be_visible()
    expect(page.get_by_text("No slice is significantly worse.")).to_be_visible()
    expect(page.get_by_text("74.1% (71.4% to 76.7%)")).to_be_visible()
    page.wait_for_timeout(500)
    shot(page, f"endpoint {theme}")
    chart.scroll_into_view_if_needed()
    shot(page, f"endpoint {theme} charts")
    page.get_by_role("heading", name="Timeline").scroll_into_view_if_needed()
    shot(page, f"endpoint {theme} end")


def test_an_endpoint_fits_a_narrow_place(seeded_lab: Jupyter, seed: Path, open_lab: Open, shot: Shot) -> None:
    page = open_lab(seeded_lab, size={"width": 760, "height": 1000})
    open_endpoint(page)
    expect(page.get_by_role("group", name="Heat map of drift").locator("svg")).to_be_visible()
    page.wait_for_timeout(500)
    view = page.locator(".taxiway-view")
    assert view.evaluate("node => node.scrollWidth <= node.clientWidth + 1")
    shot(page, "endpoint narrow")


def test_a_chart_can_be_read_as_a_table(seeded_lab: Jupyter, seed: Path, open_lab: Open) -> None:
    page = open_lab(seeded_lab)
    open_endpoint(page)
    page.get_by_role("button", name="Show as a table").first.click()
    table = page.get_by_role("region", name="Drift per column and window")
    expect(table.get_by_role("cell", name="Dec 2015").first).to_be_visible()


def test_promote_says_what_will_happen_before_it_does_it(
    seeded_lab: Jupyter, seed: Path, open_lab: Open, shot: Shot
) -> None:
    page = open_lab(seeded_lab)
    open_endpoint(page)
    page.get_by_role("button", name="Promote").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"{seeds.SHADOW} goes live in place of {seeds.LIVE}.")
    expect(dialog).to_contain_text("The verdict is: promote.")
    shot(page, "promote dialog light")
    dialog.get_by_role("button", name="Cancel").click()
    assert calls(seed) == []
    page.get_by_role("button", name="Promote").click()
    page.get_by_role("dialog").get_by_role("button", name="Promote").click()
    expect(page.get_by_text(f"Promoted {seeds.SHADOW}.")).to_be_visible()
    assert calls(seed) == [["promote", "rain", {"force": False}]]


def test_promoting_against_the_verdict_warns(
    seeded_lab: Jupyter, seed: Path, open_lab: Open, shot: Shot
) -> None:
    state = seeds.full()
    state["endpoints"]["rain"]["shadow_report"] |= {
        "verdict": "reject",
        "reasons": ["It is significantly worse."],
    }
    seeds.write(seed, state)
    page = open_lab(seeded_lab, dark=True)
    open_endpoint(page)
    page.get_by_role("button", name="Promote").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The verdict is: reject. It is significantly worse.")
    shot(page, "promote dialog dark")
    dialog.get_by_role("button", name="Promote All the Same").click()
    expect(page.get_by_text(f"Promoted {seeds.SHADOW}.")).to_be_visible()
    assert calls(seed) == [["promote", "rain", {"force": True}]]


def test_rollback_and_stopping_the_shadow_ask_first(seeded_lab: Jupyter, seed: Path, open_lab: Open) -> None:
    page = open_lab(seeded_lab)
    open_endpoint(page)
    page.get_by_role("button", name="Roll Back").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll Back").click()
    expect(page.get_by_text("Rolled rain back.")).to_be_visible()
    page.get_by_role("button", name="Stop Shadow").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop Shadow").click()
    expect(page.get_by_text("The shadow of rain is stopped.")).to_be_visible()
    assert calls(seed) == [["rollback", "rain", {}], ["stop_shadow", "rain", {}]]


def test_a_refused_action_shows_the_sentence_and_the_hint(
    seeded_lab: Jupyter, seed: Path, open_lab: Open
) -> None:
    page = open_lab(seeded_lab)
    open_endpoint(page)
    page.get_by_role("button", name="Roll Back").click()
    confirm = page.get_by_role("dialog").get_by_role("button", name="Roll Back")
    expect(confirm).to_be_visible()
    failure = {"type": "ConflictError", "error": "Nothing was live before.", "hint": "Deploy a Model."}
    seeds.write(seed, seeds.full() | {"failure": failure})
    confirm.click()
    expect(page.locator(".Toastify").get_by_text("Nothing was live before. Deploy a Model.")).to_be_visible()


def test_an_endpoint_that_is_gone_is_said_to_be(seeded_lab: Jupyter, seed: Path, open_lab: Open) -> None:
    page = open_lab(seeded_lab)
    open_endpoint(page)
    seeds.write(seed, seeds.empty())
    expect(page.get_by_role("alert").get_by_text("There is no endpoint 'rain'.")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_model_shows_its_preflight_and_its_signature(
    seeded_lab: Jupyter, seed: Path, open_lab: Open, shot: Shot, theme: str
) -> None:
    page = open_lab(seeded_lab, dark=theme == "dark")
    open_panel(page)
    page.get_by_title(f"Open Model {seeds.LIVE}").first.click()
    expect(page.get_by_text("preflight passed").first).to_be_visible()
    expect(page.get_by_role("region", name="Preflight").last.get_by_text("no pickle")).to_be_visible()
    expect(page.get_by_role("region", name="Inputs").get_by_text("temp_max")).to_be_visible()
    expect(page.get_by_text("drizzle, fog, rain, snow, sun").first).to_be_visible()
    shot(page, f"model {theme}")


def test_the_tabs_come_back_after_a_reload(seeded_lab: Jupyter, seed: Path, open_lab: Open) -> None:
    page = open_lab(seeded_lab)
    open_endpoint(page)
    # JupyterLab saves its layout a moment after a change.
    page.wait_for_timeout(2500)
    page.goto(f"{seeded_lab.url}/lab")
    expect(page.get_by_role("heading", name="rain", exact=True)).to_be_visible(timeout=30_000)


def test_the_palette_has_the_commands(seeded_lab: Jupyter, seed: Path, open_lab: Open) -> None:
    page = open_lab(seeded_lab)
    open_panel(page)
    expect(page.get_by_text("Agent running")).to_be_visible()
    page.keyboard.press("Control+Shift+c")
    page.keyboard.type("Open Endpoint")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Choose").click()
    expect(page.get_by_role("heading", name="rain", exact=True)).to_be_visible()
