"""Files and frames of any size become whylogs profiles by window, whatever reads them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from vega_datasets import data

import taxiway
from taxiway.errors import InputError, NotFoundError
from taxiway.monitoring import backfill, profiles
from taxiway.monitoring.backfill import Chunk, Recipe, profile_chunk, profile_files, profile_frame
from taxiway.monitoring.slices import slicings

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def weather() -> pd.DataFrame:
    return data.seattle_weather()


@pytest.fixture(scope="module")
def files(weather: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two Parquet files of several row groups, in folders, beside what is neither."""
    folder = tmp_path_factory.mktemp("weather")
    (folder / "later").mkdir()
    weather[:700].to_parquet(folder / "first.parquet", row_group_size=200)
    weather[700:].to_parquet(folder / "later" / "second.parquet", row_group_size=200)
    (folder / "read.me").write_text("no data")
    return folder


def told(outcome) -> dict:
    """What the profiles say, by window and slice."""
    return {
        (one.start, one.slice): (one.rows, profiles.summary(one.view())["wind"].mean)
        for one in outcome.profiles
    }


def test_files_folders_globs_urls_and_frames_give_the_same_profiles(weather, files, tmp_path):
    recipe = Recipe("date", "month", tuple(slicings(["temp_max"], profiles.profile(weather))))
    weather.to_csv(tmp_path / "all.csv.gz", index=False)
    sources = [f"file://{files}/**/*.parquet", tmp_path / "all.csv.gz"]
    made = [profile_files(one, tmp_path / f"out{i}", recipe, now=NOW) for i, one in enumerate(sources)]
    frames = [weather, pl.from_pandas(weather)]
    made += [profile_frame(one, tmp_path / f"frame{i}", recipe, now=NOW) for i, one in enumerate(frames)]
    expected = told(made[0])
    assert len([1 for _, named in expected if not named]) == 48
    truth = weather.groupby(weather["date"].dt.to_period("M"))["wind"].mean()
    whole = [mean for (_, named), (_, mean) in sorted(expected.items(), key=lambda one: one[0]) if not named]
    assert whole == pytest.approx(truth.tolist())
    for outcome in made:
        assert {key: rows for key, (rows, _) in told(outcome).items()} == {
            key: rows for key, (rows, _) in expected.items()
        }
        assert outcome.rows == len(weather)
        assert not outcome.findings
        for key, (_, mean) in told(outcome).items():
            assert mean == pytest.approx(expected[key][1])
    assert not list(tmp_path.glob(".*")), "what was aside is gone"


def test_two_processes_give_what_one_gives_and_a_file_tells_what_it_is(files, tmp_path):
    recipe = Recipe("date", "week")
    steps: list[tuple[int, int]] = []
    one = profile_files(files, tmp_path / "one", recipe, processes=1)
    two = profile_files(
        files,
        tmp_path / "two",
        recipe,
        processes=2,
        facts={"model": "rain:1"},
        progress=lambda done, of: steps.append((done, of)),
    )
    assert {key: rows for key, (rows, _) in told(one).items()} == {
        key: rows for key, (rows, _) in told(two).items()
    }
    assert steps == [(number, 8) for number in range(1, 9)]
    first = two.profiles[0]
    assert profiles.about(profiles.read(first.path)) == {
        "model": "rain:1",
        "start": first.start.isoformat(),
        "end": first.end.isoformat(),
        "rows": str(first.rows),
        "version": taxiway.__version__,
    }
    assert first.view().dataset_timestamp == first.start


def test_times_of_every_form_fall_into_the_same_windows(tmp_path):
    days = pd.to_datetime(["2026-01-05 23:30", "2026-01-06 00:30"])
    seconds = [int(day.timestamp()) for day in days]
    forms = {
        "naive": days,
        "zoned": days.tz_localize("UTC").tz_convert("Asia/Tokyo"),
        "text": ["2026-01-05T23:30", "2026-01-06 00:30:00Z"],
        "offset": ["2026-01-06T00:30+01:00", "2026-01-05T19:30-05:00"],
        "seconds": seconds,
        "milliseconds": [1000 * one for one in seconds],
        "objects": pd.Series([day.to_pydatetime() for day in days], dtype=object),
    }
    for name, times in forms.items():
        frame = pd.DataFrame({"at": times, "wind": [1.0, 2.0]})
        made = profile_frame(frame, tmp_path / name, Recipe("at", "day"), now=NOW)
        assert [one.start.day for one in made.profiles] == [5, 6], name
        made = profile_frame(pa.Table.from_pandas(frame), tmp_path / f"arrow {name}", Recipe("at"), now=NOW)
        assert [one.start.day for one in made.profiles] == [5, 6], name


def test_rows_without_a_time_and_of_the_future_are_kept_and_told(tmp_path):
    frame = pd.DataFrame({"at": ["2026-01-05", None, "soon", "2090-01-01"], "wind": [1.0, 2.0, 3.0, 4.0]})
    made = profile_frame(frame, tmp_path / "out", Recipe("at"), now=NOW.replace(month=2))
    assert [(one.path.name, one.rows) for one in made.profiles] == [
        ("20260105T00.bin", 1),
        ("20900101T00.bin", 1),
        ("without-time.bin", 2),
    ]
    assert made.findings == [
        "2 rows have no time in 'at', and a profile without a window.",
        "1 row is of the future; is 'at' in another zone or unit?",
    ]


