"""The panel and the endpoint's tab over what the demo really left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from taxiway.control import agent_process, views
from taxiway.control.endpoint import Endpoint
from taxiway.packaging.registry import list_models
from tests.browser.conftest import Open, Shot, open_panel
from tests.lab.jupyter import Jupyter
from tests.waiting import wait_until

DAYS = 200


@pytest.fixture(scope="module")
def demo_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """JupyterLab on the home that ``taxiway demo`` made, which still serves."""
    home: Path = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAXIWAY_HOME", str(home))
        command = [sys.executable, "-m", "taxiway", "demo", "--days", str(DAYS)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            folder = tmp_path_factory.mktemp("lab")
            with Jupyter(folder, module="jupyterlab", taxiway_home=home) as server:
                yield server
        finally:
            agent_process.stop()


@pytest.mark.timeout(600)
def test_what_the_demo_left_is_shown_and_can_be_acted_on(
    demo_lab: Jupyter, open_lab: Open, shot: Shot
) -> None:
    newer, older = (model.tag for model in list_models("rain"))
    page = open_lab(demo_lab)
    open_panel(page)
    page.get_by_title("Open endpoint rain").click()
    expect(page.get_by_role("heading", name="rain", exact=True)).to_be_visible()
    chart = page.get_by_role("group", name="Heat map of drift")
    expect(chart.locator("svg").get_by_text("weather_yesterday")).to_be_visible()
    expect(page.get_by_role("region", name="Schema changes").get_by_text("account_type")).to_be_visible()
    page.wait_for_timeout(500)
    shot(page, "real endpoint")
    chart.scroll_into_view_if_needed()
    shot(page, "real endpoint charts")

    # a shadow that is started elsewhere comes in by the event stream
    rain = Endpoint("rain")
    if rain.shadow is None:
        rain.start_shadow(newer)
    promote = page.get_by_role("button", name="Promote")
    expect(promote).to_be_visible()
    promote.click()
    page.get_by_role("dialog").get_by_role("button", name="Promote").click()
    wait_until(lambda: rain.live == newer, "the promotion")
    rain.wait()
    page.get_by_role("button", name="Roll Back").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll Back").click()
    wait_until(lambda: rain.live == older, "the rollback")
    rain.wait()
    last = [event for event in views.timeline("rain") if event["event"] in ("promoted", "rolled back")][-2:]
    assert [event["event"] for event in last] == ["promoted", "rolled back"]
    assert all("jupyterlab" in event["actor"] for event in last)
    page.get_by_role("heading", name="Timeline").scroll_into_view_if_needed()
    expect(page.get_by_text("was rolled back to").first).to_be_visible()
    shot(page, "real endpoint timeline")
