"""Taxiway inside a notebook: the displays, and the "Package Model" button, with a real kernel."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
from playwright.sync_api import Page, expect

from taxiway.control.ledger import ledger
from taxiway.control.tables import EndpointRow
from tests.browser.conftest import Open, Shot, open_panel
from tests.lab import seeds
from tests.lab.jupyter import Jupyter
from tests.lab.replayed import replay

TRAIN = """
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
rows = range(200)
X_train = pd.DataFrame({"heat": [float(i % 17) for i in rows], "wind": [float(i % 5) for i in rows]})
y_train = (X_train["heat"] > 8).map({True: "dry", False: "rain"}).rename("weather")
pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X_train, y_train)
""".strip()


def write_notebook(server: Jupyter, name: str, *cells: str) -> str:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, server.notebooks / name)
    return f"/tree/{name}"


def run_all(page: Page) -> None:
    page.locator(".jp-Notebook-ExecutionIndicator, .jp-NotebookPanel-toolbar").first.wait_for()
    expect(page.locator("#jp-main-statusbar").get_by_text("Idle")).to_be_visible(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def test_an_endpoint_in_a_notebook_is_live(
    seeded_lab: Jupyter, seed: Path, open_lab: Open, shot: Shot
) -> None:
    detail = json.dumps(json.dumps(seeds.full()["endpoints"]["rain"]))
    code = (
        "import json\nfrom IPython.display import display\nfrom taxiway.lab.display import endpoint_bundle\n"
        f"display(endpoint_bundle(json.loads({detail})), raw=True)"
    )
    page = open_lab(seeded_lab, path=write_notebook(seeded_lab, "endpoint.ipynb", code))
    run_all(page)
    output = page.locator(".jp-OutputArea-output.taxiway-display")
    expect(output.get_by_role("heading", name="rain")).to_be_visible(timeout=30_000)
    expect(output.get_by_role("group", name="Heat map").locator("svg")).to_be_visible()
    output.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    shot(page, "notebook endpoint light")
    state = seeds.full()
    state["endpoints"]["rain"]["status"] = state["overview"]["endpoints"][0]["status"] = "DEGRADED"
    seeds.write(seed, state)
    expect(output.get_by_text("degraded")).to_be_visible(timeout=5000)


def test_the_live_widget_shows_the_distribution_of_the_cell_that_is_chosen(
    seeded_lab: Jupyter, two_versions: Path, taxiway_home: Path, open_lab: Open, shot: Shot
) -> None:
    replay(two_versions, taxiway_home, until="2013-04")
    code = f"""
import os
os.environ["TAXIWAY_HOME"] = {str(taxiway_home)!r}
from taxiway.control.endpoint import Endpoint
Endpoint("rain").monitor(seconds=0.5)
""".strip()
    page = open_lab(seeded_lab, path=write_notebook(seeded_lab, "monitor.ipynb", code))
    run_all(page)
    widget = page.locator(".jp-OutputArea-output .tw")
    cell = widget.get_by_role("button", name="temp_max, Jan 2013")
    cell.click(timeout=60_000)
    expect(widget.get_by_role("img", name="temp_max, Jan 2013, over the reference")).to_be_visible()
    expect(cell).to_have_attribute("aria-pressed", "true")
    shot(page, "widget light")
    cell.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(widget.get_by_role("img", name="temp_max, Feb 2013, over the reference")).to_be_visible()
    expect(widget.get_by_role("button", name="temp_max, Feb 2013")).to_be_focused()
    expect(widget.get_by_role("combobox", name="Window")).to_have_value("1")
    with ledger().transaction() as session:
        session.delete(session.get_one(EndpointRow, "rain"))
    expect(widget.get_by_text("There is no endpoint named 'rain'")).to_be_visible()
    shot(page, "widget gone light")


def test_a_notebook_without_a_model_says_what_to_do(
    seeded_lab: Jupyter, seed: Path, open_lab: Open, shot: Shot
) -> None:
    page = open_lab(seeded_lab, path=write_notebook(seeded_lab, "empty.ipynb", "x = 1"))
    run_all(page)
    page.get_by_role("button", name="Package model").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("No fitted model found")
    expect(dialog).to_contain_text("Run the cells that train it")
    shot(page, "package nothing found")
    dialog.get_by_role("button", name="Close").click()


def test_a_model_is_packaged_from_the_toolbar_and_appears_in_the_panel(
    real_lab: Jupyter, open_lab: Open, shot: Shot
) -> None:
    page = open_lab(real_lab, path=write_notebook(real_lab, "train.ipynb", TRAIN))
    open_panel(page)
    expect(page.get_by_text("No Model yet.")).to_be_visible(timeout=30_000)
    run_all(page)
    expect(page.locator(".jp-InputPrompt").first).to_have_text("[1]:", timeout=60_000)
    page.get_by_role("button", name="Package model").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Model", exact=True)).to_have_value("pipeline")
    expect(dialog.get_by_label("Reference data")).to_have_value("X_train")
    expect(dialog.get_by_label("Target")).to_have_value("y_train")
    dialog.get_by_label("Name").fill("weather")
    expect(dialog).to_contain_text('name="weather"')
    shot(page, "package dialog light")
    dialog.get_by_role("button", name="Package").click()
    output = page.locator(".jp-OutputArea-output.taxiway-display")
    expect(output.get_by_text("preflight passed").first).to_be_visible(timeout=120_000)
    expect(output.get_by_role("region", name="Inputs").get_by_text("heat")).to_be_visible()
    expect(page.get_by_title("Open Model weather:").first).to_be_visible()
    output.scroll_into_view_if_needed()
    shot(page, "notebook model light")
