"""The left panel, as a user sees it."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Open, Shot, open_panel
from tests.lab import seeds
from tests.lab.jupyter import Jupyter


def test_the_panel_shows_what_there_is(seeded_lab: Jupyter, seed: Path, open_lab: Open, shot: Shot) -> None:
    page = open_lab(seeded_lab)
    open_panel(page)
    panel = page.get_by_role("region", name="Taxiway", exact=True)
    expect(panel.get_by_text("Agent running")).to_be_visible()
    expect(panel.get_by_title("Open endpoint rain")).to_be_visible()
    expect(panel.get_by_text("account_type").first).to_be_visible()
    expect(panel.get_by_text("shadow on rain")).to_be_visible()
    expect(panel.get_by_text("KeyError in cell 3")).to_be_attached()
    shot(page, "panel full light")


def test_a_new_alert_appears_by_itself(seeded_lab: Jupyter, seed: Path, open_lab: Open) -> None:
    page = open_lab(seeded_lab)
    open_panel(page)
    expect(page.get_by_text("Agent running")).to_be_visible()
    state = seeds.full()
    state["overview"]["alerts"].insert(
        0, seeds.alert(9, "schema_removed", "critical", "Column `wind` is gone")
    )
    seeds.write(seed, state)
    panel = page.get_by_role("region", name="Taxiway", exact=True)
    expect(panel.get_by_text("Column wind is gone")).to_be_visible(timeout=3000)


def test_an_empty_home_tells_the_next_step(
    seeded_lab: Jupyter, seed: Path, open_lab: Open, shot: Shot
) -> None:
    seeds.write(seed, seeds.empty())
    page = open_lab(seeded_lab)
    open_panel(page)
    expect(page.get_by_text("Agent stopped")).to_be_visible()
    expect(page.get_by_text("taxiway.package(")).to_be_visible()
    expect(page.get_by_text("taxiway.deploy(")).to_be_visible()
    shot(page, "panel empty light")


def test_a_failure_is_told_beside_what_was_known(
    seeded_lab: Jupyter, seed: Path, open_lab: Open, shot: Shot
) -> None:
    page = open_lab(seeded_lab, dark=True)
    open_panel(page)
    expect(page.get_by_text("Agent running")).to_be_visible()
    failure = {
        "type": "CorruptionError",
        "error": "The ledger cannot be read.",
        "hint": "Run `taxiway doctor`.",
    }
    seeds.write(seed, seeds.full() | {"failure": failure})
    expect(page.get_by_role("alert").get_by_text("The ledger cannot be read.")).to_be_visible()
    expect(page.get_by_title("Open endpoint rain")).to_be_visible()
    shot(page, "panel failure dark")
    seeds.write(seed, seeds.full())
    expect(page.get_by_text("The ledger cannot be read.")).to_have_count(0)


def test_a_lost_connection_is_told_and_taken_up_again(tmp_path: Path, open_lab: Open, shot: Shot) -> None:
    seeds.write(tmp_path / "seed.json", seeds.full())
    with Jupyter(tmp_path, module="jupyterlab", seed=tmp_path / "seed.json") as server:
        page = open_lab(server, offline=True)
        open_panel(page)
        expect(page.get_by_text("Agent running")).to_be_visible()
        server.stop()
        expect(page.get_by_text("Connection lost.")).to_be_visible()
        shot(page, "panel connection lost light")
        server.start_again()
        expect(page.get_by_text("Connection lost.")).to_have_count(0, timeout=30_000)


def test_the_panel_is_usable_by_keyboard(seeded_lab: Jupyter, seed: Path, open_lab: Open) -> None:
    page = open_lab(seeded_lab)
    open_panel(page)
    title = page.get_by_role("button", name="Endpoints")
    title.focus()
    page.keyboard.press("Enter")
    expect(title).to_have_attribute("aria-expanded", "false")
    expect(page.get_by_title("Open endpoint rain")).to_be_hidden()
    page.keyboard.press("Enter")
    page.get_by_title("Open endpoint rain").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="rain", exact=True)).to_be_visible()


def test_an_alert_is_acknowledged_with_one_press(seeded_lab: Jupyter, seed: Path, open_lab: Open) -> None:
    page = open_lab(seeded_lab)
    open_panel(page)
    page.get_by_role("button", name="Ack").first.click()
    calls = seed.with_name("calls.jsonl")
    expect(page.get_by_text("Agent running")).to_be_visible()
    page.wait_for_timeout(500)
    assert json.loads(calls.read_text()) == ["acknowledge", 1, {}]
