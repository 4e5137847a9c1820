"""From the heat map to a column's distribution; profiles among the files, one and two side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from taxiway.monitoring import profiles
from tests.browser.conftest import Open, Shot, open_panel
from tests.lab import seeds
from tests.lab.jupyter import Jupyter
from tests.monitoring.weather import of_month, seattle


def open_endpoint(page: Page) -> None:
    open_panel(page)
    page.get_by_title("Open endpoint rain").click()
    expect(page.get_by_role("group", name="Heat map of drift").locator("svg")).to_be_visible()


def test_a_cell_of_the_heat_map_opens_the_columns_distribution(
    seeded_lab: Jupyter, seed: Path, open_lab: Open, shot: Shot
) -> None:
    page = open_lab(seeded_lab)
    open_endpoint(page)
    chart = page.get_by_role("group", name="Heat map of drift")
    cell = chart.locator('svg [aria-label^="temp_max, Mar 2014"]')
    marks = cell.count()
    cell.last.click()
    expect(cell).to_have_count(marks + 1)  # framed
    column = page.get_by_role("region", name="Column temp_max")
    expect(column.get_by_role("heading", name="temp_max in Mar 2014")).to_be_visible()
    expect(column.get_by_role("img", name="Distribution of temp_max").locator("svg")).to_be_visible()
    expect(column.get_by_role("group", name="Quantiles of temp_max").locator("svg")).to_be_visible()
    page.wait_for_timeout(500)
    shot(page, "column light")
    column.get_by_role("button", name="Later").click()
    expect(column.get_by_role("heading", name="temp_max in Apr 2014")).to_be_visible()


def test_columns_and_windows_are_chosen_by_keyboard_and_a_late_answer_is_of_no_other_choice(
    seeded_lab: Jupyter, seed: Path, open_lab: Open, shot: Shot
) -> None:
    page = open_lab(seeded_lab)
    open_endpoint(page)
    chart = page.get_by_role("group", name="Heat map of drift")
    cell = chart.locator('svg [aria-label^="temp_max, Dec 2015"][tabindex="0"]')  # the Tab key leads to it
    cell.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(chart.locator(":focus")).to_have_attribute("aria-label", re.compile("^temp_max, Nov 2015"))
    shot(page, "cell by keyboard light")
    page.keyboard.press("Enter")
    column = page.get_by_role("region", name="Column temp_max")
    expect(column.get_by_role("heading", name="temp_max in Nov 2015")).to_be_focused()
    history = column.get_by_role("group", name="Quantiles of temp_max")
    history.locator('[aria-label="Show Nov 2015"][tabindex="0"]').focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(column.get_by_role("heading", name="temp_max in Oct 2015")).to_be_visible()
    expect(history.locator('[aria-label="Show Oct 2015"]:focus')).to_have_count(1)  # drawn anew meanwhile

    held: list[Route] = []
    page.route(re.compile("/columns/wind[?]"), lambda route: held.append(route))
    page.get_by_role("button", name="wind", exact=True).click()
    column = page.get_by_role("region", name="Column wind")
    expect(column.get_by_role("status")).to_have_text("Reading the profile…")
    expect(column.get_by_role("group")).to_have_count(1)  # the buttons: no picture of the column before
    shot(page, "column awaited light")

    page.get_by_role("button", name="weather_yesterday", exact=True).focus()
    page.keyboard.press("Enter")
    column = page.get_by_role("region", name="Column weather_yesterday")
    expect(column.get_by_role("img", name="new: hail")).to_be_visible()
    expect(column.get_by_role("heading", name="weather_yesterday in Dec 2015")).to_be_focused()
    with page.expect_response(re.compile("/columns/wind[?]")):
        held[0].continue_()
    page.wait_for_timeout(200)
    expect(column.get_by_role("img", name="new: hail")).to_be_visible()
    expect(page.get_by_role("img", name="Line of accuracy").locator("svg")).to_be_visible()
    expect(
        page.get_by_role("region", name="Performance by slice").get_by_text("significantly")
    ).to_be_visible()
    expect(page.get_by_text("The errors changed in Jul 2014")).to_be_visible()
    page.get_by_role("region", name="Performance by slice").scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    shot(page, "performance with slices light")


def test_an_alert_is_notified_once_tells_what_it_means_leads_to_its_column_and_can_be_silenced(
    seeded_lab: Jupyter, seed: Path, open_lab: Open, shot: Shot
) -> None:
    page = open_lab(seeded_lab, dark=True)
    toast = page.locator(".Toastify").get_by_text("Accuracy of rain fell to 62.0 %")
    expect(toast).to_be_visible()
    page.goto(f"{seeded_lab.url}/lab")
    open_panel(page)
    panel = page.get_by_role("region", name="Taxiway", exact=True)
    panel.get_by_role("button", name="Why: Column `temp_max` of rain drifted").click()
    expect(panel.get_by_text("0.62, threshold 0.2")).to_be_visible()
    expect(panel.get_by_text("distributed otherwise than in the reference")).to_be_visible()
    expect(toast).to_have_count(0)
    shot(page, "alert context dark")
    panel.get_by_role("button", name="1 day").click()
    expect(page.get_by_text("Nobody is told of it meanwhile.")).to_be_visible()
    calls = seed.with_name("calls.jsonl").read_text().splitlines()
    assert json.loads(calls[-1]) == ["silence_alert", 3, {"seconds": 86400.0}]
    state = seeds.full()
    for alert in state["overview"]["alerts"]:
        alert["silenced_until"] = "2100-01-01T00:00:00+00:00" if alert["id"] == 3 else None
    seeds.write(seed, state)
    expect(panel.get_by_text("silenced", exact=True)).to_be_visible()
    shot(page, "silenced alert dark")
    panel.get_by_role("button", name="End the silence: Column `temp_max` of rain drifted").click()
    expect(page.get_by_text("The silence of this alert alone is over.")).to_be_visible()
    calls = seed.with_name("calls.jsonl").read_text().splitlines()
    assert json.loads(calls[-1]) == ["unsilence_alert", 3, {}]
    seeds.write(seed, seeds.full())
    panel.get_by_role("button", name="Column temp_max of rain drifted acknowledged").click()
    expect(page.get_by_role("heading", name="temp_max in Dec 2015")).to_be_visible()


def test_two_thousand_columns_are_searched(
    seeded_lab: Jupyter, seed: Path, open_lab: Open, shot: Shot
) -> None:
    state = seeds.full()
    endpoint = state["endpoints"]["rain"]
    one = endpoint["columns"][-1]
    endpoint["columns"] += [{**one, "column": f"feature_{i:04}", "peak": 0.0} for i in range(2000)]
    seeds.write(seed, state)
    page = open_lab(seeded_lab)
    open_endpoint(page)
    expect(page.get_by_text("of 2,006 columns are shown")).to_be_visible()
    page.get_by_role("searchbox", name="Search columns").fill("1234 feature")
    expect(page.get_by_text("1 column found")).to_be_visible()
    table = page.get_by_role("region", name="Columns")
    expect(table.get_by_role("button", name="feature_1234")).to_be_visible()
    table.scroll_into_view_if_needed()
    shot(page, "many columns light")


@pytest.fixture
def files(seeded_lab: Jupyter) -> Iterator[Path]:
    """Two months of weather as profiles, and a file that is none."""
    folder = seeded_lab.notebooks
    for name, month in (("january", 1), ("july", 7)):
        profiles.write(profiles.profile(of_month(seattle(), 2013, month)), folder / f"{name}.bin")
    (folder / "weights.bin").write_bytes(bytes(5000))
    yield folder
    for path in folder.glob("*.bin"):
        path.unlink()


def test_profiles_open_by_a_double_click_and_compare_side_by_side(
    seeded_lab: Jupyter, seed: Path, files: Path, open_lab: Open, shot: Shot
) -> None:
    page = open_lab(seeded_lab)

    def file(name: str) -> Locator:
        return page.locator(".jp-DirListing-item", has_text=name)

    file("january.bin").dblclick()
    view = page.locator(".jp-MainAreaWidget:visible .taxiway-view")
    expect(view.get_by_role("heading", name="january.bin")).to_be_visible(timeout=60_000)
    view.get_by_role("button", name="temp_max").click()
    expect(view.get_by_role("img", name="Distribution of temp_max").locator("svg")).to_be_visible()
    page.wait_for_timeout(500)
    shot(page, "profile light")
    file("weights.bin").dblclick()
    expect(view.get_by_role("alert").get_by_text("is no whylogs profile")).to_be_visible()
    file("january.bin").click()
    file("july.bin").click(modifiers=["Control"])
    file("july.bin").click(button="right")
    page.get_by_role("menuitem", name="Compare the Two Profiles").click()
    expect(view.get_by_role("heading", name="july.bin against january.bin")).to_be_visible()
    expect(view.get_by_role("cell", name="drifted", exact=True).first).to_be_visible()
    expect(view.get_by_role("img", name="Distribution of").locator("svg")).to_be_visible()
    page.wait_for_timeout(500)
    shot(page, "comparison light")
