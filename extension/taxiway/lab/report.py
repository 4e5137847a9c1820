"""A report of an endpoint: one HTML file that needs nothing else, or JSON; and what it is gathered from."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

from taxiway.errors import ConflictError, InputError, TaxiwayError
from taxiway.lab import figures, sections
from taxiway.lab.attention import attention, live_windows, when
from taxiway.lab.markup import section, style, text
from taxiway.settings import settings

log = logging.getLogger("taxiway.report")

Json = dict[str, Any]

MOST_FIGURES = 8
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
{generator}
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>:root {{ color-scheme: light dark; }}
body {{ margin: 0; padding: 1rem clamp(.75rem, 4vw, 3rem); background: #fff; color: #1b1d1f; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #16181b; color: #e6e8ea; }} }}
@media print {{ body {{ background: #fff; color: #000; padding: 0; }} }}
.tw {{ margin: 0 auto; }}
{style}</style></head><body><main>{body}</main></body></html>
"""
GENERATOR = '<meta name="generator" content="taxiway report">'


@dataclass(frozen=True)
class Report:
    """What is known of an endpoint at one time; it shows itself in a notebook.

    Attributes
    ----------
    detail
        The endpoint as JSON, without any value of a sensitive column.
    columns
        The columns that moved most, each in a window over the reference.
    method
        How it was computed: name → text.
    made
        When it was gathered, UTC.
    since
        What is earlier was left out; None if nothing was.
    """

    detail: Json
    columns: Sequence[Json]
    method: Mapping[str, str]
    made: datetime
    since: datetime | None = None

    @property
    def points(self) -> list[str]:
        """What needs attention, in sentences, the most urgent first."""
        return [one.text for one in attention(self.detail)]

    def __repr__(self) -> str:
        return "\n".join([f"Endpoint {self.detail['name']}, {self.made:%Y-%m-%d %H:%M} UTC", *self.points])

    def _repr_html_(self) -> str:
        return f"<style>{style()}</style>{self.body()}"

    def to_dict(self) -> Json:
        """Give all of it as plain JSON."""
        return {
            "endpoint": self.detail["name"],
            "made": self.made.isoformat(),
            "since": self.since.isoformat() if self.since else None,
            "attention": [{"level": one.level, "text": one.text} for one in attention(self.detail)],
            "columns": list(self.columns),
            "method": dict(self.method),
            **{key: value for key, value in self.detail.items() if key not in ("name", "columns")},
        }

    def body(self) -> str:
        """Give the report as a fragment of HTML without script."""
        detail = self.detail
        when_made = f"{self.made:%Y-%m-%d %H:%M} UTC"
        within = f", since {self.since:%Y-%m-%d %H:%M} UTC" if self.since else ""
        shown = "".join(figures.column(detail, one) for one in self.columns)
        method = "".join(
            f"<div><dt>{escape(name)}</dt><dd>{text(told)}</dd></div>" for name, told in self.method.items()
        )
        parts = [
            f"<h1>Endpoint {text(detail['name'])}</h1>",
            f'<p class="quiet">As of {when_made}{within}</p>',
            section("What needs attention", sections.points(detail)),
            sections.facts(detail),
            section("Alerts", sections.alerts(detail) or "<p>There was none.</p>"),
            section("Drift per column and window", figures.drift_map(detail) or _nothing(detail)),
            section("The columns that moved most", shown and f'<div class="figures">{shown}</div>'),
            section("Performance", figures.performance(detail) or "<p>No outcome is known yet.</p>"),
            section("Slices", sections.slices(detail)),
            section("Change of the error", sections.concept(detail)),
            section("All columns together", figures.multivariate(detail)),
            section("Schema changes", sections.schema(detail) or "<p>There was none.</p>"),
            section("Shadow", sections.shadow(detail)),
            section("Timeline", sections.timeline(detail)),
            section("How it was computed", f"<dl>{method}</dl>"),
        ]
        return f'<div class="tw">{"".join(parts)}</div>'

    def to_html(self) -> str:
        """Give the page: one file, no script, nothing that is fetched."""
        title = f"Taxiway: {self.detail['name']}, {self.made:%Y-%m-%d %H:%M} UTC"
        return PAGE.format(generator=GENERATOR, title=escape(title), style=style(), body=self.body())

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> Path:
        """Write the page; a file is either the whole page or what it was before.

        Parameters
        ----------
        path
            Where to; an earlier report is replaced.
        force
            Also replace what is no report.

        Raises
        ------
        ConflictError
            There is another file of that name.
        InputError
            The file cannot be written.
        """
        target = Path(path).expanduser().absolute()
        if not force and target.exists() and not _is_report(target):
            raise ConflictError(
                f"There is a file {target} that is no report.", hint="Give another name, or --force."
            )
        aside = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            aside.write_text(self.to_html(), encoding="utf-8")
            aside.replace(target)
        except OSError as error:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise InputError(
                f"The report cannot be written to {target}: {error.strerror or error}.",
                hint="Give a folder that is there and can be written to.",
            ) from error
        return target


