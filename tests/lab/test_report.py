"""The report of an endpoint: whole, escaped, small, by itself, and without any value that is sensitive."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from river.datasets import TrumpApproval
from sqlalchemy import select
from typer.testing import CliRunner
from vega_datasets import local_data

from taxiway.cli.commands import app
from taxiway.control.column_detail import column_detail, column_history
from taxiway.control.endpoint import Endpoint
from taxiway.control.ledger import ledger
from taxiway.control.tables import WindowRow
from taxiway.errors import ConflictError, InputError
from taxiway.lab import figures, svg
from taxiway.lab.attention import within
from taxiway.lab.report import Report, gather
from taxiway.monitoring.drift import drift
from taxiway.monitoring.profiles import profile
from tests.control.rows import endpoint_row
from tests.lab import seeds
from tests.lab.replayed import SENSITIVE, make_sensitive, replay
from tests.lab.test_display import HOSTILE, Tags, poisoned

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def seeded(detail: Any, *columns: Any) -> Report:
    return Report(detail, columns, {"Drift": "as told"}, NOW)


def full() -> Any:
    return seeds.full()["endpoints"]["rain"]


def figure(column: str = "temp_max", **distribution: Any) -> Any:
    found = seeds.full()["columns"][column]["detail"] | {"window": "2015-12-01T00:00:00+00:00"}
    return found | {"distribution": found["distribution"] | distribution}


@pytest.fixture
def rain(two_versions: Path, taxiway_home: Path) -> Endpoint:
    """The weather of half a year, month by month."""
    replay(two_versions, taxiway_home)
    return Endpoint("rain")


def test_the_page_fetches_nothing_and_runs_nothing(rain: Endpoint) -> None:
    page = seeded(full(), figure()).to_html() + rain.report().to_html()
    found = Tags()
    found.feed(page)
    assert not found.tags & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert not [name for name in found.attributes if name.startswith("on")]
    assert not found.attributes & {"src", "href", "srcset", "action"}
    assert "default-src 'none'" in page
    assert not re.search(r"url\(|@import", page)


def test_it_names_what_moved_and_shows_it_over_the_reference(rain: Endpoint) -> None:
    made = rain.report()
    table = rain.drift()
    moved = set(table[table["drifted"]]["column"])
    assert {"temp_max", "weather_yesterday"} <= moved
    page = made._repr_html_()
    shown = re.findall(r"<figure[^>]*><h3>(\w+)</h3>", page)
    assert set(shown[: len(moved)]) == moved
    assert page.count("over the reference</title>") == len(shown)
    assert "have moved away from the reference" in repr(made)
    assert "is gone" not in page  # inputs alone were profiled: no output is missing
    newest = table[table["window"] == table["window"].max()]
    named = next(point for point in made.points if "moved away" in point)
    assert set(re.findall(r"`(\w+)`", named)) == set(newest[newest["drifted"]]["column"])


def marked(page: str, place: str) -> set[str]:
    """The columns that the page's heat map marks in a window."""
    return set(re.findall(rf"<title>(\w+), {place}: PSI [\d.]+, drifted</title>", page))


def compared(reference: pd.DataFrame, window: pd.DataFrame, start: str) -> str:
    """The page of an endpoint with one window."""
    found = [asdict(one) for one in drift(profile(reference), profile(window))]
    only = {"start": start, "end": start, "model": seeds.LIVE, "role": "live", "drift": found}
    return seeded(full() | {"windows": [only], "columns": []}).to_html()


