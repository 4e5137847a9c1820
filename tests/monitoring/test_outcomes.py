"""Tables of outcomes: joined by id, or by keys and time, with everything odd named."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from taxiway.errors import InputError
from taxiway.monitoring.outcomes import Told, by_id, by_keys
from taxiway.monitoring.sources import read_table

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def kinds(told: Told) -> dict[str, int]:
    return {one.kind: one.count for one in told.findings}


def predictions(*rows: tuple[str, object, str]) -> pd.DataFrame:
    ids, keys, times = zip(*rows, strict=True)
    return pd.DataFrame({"id": ids, "in.customer": keys, "time": pd.to_datetime(times, utc=True)})


def test_rows_without_an_id_or_an_outcome_are_left_out_and_counted():
    table = pd.DataFrame({"id": ["a", None, "c", ""], "outcome": [1, 2, np.nan, 4]})
    told = by_id(table, now=NOW)
    assert (told.ids, told.outcomes, told.times) == (["a"], [1.0], None)
    assert kinds(told) == {"no_outcome": 1, "no_id": 2}


def test_of_conflicting_rows_the_last_holds_and_it_is_said():
    told = by_id(pd.DataFrame({"id": ["a", "b", "a"], "outcome": ["x", "y", "z"]}), now=NOW)
    assert told.outcomes == ["x", "y", "z"]
    assert "1 prediction has several outcomes that differ; the last holds (first: a)" in told.findings[0].text


def test_times_without_a_zone_in_the_future_or_unreadable_are_found():
    times = ["2026-05-01 10:00", "2026-05-01T10:00:00+02:00", "2027-01-01T00:00Z", "soon", None]
    table = pd.DataFrame({"id": list("abcde"), "outcome": 1, "at": times})
    told = by_id(table, time="at", timezone="Europe/Berlin", now=NOW)
    assert kinds(told) == {"no_zone": 1, "no_time": 2, "future": 1}
    eight = datetime(2026, 5, 1, 8, tzinfo=UTC)
    assert told.times[:2] == [eight, eight]
    assert told.times[3:] == [NOW, NOW]
    assert "2026-05-01 10:00" in told.findings[0].text
    stamps = pd.to_datetime(["2026-05-01T08:00"] * 5)
    assert kinds(by_id(table.assign(at=stamps), time="at", now=NOW)) == {"no_zone": 5}
    zoned = by_id(table.assign(at=stamps.tz_localize("UTC")), time="at", now=NOW)
    seconds = by_id(table.assign(at=eight.timestamp()), time="at", now=NOW)
    assert (zoned.findings, seconds.findings) == ((), ())
    assert zoned.times[0] == seconds.times[0] == eight
    with pytest.raises(InputError, match="no time zone"):
        by_id(table, time="at", timezone="Mars", now=NOW)


def test_what_cannot_be_sent_is_refused_before_anything_is():
    with pytest.raises(InputError, match="no column 'id'"):
        by_id(pd.DataFrame({"name": ["a"], "outcome": [1]}), now=NOW)
    with pytest.raises(InputError, match="not a number"):
        by_id(pd.DataFrame({"id": ["a"], "outcome": [[1]]}), now=NOW)
    with pytest.raises(InputError, match="300 characters"):
        by_id(pd.DataFrame({"id": ["a" * 300], "outcome": [1]}), now=NOW)


def test_whole_numbers_are_ids_without_a_fraction():
    assert by_id(pd.DataFrame({"id": [1.0, 2.0], "outcome": [1, 2]}), now=NOW).ids == ["1", "2"]


def test_the_nearest_prediction_at_or_before_the_time_is_meant():
    known = predictions(
        ("one", 7, "2026-01-01T00:00"),
        ("two", 7, "2026-01-02T00:00"),
        ("later", 7, "2026-01-03T00:00"),
        ("other", 8, "2026-01-02T00:00"),
    )
    table = pd.DataFrame(
        {
            "customer": ["7", "7", "8", "8", "9"],
            "at": [f"2026-01-0{day}Z" if day == 9 else f"2026-01-0{day}T00:00Z" for day in (1, 2, 4, 9, 2)],
            "outcome": list("abcde"),
        }
    )
    told = by_keys(table, known, on=["customer"], time="at", tolerance="2d", now=NOW)
    assert dict(zip(told.ids, told.outcomes, strict=True)) == {"one": "a", "two": "b", "other": "c"}
    assert kinds(told)["unmatched"] == 2
    assert "customer=8" in told.findings[0].text


def test_equally_near_predictions_are_ambiguous_and_never_guessed():
    known = predictions(
        ("a", "x", "2026-01-01T00:00"), ("b", "x", "2026-01-01T00:00"), ("c", "y", "2026-01-01T00:00"),
        ("c", "y", "2026-01-01T00:00"),
    )  # fmt: skip
    table = pd.DataFrame({"customer": ["x", "y"], "at": "2026-01-01T05:00Z", "outcome": [1, 0]})
    told = by_keys(table, known, on=["customer"], time="at", now=NOW)
    assert (told.ids, kinds(told)) == (["c"], {"ambiguous": 1})
    assert "customer=x" in told.findings[0].text
    without_time = by_keys(table, known, on=["customer"], now=NOW)
    assert (without_time.ids, kinds(without_time)) == (["c"], {"ambiguous": 1})


def test_of_several_outcomes_for_one_prediction_the_last_in_time_holds_and_it_is_said():
    known = predictions(("a", "x", "2026-01-01T00:00"))
    table = pd.DataFrame(
        {"customer": "x", "at": ["2026-01-03T00:00Z", "2026-01-02T00:00Z"], "outcome": ["late", "early"]}
    )
    told = by_keys(table, known, on=["customer"], time="at", now=NOW)
    assert told.outcomes[-1] == "late"
    assert kinds(told) == {"conflicting": 1}


def test_keys_that_cannot_be_joined_by_are_refused():
    known = predictions(("a", "x", "2026-01-01T00:00"))
    table = pd.DataFrame({"customer": ["x"], "moon": [1], "at": ["2026-01-01T00:00Z"], "outcome": [1]})
    with pytest.raises(InputError, match="no input column 'moon'"):
        by_keys(table, known, on=["moon"], time="at", now=NOW)
    for wrong in ("soon", "-1d", "3 moons"):
        with pytest.raises(InputError, match="no length of time"):
            by_keys(table, known, on=["customer"], time="at", tolerance=wrong, now=NOW)


def test_a_text_key_of_digits_is_not_a_number():
    known = predictions(("a", "007", "2026-01-01T00:00"), ("b", "7", "2026-01-01T00:00"))
    table = pd.DataFrame({"customer": ["007"], "outcome": [1]})
    assert by_keys(table, known, on=["customer"], now=NOW).ids == ["a"]


def test_a_table_is_read_from_files_and_databases(tmp_path: Path):
    rows = pd.DataFrame({"id": ["007", "8"], "outcome": ["rain", "dry"], "other": [1, 2]})
    rows.to_csv(tmp_path / "t.csv.gz", index=False)
    rows.to_parquet(tmp_path / "t.parquet")
    rows.to_json(tmp_path / "t.json", orient="records")
    rows.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    with sqlite3.connect(tmp_path / "t.db") as connection:
        rows.to_sql("truth", connection, index=False)
    connection.close()
    wanted, url = ["id", "outcome"], f"sqlite:///{tmp_path}/t.db"
    for found in (
        *(
            read_table(str(tmp_path / name), columns=wanted, texts=["id"])
            for name in ("t.csv.gz", "t.parquet", "t.json", "t.jsonl")
        ),
        read_table((tmp_path / "t.parquet").as_uri(), columns=wanted),
        read_table(url, table="truth", columns=wanted),
        read_table(url, query="SELECT id, outcome FROM truth"),
    ):
        assert found.astype(str).to_dict(orient="list") == {"id": ["007", "8"], "outcome": ["rain", "dry"]}


def test_a_source_that_cannot_be_read_is_told_without_its_password(tmp_path: Path):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing")
    for source, more, said in (
        ("nothere.csv", {}, "There is no file"),
        ("truth.xyz", {}, "not a table"),
        (str(tmp_path / "broken.parquet"), {}, "cannot be read"),
        (f"sqlite:///{tmp_path}/t.db", {}, "It is a database"),
        (f"sqlite:///{tmp_path}/t.db", {"table": "nosuch"}, "has no table 'nosuch'"),
        (f"sqlite:///{tmp_path}/t.db", {"query": "SELEC"}, "cannot be read"),
        ("nonsense", {"table": "t"}, "no database's URL"),
        ("postgresql+psycopg://me:secret@127.0.0.1:1/x", {"table": "t"}, r"me:\*\*\*@"),
    ):
        with pytest.raises(InputError, match=said) as caught:
            read_table(source, **more)
        assert "secret" not in f"{caught.value.message} {caught.value.hint}"
