from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from taxiway.errors import CorruptionError, InputError, NotFoundError
from taxiway.monitoring import profiles
from taxiway.monitoring.profiles import merge, profile, read, summary, write
from tests.monitoring.dtypes import DTYPES


@pytest.mark.parametrize(
    ("series", "nulls", "infinities", "types", "moments", "kind"),
    [case[1:] for case in DTYPES],
    ids=[case[0] for case in DTYPES],
)
def test_every_dtype_is_profiled_rightly(series, nulls, infinities, types, moments, kind, tmp_path):
    view = profile(pd.DataFrame({"x": series}))
    seen = summary(view)["x"]
    assert (seen.rows, seen.nulls, seen.infinities, seen.kind) == (len(series), nulls, infinities, kind)
    assert {name: count for name, count in seen.types.items() if count} == types
    for name, value in moments.items():
        assert getattr(seen, name) == pytest.approx(value), name
    assert summary(read(write(view, tmp_path / "x.bin"))) == summary(view)


def test_frequent_items_quantiles_and_distinct_values_are_told():
    seen = summary(profile(pd.DataFrame({"n": range(100), "c": ["rain"] * 70 + ["sun"] * 30})))
    assert seen["c"].frequent == (("rain", 70), ("sun", 30))
    assert seen["n"].quantiles[0.5] == pytest.approx(50, abs=1)
    assert seen["n"].distinct == pytest.approx(100, rel=0.02)


def test_plain_whylogs_reads_what_is_written(tmp_path):
    path = write(
        profile(pd.DataFrame({"x": [1.0, 3.0, float("inf")], "c": ["a", None, "b"]})), tmp_path / "p.bin"
    )
    script = (
        "import sys; from whylogs.core import DatasetProfileView as V\n"
        "f = V.deserialize(open(sys.argv[1], 'rb').read()).to_pandas()\n"
        "print(f.loc['x', 'distribution/mean'], f.loc['x', 'counts/inf'], f.loc['c', 'counts/null'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["2.0", "1", "1"]


def test_merging_equals_profiling_together_and_changes_no_input():
    frame = pd.DataFrame(
        {"x": np.arange(100) / 7, "c": list("ab") * 50, "t": pd.date_range("2020", periods=100)}
    )
    first, second = profile(frame[:40]), profile(frame[40:].drop(columns="t"))
    before = summary(first), summary(second)
    merged, whole = summary(merge([first, second])), summary(profile(frame))
    assert merged["x"].mean == pytest.approx(whole["x"].mean)
    assert merged["x"].stddev == pytest.approx(whole["x"].stddev)
    assert merged["x"].quantiles == whole["x"].quantiles
    assert merged["c"].frequent == whole["c"].frequent
    assert merged["t"].kind == "datetime"
    assert (summary(first), summary(second)) == before


def test_merging_nothing_is_refused():
    with pytest.raises(InputError, match="no profile"):
        merge([])


def test_the_time_of_the_data_is_kept(tmp_path):
    view = profile(pd.DataFrame({"x": [1]}), time=datetime(2013, 1, 1))
    assert read(write(view, tmp_path / "p.bin")).dataset_timestamp == datetime(2013, 1, 1, tzinfo=UTC)


def test_two_columns_of_one_name_are_refused_by_name():
    with pytest.raises(InputError, match="'x'"):
        profile(pd.DataFrame([[1, 2]], columns=["x", "x"]))


@pytest.mark.parametrize("data", [b"", b"WHY1", b"not a profile", b"\x00" * 100])
def test_a_broken_file_is_told_from_a_profile(tmp_path, data):
    path = tmp_path / "p.bin"
    path.write_bytes(data)
    with pytest.raises(CorruptionError):
        read(path)


def test_a_truncated_file_is_told(tmp_path):
    path = write(profile(pd.DataFrame({"x": range(1000)})), tmp_path / "p.bin")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(CorruptionError):
        read(path)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(NotFoundError):
        read(tmp_path / "none.bin")


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path, monkeypatch):
    path = write(profile(pd.DataFrame({"x": [1]})), tmp_path / "p.bin")
    old = path.read_bytes()
    monkeypatch.setattr(profiles.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write(profile(pd.DataFrame({"x": [2]})), path)
    assert path.read_bytes() == old
    assert [found.name for found in tmp_path.iterdir()] == ["p.bin"]


def test_texts_that_utf8_cannot_hold_are_counted():
    assert (
        summary(profile(pd.DataFrame({"x": pd.Series(["\ud800", "a"], dtype=object)})))["x"].types["string"]
        == 2
    )


def test_numpy_itself_is_left_as_it_is():
    profile(pd.DataFrame({"x": ["a"]}))
    assert hasattr(np, "unicode_") == (int(np.__version__.partition(".")[0]) < 2)


def test_profiling_reaches_for_no_network_and_whylogs_statistics_are_off():
    script = """
import json, sys
opened = []
quiet = {"socket.__new__", "socket.bind"}  # urllib3 tries, when imported, whether this machine has IPv6
def listen(event, args):
    if event.startswith("socket.") and event not in quiet:
        opened.append(event)
sys.addaudithook(listen)
import os
os.environ.pop("WHYLOGS_NO_ANALYTICS", None)
import pandas as pd
from taxiway.monitoring.profiles import profile, merge
view = profile(pd.DataFrame({"x": [1.0, 2.0], "c": ["a", "b"]}))
merge([view, view]).serialize()
import threading
import whylogs.api.usage_stats as usage
print(json.dumps({"sockets": opened, "off": usage._TELEMETRY_DISABLED, "threads": threading.active_count(),
    "variable": os.environ.get("WHYLOGS_NO_ANALYTICS")}))
"""
    extension = Path(profiles.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(extension)!r})\n{script}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"sockets": [], "off": True, "threads": 1, "variable": "True"}


def test_importing_monitoring_does_not_import_whylogs_or_pandas():
    extension = Path(profiles.__file__).parents[2]
    modules = ["profiles", "drift", "log", "windows", "performance", "rules", "alerts"]
    script = f"import sys; sys.path.insert(0, {str(extension)!r})\n" + "".join(
        f"import taxiway.monitoring.{name}\n" for name in modules
    )
    script += "import taxiway.shadow.compare, taxiway.shadow.replay\n"
    script += "print([m for m in ('whylogs', 'pandas', 'scipy', 'numpy') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_a_broken_file_is_told_in_one_sentence_and_whylogs_says_nothing_beside_it(tmp_path):
    path = write(profile(pd.DataFrame({"x": range(100)})), tmp_path / "p.bin")
    path.write_bytes(path.read_bytes()[:100])
    script = (
        "import sys; from pathlib import Path; from taxiway.monitoring.profiles import read\n"
        "try: read(Path(sys.argv[1]))\nexcept Exception as error: print(type(error).__name__)"
    )
    extension = Path(profiles.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(extension)},
        check=True,
    )
    assert (done.stdout, done.stderr) == ("CorruptionError\n", "")