def gather(endpoint: str, *, since: datetime | None = None) -> Report:
    """Gather the report of an endpoint from the ledger and the profiles of its windows.

    Parameters
    ----------
    since
        Leave out windows that end before, and alerts, changes and events of earlier; without a zone: UTC.

    Raises
    ------
    NotFoundError
        There is no such endpoint.
    """
    if since is not None:
        since = since.replace(tzinfo=UTC) if since.tzinfo is None else since.astimezone(UTC)
    detail = hidden_detail(endpoint)
    if since is not None:
        detail = _since(detail, since.isoformat())
    return Report(detail, _figures(detail), _method(detail), datetime.now(UTC), since)


def hidden_detail(endpoint: str) -> Json:
    """Give an endpoint's JSON without any value of its sensitive columns."""
    from taxiway.control import views
    from taxiway.monitoring.hiding import hide

    detail = views.endpoint_detail(endpoint)
    hidden: Json = hide(detail, _sensitive(detail))
    return hidden


def read_column(endpoint: str, column: str, window: Mapping[str, Any]) -> Json | None:
    """Read a column's distribution in a window; None if its profile is no longer kept or cannot be read."""
    from taxiway.control.column_detail import column_detail

    try:
        return column_detail(endpoint, column, str(window["start"]), str(window["model"]))
    except TaxiwayError as error:
        log.info("%s: %s of %s is not shown: %s", endpoint, column, window["start"], error)
        return None


def _sensitive(detail: Json) -> set[str]:
    """Name the sensitive columns of every Model that has windows; all columns if the live one is lost."""
    found: set[str] = set()
    for tag in {detail["live"], detail["shadow"], *(one["model"] for one in detail["windows"])} - {None}:
        try:
            found.update(_sensitive_of(settings().store, tag))
        except TaxiwayError:
            if tag == detail["live"]:
                found.update(str(one["column"]) for one in detail["columns"])
    return found


@lru_cache(maxsize=256)
def _sensitive_of(_store: Path, tag: str) -> tuple[str, ...]:
    """Load a Model for this once: every file of it is checked at that, whatever its size."""
    from taxiway.packaging import registry

    return registry.load(tag).signature.sensitive


def _since(detail: Json, since: str) -> Json:
    kept = {
        "windows": "end",
        "alerts": "last_seen",
        "schema": "last_seen",
        "quality": "last",
        "timeline": "time",
        "runs": "started",
    }
    later = {
        name: [one for one in detail[name] if str(one.get(key) or "") >= since] for name, key in kept.items()
    }
    newest = {one["start"] for one in later["windows"]}
    slices = detail["slices"]
    return {
        **detail,
        **later,
        "slices": slices if slices and slices["window"] in newest else None,
        "columns": [one for one in detail["columns"] if one["window"] in newest],
    }


def _figures(detail: Json) -> list[Json]:
    """Read the columns that drifted most, each in the newest window in which it did, or in its worst."""
    windows = live_windows(detail)
    found: list[Json] = []
    for one in figures.moved(detail)[: 2 * MOST_FIGURES]:
        drifted = (
            window
            for window in reversed(windows)
            if any(entry["column"] == one["column"] and entry["drifted"] for entry in window["drift"])
        )
        window = next(drifted, one["at"])
        read = read_column(detail["name"], one["column"], window) if window else None
        if read is not None:
            found.append(read)
        if len(found) == MOST_FIGURES:
            break
    return found


def _method(detail: Json) -> dict[str, str]:
    from importlib.metadata import version

    from taxiway.monitoring.drift import ALPHA, MIN_ROWS, NULL_SHARE_THRESHOLD, PSI_THRESHOLD

    windows = live_windows(detail)
    span = f", {when(detail, windows[0]['start'])} to {when(detail, windows[-1]['start'])}" if windows else ""
    libraries = ("taxiway", "whylogs", "scipy", "numpy")
    return {
        "Windows": f"{len(windows)} of one {detail['window']}{span}; {detail['requests']:,} predictions",
        "Reference": f"what each window's Model was trained on (live: {detail['live']})",
        "Drift": "Kolmogorov–Smirnov (numbers), χ² or Fisher (categories), Holm's correction over the "
        f"columns, p < {ALPHA}; and PSI, less its bias, of at least {PSI_THRESHOLD}; at least {MIN_ROWS} "
        "values on either side",
        "Missing values": "Fisher's exact test, and a share that changed by at least "
        f"{NULL_SHARE_THRESHOLD:.0%}",
        "Intervals": "95%",
        "Distributions": "from whylogs' sketches; a share is off by at most their rank error",
        "Versions": ", ".join(f"{name} {version(name)}" for name in libraries),
    }


def _nothing(detail: Json) -> str:
    return "<p>No predictions have been monitored yet.</p>" if not live_windows(detail) else ""


def _is_report(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return GENERATOR.encode() in file.read(1000)
