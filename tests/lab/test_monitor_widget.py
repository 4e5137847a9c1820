"""The live widget: what it shows, when it looks, and what an exported notebook keeps of it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbconvert.preprocessors import ExecutePreprocessor
from traitlets.config import Config

from taxiway.control.endpoint import Endpoint
from taxiway.control.ledger import ledger, now
from taxiway.control.tables import EndpointRow, ObservationRow
from taxiway.lab import monitor_widget
from taxiway.lab.monitor_widget import MonitorWidget
from tests.lab.replayed import replay
from tests.lab.test_display import Tags
from tests.waiting import wait_until

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def rain(two_versions: Path, taxiway_home: Path) -> Endpoint:
    replay(two_versions, taxiway_home, until="2013-04")
    return Endpoint("rain")


def told(widget: MonitorWidget, **content: str) -> None:
    """Send what a page sends."""
    widget._handle_custom_msg(content, [])


def degrade() -> None:
    with ledger().transaction() as session:
        row = ObservationRow(endpoint="rain", status="DEGRADED", reason="it fell", time=now())
        session.merge(row)


def test_it_shows_the_endpoint_and_what_is_chosen(rain: Endpoint) -> None:
    widget = rain.monitor()
    parts = widget.fragments
    assert "Endpoint rain" in parts["state"]
    assert 'data-key="0:2"' in parts["drift"]
    assert "<svg" in parts["column"]
    assert "<select" in parts["column"]
    newest = parts["column"]
    widget.choice = [1, 0]
    assert widget.fragments["column"] != newest
    assert "Jan 2013" in widget._figure
    widget.choice = [10_000, -7]  # a page may send anything
    assert "Jan 2013" in widget._figure
    widget.close()


def test_it_looks_only_while_it_is_shown_and_reads_only_what_has_changed(
    rain: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    read = monitor_widget.hidden_detail

    def counted(name: str) -> Any:
        reads.append(threading.current_thread().name)
        return read(name)

    monkeypatch.setattr(monitor_widget, "hidden_detail", counted)
    widget = rain.monitor(seconds=0.2)
    assert not widget.watching
    told(widget, shown="a")
    told(widget, shown="b")
    assert widget.watching
    degrade()
    wait_until(lambda: "it fell" in widget.fragments["state"], "the change")
    assert len(reads) == 2
    assert reads[-1] != threading.main_thread().name
    told(widget, gone="a")
    assert widget.watching
    told(widget, gone="b")
    wait_until(lambda: not widget.watching, "the end of the watching")
    told(widget, shown="c")
    assert widget.watching
    assert len(reads) == 2
    widget.close()
    wait_until(lambda: not widget.watching, "the end of the watching")


def test_an_endpoint_that_goes_is_said_to_be_gone(rain: Endpoint) -> None:
    widget = rain.monitor(seconds=0.2)
    told(widget, shown="a")
    with ledger().transaction() as session:
        session.delete(session.get(EndpointRow, "rain"))
    wait_until(lambda: "rain" in widget.fragments.get("trouble", ""), "the news")
    assert widget.watching
    widget.close()


def test_a_notebook_that_is_run_and_exported_by_nobody_shows_it_without_a_network(rain: Endpoint) -> None:
    code = "from taxiway.control.endpoint import Endpoint\nEndpoint('rain').monitor()"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    ExecutePreprocessor(timeout=120, kernel_name="python3").preprocess(notebook)
    (output,) = notebook.cells[0].outputs
    assert WIDGET_MIME not in output["data"]
    page, _ = HTMLExporter(config=Config()).from_notebook_node(notebook)
    assert "Heat map of drift per column and window" in page


def test_an_exported_notebook_keeps_what_was_shown(rain: Endpoint) -> None:
    widget = rain.monitor()
    data = widget._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert set(data) >= {WIDGET_MIME, "text/html", "text/plain"}
    assert 'data-key="' not in data["text/html"]
    assert "<select" not in data["text/html"]
    found = Tags()
    found.feed(data["text/html"])
    assert "script" not in found.tags
    output = nbformat.v4.new_output("execute_result", data=data, execution_count=1)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=[output])])
    page, _ = HTMLExporter(config=Config()).from_notebook_node(notebook)
    assert "Heat map of drift per column and window" in page
    widget.close()