def test_it_names_the_columns_that_a_plot_shows_to_have_moved(rain: Endpoint) -> None:
    # The plots' figures stand with the same replays in tests/monitoring/test_replays.py.
    page = rain.report().to_html()
    assert marked(page, "Jan 2013") == {"temp_max", "temp_min"}
    assert marked(page, "Apr 2013") == {"weather_yesterday"}
    polls = pd.DataFrame([{**polled, "approval": approval} for polled, approval in TrumpApproval()])
    years = polls.pop("ordinal_date").map(lambda day: pd.Timestamp.fromordinal(int(day)).year)
    page = compared(polls[years == 2018], polls[years == 2019], "2019-01-01T00:00:00+00:00")
    assert marked(page, "Jan 2019") == set(polls.columns) - {"rasmussen"}
    jobs = local_data.us_employment()
    years = pd.to_datetime(jobs.pop("month")).dt.year
    page = compared(jobs[years <= 2008], jobs[years.between(2009, 2010)], "2009-01-01T00:00:00+00:00")
    still = {"utilities", "mining_and_logging", "nonfarm_change"}
    assert marked(page, "Jan 2009") == set(jobs.columns) - still


def test_a_window_is_named_as_one_says_it() -> None:
    start = "2013-01-07T00:00:00+00:00"
    assert within({"window": "month"}, start) == "in Jan 2013"
    assert within({"window": "day"}, start) == "on 7 Jan 2013"
    assert within({"window": "week"}, start) == "in the week of 7 Jan 2013"


def test_a_long_or_hostile_name_has_room() -> None:
    names = ["WWWWWWWWWWWWWWWWWWWWWWWWWWWWW", "<img src=x onerror=alert(1)>", "rain"]
    picture = svg.bars([(name, 0.5, 0.5) for name in names], title="x")
    shown = re.findall(r'text-anchor="end" font-size="11"[^>]*>([^<]*)<', picture)
    assert shown[0].endswith("…")
    assert len(shown[0]) < 15
    assert shown[1].startswith("&lt;img")
    assert shown[2] == "rain"


def test_everything_that_is_known_is_told() -> None:
    page = seeded(full(), figure(), figure("weather_yesterday")).to_html()
    for told in (
        "Accuracy of rain fell to 62.0 % in December 2014",
        "Heat map of drift per column and window",
        "Line of accuracy per window with its 95% interval",
        "stroke-dasharray",
        "weather_yesterday = &#x27;fog&#x27;",
        "the error rose from 21.0 %",
        "AUC of telling a window from the reference",
        "account_type",
        "No slice is significantly worse.",
        "Only 40% of the predictions in Dec 2015 have an outcome.",
        "hail (new)",
        "As told",
    ):
        assert told.lower() in page.lower()
    assert page.count('role="img"') == page.count("<svg") == page.count('aria-label="')


def test_no_text_from_outside_becomes_markup() -> None:
    state: Any = poisoned(full())
    state["windows"] = [one | {"role": "live"} for one in state["windows"]]
    hostile: Any = poisoned(figure()) | {"distribution": figure("weather_yesterday")["distribution"]}
    hostile["distribution"]["categories"] = [
        one | {"value": HOSTILE} for one in hostile["distribution"]["categories"]
    ]
    hostile["drift"] = {"psi": 0.3, "p_value": 0.01, "test": HOSTILE, "text": HOSTILE}
    hostile["drift"]["new_categories"] = [HOSTILE]
    found = Tags()
    found.feed(seeded(state, hostile).to_html())
    assert not found.tags & {"script", "img"}
    assert not [name for name in found.attributes if name.startswith("on")]


def test_a_huge_endpoint_makes_a_page_of_less_than_a_megabyte() -> None:
    detail = full()
    names = [f"{'x' * 10_000}{place}" for place in range(200)]
    drift = [{"column": name, "psi": 1.23, "drifted": True, "text": name} for name in names]
    window = next(one for one in detail["windows"] if one["role"] == "live")
    starts = [f"{2000 + month // 12}-{month % 12 + 1:02}-01T00:00:00+00:00" for month in range(200)]
    detail["windows"] = [window | {"start": start, "drift": drift} for start in starts]
    detail["columns"] = [{"column": name, "peak": 1.0, "ever": True} for name in names]
    long = {"title": "y" * 10_000, "detail": "z" * 10_000, "column": names[0]}
    detail["alerts"] = [one | long for one in detail["alerts"]] * 50
    detail["schema"] = [one | {"column": name, "example": name} for one in detail["schema"] for name in names]
    detail["timeline"] = [one | {"text": "t" * 10_000} for one in detail["timeline"]] * 70
    page = seeded(detail, *[figure() | {"column": name} for name in names[:8]]).to_html()
    assert len(page.encode()) < 1_000_000
    assert f"and {200 - figures.MOST_COLUMNS} more columns" in page
    assert f"{200 - figures.MOST_WINDOWS} earlier windows are not drawn" in page


