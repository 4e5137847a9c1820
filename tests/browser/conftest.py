"""A real JupyterLab in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.lab import seeds
from tests.lab.jupyter import TOKEN, Jupyter

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
# Without windows, of which the whole browser paints the frames too, it needs three fifths of the time.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE: ViewportSize = {"width": 1500, "height": 1000}

Shot = Callable[[Page, str], Path]
Open = Callable[..., Page]

expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium, headless."""
    assert CHROMIUM, "Install it: apt-get install --no-install-recommends chromium-headless-shell"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def seeded_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """JupyterLab over a control plane that answers from a file."""
    folder = tmp_path_factory.mktemp("seeded")
    seeds.write(folder / "seed.json", seeds.full())
    with Jupyter(folder, module="jupyterlab", seed=folder / "seed.json") as server:
        yield server


@pytest.fixture(scope="session")
def real_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """JupyterLab over the real control plane, with an empty home."""
    with Jupyter(tmp_path_factory.mktemp("real"), module="jupyterlab") as server:
        yield server


@pytest.fixture
def seed(seeded_lab: Jupyter) -> Path:
    """The file of the seeded state, as ``seeds.full`` has it."""
    assert seeded_lab.seed is not None
    seeds.write(seeded_lab.seed, seeds.full())
    seeded_lab.seed.with_name("calls.jsonl").unlink(missing_ok=True)
    return seeded_lab.seed


@pytest.fixture
def open_lab(browser: Browser) -> Iterator[Open]:
    """Opens JupyterLab in a fresh browser profile; fails the test on an error in the page."""
    contexts = []
    errors: list[str] = []

    def open_page(
        server: Jupyter,
        *,
        dark: bool = False,
        path: str = "",
        size: ViewportSize = WIDE,
        offline: bool = False,
    ) -> Page:
        settings = server.folder / "settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True, exist_ok=True)
        theme = "JupyterLab Dark" if dark else "JupyterLab Light"
        (settings / "themes.jupyterlab-settings").write_text(f'{{"theme": "{theme}"}}', encoding="utf-8")
        quiet = '{"fetchNews": "false", "checkForUpdates": false}'
        (settings / "notification.jupyterlab-settings").write_text(quiet, encoding="utf-8")
        context = browser.new_context(viewport=size, timezone_id="Europe/Vienna", locale="en-GB")
        contexts.append(context)
        page = context.new_page()
        # JupyterLab's own polling throws when the server is away; a test that stops it says so.
        harmless = re.compile("fetch|network|connection", re.I) if offline else re.compile("$^")
        page.on("pageerror", lambda error: harmless.search(str(error)) or errors.append(str(error)))
        page.goto(f"{server.url}/lab{path}?reset&token={TOKEN}")
        page.locator("#jp-main-dock-panel").wait_for()
        page.locator(".jp-LauncherCard, .jp-Notebook").first.wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture
def shot() -> Shot:
    """Keeps a picture of a page under artifacts/, which git ignores."""

    def take(page: Page, name: str) -> Path:
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.png"
        page.screenshot(path=path)
        return path

    return take


def open_panel(page: Page) -> None:
    """Show Taxiway's panel."""
    page.get_by_role("tab", name="Taxiway").click()
    page.get_by_role("region", name="Taxiway", exact=True).wait_for()