@pytest.mark.parametrize(
    ("frame", "findings"),
    [
        (pd.DataFrame({"x": pd.Series([], dtype="float64")}), ["There are no rows."]),
        (pd.DataFrame({"x": [1.5]}), []),
        (pd.DataFrame({"x": [None, None]}), []),
        (pd.DataFrame(np.ones((3, 2000)), columns=[f"x{i}" for i in range(2000)]), []),
        (pd.DataFrame({"x": pd.Series([1, "a", None, [2]], dtype=object)}), []),
    ],
    ids=["zero rows", "one row", "all null", "2000 columns", "mixed"],
)
def test_odd_frames_are_profiled(frame, findings, tmp_path):
    made = profile_frame(frame, tmp_path / "out", Recipe())
    assert made.findings == findings
    assert len(profiles.summary(made.profiles[0].view())) == frame.shape[1]


def test_a_million_categories_take_a_bounded_profile(tmp_path):
    path = tmp_path / "many.parquet"
    pq.write_table(pa.table({"x": pa.array(np.arange(10**6)).cast("string")}), path, row_group_size=250_000)
    made = profile_files(path, tmp_path / "out", Recipe(), processes=1)
    seen = profiles.summary(made.profiles[0].view())["x"]
    assert seen.rows == 10**6
    assert seen.distinct == pytest.approx(10**6, rel=0.05)
    assert made.profiles[0].path.stat().st_size < 200_000


def test_what_cannot_be_read_is_named_and_nothing_is_written(files, tmp_path):
    def fails(source, match, error=InputError, **recipe) -> None:
        with pytest.raises(error, match=match):
            profile_files(source, tmp_path / "out", Recipe(**recipe))
        assert not (tmp_path / "out").exists()

    fails(tmp_path / "none.parquet", "no Parquet or CSV", NotFoundError)
    fails(files / "read.me", "cannot be read as Parquet")
    whole = (files / "first.parquet").read_bytes()
    (tmp_path / "torn.parquet").write_bytes(whole[:-100])
    fails(tmp_path / "torn.parquet", "torn.parquet cannot be read")
    (tmp_path / "bits.parquet").write_bytes(whole[:40] + b"\x00" * 400 + whole[440:])
    fails(tmp_path / "bits.parquet", "bits.parquet cannot be read")
    (tmp_path / "ragged.csv").write_text("x,y\n1,2\n3,4,5\n")
    fails(tmp_path / "ragged.csv", "ragged.csv cannot be read: .* got 3")
    fails(files, "no column 'when'", time="when")


def test_a_csv_that_turns_to_other_types_late_keeps_every_value(tmp_path, monkeypatch):
    monkeypatch.setattr(backfill, "_CSV_BLOCK", 1024)
    late = tmp_path / "late.csv"
    late.write_text("x,y\n" + "1,2.5\n" * 1000 + "word,\n,soon\n2,0.5\n")
    (made,) = profile_files(late, tmp_path / "out", Recipe()).profiles
    seen = profiles.summary(made.view())
    told = {name: {kind: n for kind, n in one.types.items() if n} for name, one in seen.items()}
    assert told == {"x": {"integral": 1001, "string": 1}, "y": {"fractional": 1001, "string": 1}}
    assert (seen["x"].nulls, seen["y"].nulls, seen["x"].maximum, made.rows) == (1, 1, 2.0, 1003)


def test_an_error_in_another_process_arrives_as_it_is(files, tmp_path):
    with pytest.raises(InputError, match="no column 'when'") as caught:
        profile_files(files, tmp_path / "out", Recipe("when"), processes=2)
    assert "wind" in caught.value.hint


def test_ctrl_c_leaves_nothing_half_written(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for number in range(40):
        frame = pd.DataFrame(
            {"at": pd.date_range("2026", periods=40_000, freq="min"), "x": np.arange(40_000)}
        )
        frame.to_parquet(source / f"{number}.parquet")
    script = (
        "import sys; from pathlib import Path; from taxiway.monitoring.backfill import *\n"
        "if __name__ == '__main__':\n"
        "    profile_files(sys.argv[1], Path(sys.argv[2]), Recipe('at', 'hour'), processes=2,"
        " progress=lambda done, of: print(done, flush=True))"
    )
    (tmp_path / "run.py").write_text(script)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py"), str(source), str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline().strip() == "1"
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.py", "source"]
    deadline = time.monotonic() + 10
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(process.pid), "its workers ended with it"


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_chunk_is_read_a_batch_at_a_time(tmp_path, monkeypatch):
    """Memory is bounded by a batch, whatever a row group holds."""
    pq.write_table(pa.table({"x": np.arange(300_000)}), tmp_path / "x.parquet", row_group_size=300_000)
    sizes: list[int] = []
    made = profiles.profile
    monkeypatch.setattr(
        profiles, "profile", lambda frame, **more: sizes.append(len(frame)) or made(frame, **more)
    )
    (piece,) = profile_chunk(Chunk(str(tmp_path / "x.parquet"), 0), Recipe())
    assert piece.rows == sum(sizes) == 300_000
    assert max(sizes) <= 65_536


def test_the_command_profiles_files_and_shows_a_bin_file(files, tmp_path):
    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", "from taxiway.cli import main; main()", "profile", *words],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env={**os.environ, "TAXIWAY_HOME": str(tmp_path / "home")},
            check=True,
        )
        return done.stdout

    made = json.loads(run(str(files), "--time", "date", "--by", "month", "--json"))
    assert made["rows"] == 1461
    assert len(made["profiles"]) == 48
    shown = json.loads(run("show", str(tmp_path / made["profiles"][0]["path"]), "--json"))
    assert shown["about"]["rows"] == "31"
    assert {column["column"] for column in shown["columns"]} >= {"wind", "weather"}