def test_no_value_of_a_sensitive_column_is_stored_or_shown(
    two_versions: Path, taxiway_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sensitive(monkeypatch)
    replay(two_versions, taxiway_home, until="2013-03")
    made = gather("rain")
    with ledger().reading() as session:
        stored = [one for row in session.scalars(select(WindowRow)) for one in row.drift]
    kept = [one for one in stored if one["column"] in SENSITIVE]
    assert {one["column"] for one in kept} == set(SENSITIVE)
    assert all(not one["new_categories"] and not one["vanished_categories"] for one in kept)
    assert all("hidden" in one["text"] and one["p_value"] is not None for one in kept)
    for told in (json.dumps(made.to_dict(), default=str), made.to_html(), json.dumps(stored)):
        assert not re.search(r"drizzle|snow|\bfog\b", told)
        assert "values hidden" in told
    assert "median" in next(one["text"] for one in stored if one["column"] == "temp_min")
    for column in SENSITIVE:
        found = column_detail("rain", column)
        assert found["reference"] is found["present"] is None
        assert found["distribution"]["kind"] == "none"
        assert not column_history("rain", column)["windows"]
    assert column_detail("rain", "temp_min")["distribution"]["edges"]


def test_an_endpoint_without_traffic_or_outcomes_says_so(taxiway_home: Path) -> None:
    with ledger().transaction() as session:
        session.add(endpoint_row("new"))
    page = gather("new").to_html()
    assert "No predictions have been monitored yet." in page
    assert "No outcome is known yet." in page
    assert "Nothing can be said of the data yet." not in repr(seeded(full()))


def test_what_is_earlier_is_left_out(rain: Endpoint) -> None:
    made = rain.report(since=datetime(2013, 4, 1))
    assert len(made.detail["windows"]) == 4  # March ends when April begins
    assert "Apr 2013" in made.to_html()
    assert "Jan 2013" not in made.body()
    later = rain.report(since=datetime(2030, 1, 1))
    assert not later.columns
    assert "No predictions have been monitored yet." in later.to_html()


def test_a_file_is_a_whole_report_or_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, path = seeded(full()), tmp_path / "report.html"
    assert made.save(path) == path
    before = path.read_text()
    assert before == made.to_html()
    made.save(path)  # an earlier report is replaced
    precious = tmp_path / "thesis.html"
    precious.write_text("<html>mine</html>")
    with pytest.raises(ConflictError):
        made.save(precious)
    assert precious.read_text() == "<html>mine</html>"
    made.save(precious, force=True)
    assert precious.read_text() == before
    with pytest.raises(InputError):
        made.save(tmp_path / "no" / "such" / "folder.html")

    def torn(self: Path, _: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", torn)
    with pytest.raises(InputError, match="No space left"):
        seeded(full(), figure()).save(path)
    assert path.read_text() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["report.html", "thesis.html"]


def test_the_command_writes_a_page_or_json_or_a_few_lines(
    rain: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    assert "moved away from the reference" in run(app, ["report", "rain"]).stdout
    assert json.loads(run(app, ["report", "rain", "--json", "--since", "2013-05-01"]).stdout)["attention"]
    assert run(app, ["report", "rain", "--html"]).exit_code == 0
    assert "<!DOCTYPE html>" in (tmp_path / "rain-report.html").read_text()
    assert run(app, ["report", "rain", "--html", "mine.html"]).exit_code == 0
    assert (tmp_path / "mine.html").is_file()
    assert isinstance(run(app, ["report", "rain", "--since", "soon"]).exception, InputError)
