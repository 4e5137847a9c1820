"""From records of a spool to performance, slices, estimates and changes of the error, on real weather."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from taxiway.control import judging, labels, ledger, outcomes, readings
from taxiway.control.ledger import Ledger
from taxiway.control.monitor import Monitor
from taxiway.control.tables import EndpointRow, WindowRow
from taxiway.demo import weather
from taxiway.errors import InputError
from taxiway.monitoring.performance import Performance
from taxiway.packaging import registry
from taxiway.serving.spool import SpoolWriter
from tests.control.rows import endpoint_row
from tests.monitoring.records import outcome, prediction

DAYS = weather.days()
DAYS = DAYS[DAYS["date"].between("2013-01-01", "2014-02-28")].reset_index(drop=True)


class Traffic:
    """What a serving process would write, and the monitor that reads it, in this process."""

    def __init__(self, book: Ledger, tag: str, spool: Path, **more: Any) -> None:
        self.book, self.tag = book, tag
        self.row: EndpointRow = endpoint_row("rain", live=tag, window="month", **more)
        with book.transaction() as session:
            session.add(self.row)
        self.spool, self.writer = spool, SpoolWriter(spool, "live")

    def predict(self, days: pd.DataFrame, *, per_request: int = 31) -> None:
        answers = registry.load(self.tag).predict(days[weather.FEATURES])
        for start in range(0, len(days), per_request):
            some, said = days.iloc[start : start + per_request], answers.iloc[start : start + per_request]
            record = prediction(
                [f"{day:%Y-%m-%d}" for day in some["date"]],
                inputs={name: some[name].tolist() for name in weather.FEATURES},
                outputs={name: said[name].tolist() for name in said},
                times=[day.timestamp() for day in some["date"]],
                model=self.tag,
                at=some["date"].iloc[-1].timestamp() + 60,
            )
            assert self.writer.append(record)

    def tell(self, ids: list[str], truth: list[Any], *, at: pd.Timestamp | None = None) -> None:
        moment = at or pd.Timestamp("2015-01-01", tz="UTC")
        assert self.writer.append(outcome(ids, truth, at=moment.timestamp()))

    def monitor(self) -> None:
        Monitor(self.book)._ingest_all(self.row, self.spool)
        judging.judge(self.book, self.row)

    def windows(self) -> list[WindowRow]:
        with self.book.reading() as session:
            return list(session.scalars(select(WindowRow).order_by(WindowRow.start)))


Begin = Callable[..., Traffic]


@pytest.fixture
def begin(tags: tuple[str, str], tmp_path: Path) -> Iterator[Begin]:
    made: list[Traffic] = []

    def start(**more: Any) -> Traffic:
        made.append(Traffic(ledger.ledger(), tags[0], tmp_path / "spool", **more))
        return made[-1]

    yield start
    for one in made:
        one.writer.close()


def ids_of(days: pd.DataFrame) -> list[str]:
    return [f"{day:%Y-%m-%d}" for day in days["date"]]


def test_late_outcomes_judge_estimate_and_slice_the_windows_they_are_of(begin: Begin) -> None:
    traffic = begin()
    traffic.predict(DAYS)
    traffic.monitor()
    before = readings.performance("rain")
    assert len(before) == 14
    assert before["value"].isna().all()
    assert before["estimated"].between(0.5, 1).all()
    assert before["note"].str.contains("not calibrated").all()

    year = DAYS[DAYS["date"].dt.year == 2013]
    traffic.tell(ids_of(year), year["rain"].tolist())
    traffic.monitor()
    answers = registry.load(traffic.tag).predict(year[weather.FEATURES])["label"]
    hits = pd.Series(answers.to_numpy() == year["rain"].to_numpy(), index=year["date"]).resample("MS").mean()
    measured = readings.performance("rain")
    assert measured["value"].head(12).tolist() == pytest.approx(hits.tolist())
    assert measured["value"].tail(2).isna().all()
    assert {"roc_auc", "log_loss", "brier", "precision", "recall", "f1"} <= set(measured)
    calibrated = measured["note"].str.contains("calibrated on").head(12)
    assert calibrated.tolist() == [False] * 4 + [True] * 8  # from 100 earlier outcomes on
    inside = measured.head(12)[calibrated]
    assert (inside["value"].between(inside["estimated_low"], inside["estimated_high"])).mean() >= 0.7

    apart = readings.slices("rain")
    sunny = apart[(apart["column"] == "weather_yesterday") & (apart["slice"] == "sun")]
    day = year[(year["weather_yesterday"] == "sun") & (year["date"].dt.month == 7)]
    of_july = sunny[sunny["window"].dt.month == 7].iloc[0]
    right = registry.load(traffic.tag).predict(day[weather.FEATURES])["label"] == day["rain"].to_numpy()
    assert of_july["value"] == pytest.approx(right.mean())
    stored = next(one for one in traffic.windows() if one.performance["n_labelled"])
    assert Performance.from_dict(stored.performance).to_dict() == {
        **stored.performance,
        "slices": tuple(stored.performance["slices"]),
    }


def test_a_correction_after_a_window_was_judged_judges_it_again(begin: Begin) -> None:
    traffic = begin()
    month = DAYS[DAYS["date"] < "2013-02-01"]
    traffic.predict(month)
    said = registry.load(traffic.tag).predict(month[weather.FEATURES])["label"].tolist()
    wrong = ["dry" if label == "rain" else "rain" for label in said]
    late = pd.Timestamp("2015-01-01", tz="UTC")
    traffic.tell(ids_of(month), wrong, at=late)
    traffic.monitor()
    assert traffic.windows()[0].performance["metrics"]["accuracy"]["value"] == 0
    traffic.tell(ids_of(month), said, at=late + pd.Timedelta("1h"))
    traffic.tell(ids_of(month)[:3], said[:3], at=late + pd.Timedelta("2h"))  # told twice
    traffic.monitor()
    (window,) = traffic.windows()
    assert window.judged
    assert window.performance["metrics"]["accuracy"]["value"] == 1
    assert window.performance["n_labelled"] == 31
    found = outcomes.status("rain")
    assert (found.received, found.ids, found.corrected, found.labelled) == (65, 31, 31, 31)


def test_outcomes_of_unknown_ids_are_counted_and_join_when_the_prediction_comes(begin: Begin) -> None:
    traffic = begin()
    month = DAYS[DAYS["date"] < "2013-02-01"]
    early, late = month.head(20), month.tail(11)
    traffic.predict(early)
    traffic.tell(ids_of(month), month["rain"].tolist())
    traffic.tell(["nobody"], ["rain"])
    traffic.monitor()
    found = outcomes.status("rain")
    assert (found.unknown, found.labelled, found.predictions) == (12, 20, 20)
    (said,) = [one.text for one in found.findings if one.kind == "unknown"]
    assert "12 outcomes for unknown ids (first: 2013-01-21)" in said
    assert repr(found) == (
        "20 of 20 predictions have an outcome (100.0%); 32 outcomes were received, 0 of them corrected later."
        f"\n  {said}"
    )
    traffic.predict(late)
    traffic.monitor()
    assert outcomes.status("rain").unknown == 1
    assert traffic.windows()[0].performance["n_labelled"] == 31


def test_a_planted_change_of_the_concept_is_named_with_its_time(begin: Begin) -> None:
    traffic = begin()
    traffic.predict(DAYS)
    said = registry.load(traffic.tag).predict(DAYS[weather.FEATURES])["label"].to_numpy()
    flipped = (DAYS["date"] >= "2013-09-01").to_numpy() & (np.arange(len(DAYS)) % 3 != 0)
    truth = np.where(flipped, np.where(said == "rain", "dry", "rain"), DAYS["rain"])  # planted
    traffic.tell(ids_of(DAYS), truth.tolist())
    traffic.monitor()
    (change,) = readings.concept("rain").to_dict(orient="records")
    assert abs(change["time"] - pd.Timestamp("2013-09-01", tz="UTC")) < pd.Timedelta("10D")
    assert change["before"] > 0.65 > 0.45 > change["after"]
    before = readings.concept("rain")
    judging.judge(traffic.book, traffic.row)
    assert readings.concept("rain").equals(before)


def test_keys_and_time_find_the_prediction(begin: Begin) -> None:
    traffic = begin()
    days = DAYS.head(60)
    traffic.predict(days)
    traffic.monitor()
    table = pd.DataFrame(
        {
            "temp_max": days["temp_max"],
            "wind": days["wind"],
            "at": (days["date"] + pd.Timedelta("6h")).dt.strftime("%Y-%m-%d %H:%M"),
            "outcome": days["rain"],
        }
    )
    told = outcomes.prepare("rain", table, on=["temp_max", "wind"], time="at", tolerance="1d")
    assert dict(zip(told.ids, told.outcomes, strict=True)) == dict(
        zip(ids_of(days), days["rain"], strict=True)
    )
    assert [one.kind for one in told.findings] == ["no_zone"]
    with pytest.raises(InputError, match="moon"):
        outcomes.prepare("rain", table.assign(moon=1), on=["moon"], time="at")


def test_a_ranking_is_of_the_rows_of_a_request(begin: Begin) -> None:
    traffic = begin(options={"group": "request"})
    traffic.predict(DAYS.head(62), per_request=10)
    traffic.tell(ids_of(DAYS.head(62)), (DAYS.head(62)["rain"] == "rain").astype(int).tolist())
    traffic.monitor()
    measured = readings.performance("rain")
    assert measured["metric"].tolist()[:2] == ["ndcg", "ndcg"]
    assert measured["value"].between(0.4, 1).all()
    assert {"mrr", "map"} <= set(measured)
    assert labels.outputs_of(registry.load(traffic.tag), {}).task == "classification"
    with pytest.raises(InputError, match="moon"):
        labels.check_group(registry.load(traffic.tag), "moon")
