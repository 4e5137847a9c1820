"""A preflight that is run for real from the Model's tab: its progress, its result, its Cancel."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import WIDE, Open, Shot, open_panel
from tests.lab.jupyter import Jupyter
from tests.stores import Packaged

NARROW: ViewportSize = {"width": 760, "height": 1000}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, packaged: Packaged) -> Path:
    """A home with one Model, which was not replayed yet."""
    home = tmp_path_factory.mktemp("taxiway") / "home"
    shutil.copytree(packaged.home, home, symlinks=True, ignore=shutil.ignore_patterns("environments"))
    return home


@pytest.fixture(scope="module")
def lab(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    with Jupyter(tmp_path_factory.mktemp("lab"), module="jupyterlab", taxiway_home=home) as server:
        yield server


def open_model(page: Page) -> None:
    open_panel(page)
    page.get_by_title("Open Model rain").first.click()
    expect(page.get_by_role("button", name="Run Preflight")).to_be_visible()


@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
def test_a_preflight_is_seen_at_work_and_its_result_takes_its_place(
    lab: Jupyter, home: Path, open_lab: Open, shot: Shot, tmp_path: Path, look: str
) -> None:
    for made in (home / "environments").glob("[!.]*"):
        made.rename(tmp_path / made.name)  # so that there is something to see
    (record,) = [*(home / "store" / "preflights" / "rain").glob("*.json"), None][:1]
    if record is not None:
        record.unlink()
    page = open_lab(lab, dark=look == "dark", size=NARROW if look == "narrow" else WIDE)
    open_model(page)
    card = page.get_by_role("region", name="Preflight").first
    row = card.get_by_role("row").filter(has_text="clean replay")
    expect(row.get_by_text("skipped")).to_be_visible()
    page.get_by_role("button", name="Run Preflight").click()
    expect(card.get_by_role("progressbar")).to_be_visible()
    expect(card.get_by_role("status")).to_contain_text("Making an environment")
    shot(page, f"preflight running {look}")
    expect(card.get_by_role("status")).to_contain_text("none failed", timeout=60_000)
    expect(row.get_by_text("passed", exact=True)).to_be_visible()
    expect(row).to_contain_text("answered alike in a fresh environment")
    expect(card.get_by_role("progressbar")).to_have_count(0)
    expect(page.get_by_role("button", name="Run Preflight")).to_be_visible()
    view = page.locator(".taxiway-view")
    assert view.evaluate("node => node.scrollWidth <= node.clientWidth + 1")
    shot(page, f"preflight done {look}")


def test_a_preflight_is_joined_by_a_second_page_and_cancelled(
    lab: Jupyter, open_lab: Open, shot: Shot
) -> None:
    page = open_lab(lab)
    open_model(page)
    page.get_by_role("button", name="Run Preflight").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled; the checks on record are as they were.")).to_be_visible()
    expect(page.get_by_role("button", name="Run Preflight")).to_be_enabled()
    shot(page, "preflight cancelled")


def test_a_failed_replay_names_what_failed_and_what_to_do(
    lab: Jupyter, home: Path, open_lab: Open, shot: Shot
) -> None:
    [served] = (home / "bentoml" / "bentos" / "rain").glob("*/src/taxiway/serving/__main__.py")
    source = served.read_text()
    served.write_text("import pandas\n")
    try:
        page = open_lab(lab, dark=True)
        open_model(page)
        page.get_by_role("button", name="Run Preflight").click()
        card = page.get_by_role("region", name="Preflight").first
        expect(card.get_by_role("status")).to_contain_text("look at clean replay", timeout=60_000)
        row = card.get_by_role("row").filter(has_text="clean replay")
        expect(row).to_contain_text("No module named 'pandas'")
        expect(page.get_by_text("preflight failed").first).to_be_visible()
        shot(page, "preflight failed dark")
    finally:
        served.write_text(source)
