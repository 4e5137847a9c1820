"""A live view of an endpoint in any front end that shows Jupyter widgets.

Python makes every fragment of HTML, the page only puts it in its place. While a view is shown, a thread of
its own looks at the ledger's version; the fragments are made anew when that has changed. The state of the
widget is no record: what an exported notebook keeps is the static HTML beside it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython import get_ipython

from taxiway.errors import TaxiwayError
from taxiway.lab import figures, sections
from taxiway.lab.attention import live_windows, when
from taxiway.lab.markup import phrase, style
from taxiway.lab.report import hidden_detail, read_column
from taxiway.lab.svg import shorten

log = logging.getLogger("taxiway.monitor_widget")

VIEW = "application/vnd.jupyter.widget-view+json"
LEAST_SECONDS = 0.2
NOT_KEPT = '<p class="quiet">That window has no such column, or its profile is no longer kept.</p>'

Json = dict[str, Any]


class MonitorWidget(anywidget.AnyWidget):
    """The state of an endpoint, its drift, performance, schema changes and alerts, refreshed by itself.

    Parameters
    ----------
    endpoint
        Its name.
    seconds
        How often the ledger is looked at while a view is shown.

    Attributes
    ----------
    fragments
        Name of a part → HTML.
    choice
        The places of the chosen column and window, as the heat map shows them.
    """

    _esm = Path(__file__).with_name("monitor_widget.js")
    _css = style()

    fragments = traitlets.Dict().tag(sync=True)
    choice = traitlets.List(traitlets.Int(), default_value=[-1, -1], minlen=2, maxlen=2).tag(sync=True)

    def __init__(self, endpoint: str, *, seconds: float = 5.0) -> None:
        self.endpoint = endpoint
        self.seconds = max(LEAST_SECONDS, float(seconds))
        self._lock = threading.RLock()  # callbacks come on the thread of a subshell, refreshes on our own
        self._views: set[str] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._version = ""
        self._detail: Json = {}
        self._figure = ""
        self._picked: tuple[str, str] | None = None  # the chosen column and window; places shift
        super().__init__()
        self.refresh()
        self.on_msg(self._told)
        self.observe(lambda _: self._choose(), names="choice")

    def refresh(self) -> bool:
        """Make the fragments anew if the ledger has changed; tell whether it had.

        Raises
        ------
        NotFoundError
            The endpoint is no longer there.
        """
        from taxiway.control.ledger import ledger

        version = ledger().data_version()
        with self._lock:
            if version == self._version:
                return False
            self._detail = hidden_detail(self.endpoint)
            self._version = version
            self.fragments = {
                "trouble": "",
                **sections.overview(self._detail, choose=True),
                "column": self._column(),
            }
            return True

    def close(self) -> None:
        """Stop looking, and take the widget away from every page."""
        self._stop.set()
        super().close()

    @property
    def watching(self) -> bool:
        """Whether it refreshes by itself now, which it does while a page shows it."""
        return self._thread is not None and self._thread.is_alive()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        with self._lock:
            shown = "".join(self._still().values())
        data = {
            **(data or {}),
            "text/plain": f"MonitorWidget({self.endpoint!r})",
            "text/html": f'<style>{style()}</style><div class="tw">{shown}</div>',
        }
        if not _somebody_looks():
            data.pop(VIEW, None)
        return (data, bundle[1]) if isinstance(bundle, tuple) else data

    def _told(self, _: object, content: Mapping[str, Any], __: object) -> None:
        """Begin to look when the first view is shown, and end when the last one is gone."""
        with self._lock:
            if "shown" in content:
                self._views.add(str(content["shown"]))
            self._views.discard(str(content.get("gone")))
            if not self._views:
                self._stop.set()
            elif self._stop.is_set() or not self.watching:
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._watch, args=(self._stop,), name=f"taxiway-{self.endpoint}", daemon=True
                )
                self._thread.start()

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(self.seconds):
            try:
                self.refresh()
                self._trouble("")
            except TaxiwayError as error:
                self._trouble(str(error))
            except Exception as error:  # whatever a view meets, the next look may succeed
                log.exception("%s cannot be shown", self.endpoint)
                self._trouble(f"It cannot be shown: {type(error).__name__}.")

    def _trouble(self, told: str) -> None:
        html = f'<ul class="points"><li class="critical">{phrase(told)}</li></ul>' if told else ""
        with self._lock:
            if self.fragments.get("trouble", "") != html:
                self.fragments = {**self.fragments, "trouble": html}

    def _choose(self) -> None:
        with self._lock:
            columns, windows = self._choices()
            column, window = self.choice
            if 0 <= column < len(columns) and 0 <= window < len(windows):
                self._picked = columns[column], windows[window]["start"]
                self.fragments = {**self.fragments, "column": self._column()}

    def _still(self) -> dict[str, str]:
        """Give the parts as they are where nothing can be chosen."""
        return {**sections.overview(self._detail), "column": self._figure}

    def _column(self) -> str:
        """Give the chosen column in the chosen window, with what it is chosen by."""
        self._figure = ""
        columns, windows = self._choices()
        if not columns or not windows:
            return ""
        starts = [one["start"] for one in windows]
        picked, start = self._picked or ("", "")
        column = columns.index(picked) if picked in columns else 0
        window = starts.index(start) if start in starts else len(starts) - 1
        found = read_column(self.endpoint, columns[column], windows[window])
        self._figure = figures.column(self._detail, found) if found else NOT_KEPT
        places = [when(self._detail, one) for one in starts]
        chooser = _select("column", "Column", [shorten(name, 60) for name in columns], column)
        return f"<p>{chooser}{_select('window', 'Window', places, window)}</p>{self._figure}"

    def _choices(self) -> tuple[list[str], list[Json]]:
        """Give columns and windows in the heat map's order."""
        windows = [dict(one) for one in live_windows(self._detail) if one.get("drift")]
        return [str(one["column"]) for one in figures.moved(self._detail)], windows[-figures.MOST_WINDOWS :]


def _somebody_looks() -> bool:
    """Say whether the cell was run by somebody who could be asked something: not by nbclient or papermill.

    Those keep the state of every widget, and a page that is made of it loads its scripts from elsewhere: it
    stays empty without a network.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    request: Json = kernel.get_parent() or {} if kernel is not None else {}
    return bool(request.get("content", {}).get("allow_stdin", True))


def _select(name: str, label: str, options: list[str], chosen: int) -> str:
    listed = "".join(
        f'<option value="{place}"{" selected" if place == chosen else ""}>{escape(option)}</option>'
        for place, option in enumerate(options)
    )
    return f'<label>{label} <select name="{name}">{listed}</select></label>'
