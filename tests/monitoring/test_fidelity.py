"""Profiles say the same whatever library a frame is of, and the same as whylogs where whylogs is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from taxiway.errors import CorruptionError, InputError
from taxiway.monitoring import binary
from taxiway.monitoring.profiles import merge, profile, read, summary, write
from tests.monitoring.dtypes import DTYPES

ROWS = 3000
RANK_ERROR = 0.04  # of two sketches, which drop by chance: three times the 1.3 % that one has 99 times of 100


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Planted: heavy and light values, integers that repeat, a constant, booleans."""
    generator = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "number": generator.normal(3, 2, ROWS),
            "count": generator.integers(-20, 400, ROWS),
            "word": generator.choice(["sun", "rain", "ü" * 200, "fog"], ROWS, p=[0.6, 0.3, 0.06, 0.04]),
            "id": [f"row {i}" for i in range(ROWS)],
            "flag": generator.random(ROWS) < 0.3,
            "constant": 7,
        }
    )


def test_a_profile_equals_that_of_plain_whylogs(frame):
    ours = profile(frame)
    import whylogs

    plain = whylogs.log(frame).view()
    mine, theirs = ours.to_pandas(), plain.to_pandas()
    assert set(mine.columns) == set(theirs.columns)
    for column in frame.columns:
        for figure in mine.columns:
            if column == "flag" and not hasattr(plain.get_column("flag").get_metric("counts"), "true"):
                continue  # whylogs 1.1 knows no booleans
            one, other = mine.loc[column, figure], theirs.loc[column, figure]
            if figure == "frequent_items/frequent_strings":
                if column != "id":  # more values than counters: which are kept is by chance
                    items = [one, other] if isinstance(one, list) else [[], []]  # NaN: it has none
                    mine_, theirs_ = ({(item.value, item.est) for item in some} for some in items)
                    assert mine_ == theirs_
            elif (figure.startswith("distribution/q_") or figure == "distribution/median") and one == one:
                ranks = [(frame[column] <= value).mean() for value in (one, other)]
                ties = (frame[column] == one).mean()
                assert abs(ranks[0] - ranks[1]) <= RANK_ERROR + ties, (column, figure)
            elif isinstance(one, str):
                assert one == other
            else:
                assert one == pytest.approx(other, nan_ok=True), (column, figure)


def test_values_with_a_count_are_bounded_as_whylogs_bounds_them():
    """More distinct values than the sketch counts: the frequent ones stay, with what they are."""
    words = ["often"] * 5000 + [f"word {i}" for i in range(20_000)]
    seen = summary(profile(pd.DataFrame({"x": words})))["x"]
    assert seen.distinct == pytest.approx(20_001, rel=0.05)
    assert seen.frequent[0] == ("often", pytest.approx(5000, abs=100))


# a period is pandas' own type, and Arrow holds one type a column
OF_ARROW = [case for case in DTYPES if case[0] not in ("period", "mixed")]


@pytest.mark.parametrize("library", ["arrow", "polars"])
@pytest.mark.parametrize("case", OF_ARROW, ids=[case[0] for case in OF_ARROW])
def test_every_dtype_is_profiled_rightly_from_arrow_and_polars(case, library):
    _, series, nulls, infinities, types, moments, kind = case
    table = pa.table({"x": pa.chunked_array([pa.array(series, from_pandas=True)])})
    frame = table if library == "arrow" else pl.from_arrow(table)
    seen = summary(profile(frame))["x"]
    assert (seen.rows, seen.nulls, seen.infinities) == (len(series), nulls, infinities)
    # pandas makes floats of integers with missing values, which Arrow cannot know any more
    told = {kind_: count for kind_, count in seen.types.items() if count}
    if "integral" in types:
        assert sum(told.values()) == sum(types.values())
    else:
        assert told == types
    assert seen.kind == kind
    for figure, value in moments.items():
        assert getattr(seen, figure) == pytest.approx(value), figure


def test_python_objects_in_a_polars_frame_are_profiled_one_by_one():
    frame = pl.DataFrame({"x": pl.Series("x", [1, 2.5, "a", True, None, (1, 2)], dtype=pl.Object)})
    seen = summary(profile(frame))["x"]
    assert {kind: n for kind, n in seen.types.items() if n} == {
        "integral": 1, "fractional": 1, "string": 1, "boolean": 1, "object": 1
    }  # fmt: skip
    assert seen.nulls == 1


def test_types_that_arrow_or_its_kernels_lack_are_profiled_all_the_same():
    views = pa.table({"x": pa.array(["a", None, "b", "a"], pa.string_view())})
    seen = summary(profile(views))["x"]
    assert (seen.kind, seen.nulls, dict(seen.frequent)) == ("categorical", 1, {"a": 2, "b": 1})
    wide = pl.DataFrame({"x": pl.Series([1, 2, None, 2**100], dtype=pl.Int128)})
    seen = summary(profile(wide))["x"]
    assert (seen.kind, seen.nulls, seen.maximum) == ("numeric", 1, 2.0**100)


def test_what_is_no_frame_is_refused_with_what_would_be_one():
    with pytest.raises(InputError, match="LazyFrame") as caught:
        profile(pl.DataFrame({"x": [1]}).lazy())
    assert "collect" in caught.value.hint


def test_lists_and_structs_are_counted_as_objects():
    table = pa.table({"x": [[1, 2], None], "y": [{"a": 1}, {"a": 2}]})
    seen = summary(profile(table))
    assert (seen["x"].nulls, seen["x"].types["object"], seen["y"].types["object"]) == (1, 1, 2)


def test_a_stored_profile_says_what_the_one_in_memory_said_and_merges_alike(frame, tmp_path):
    halves = [profile(part) for part in (frame[:1000], frame[1000:])]
    paths = [write(view, tmp_path / f"{i}.bin") for i, view in enumerate(halves)]
    assert [summary(read(path)) for path in paths] == [summary(view) for view in halves]
    merged, together = summary(merge([read(path) for path in paths])), summary(profile(frame))
    for name, one in merged.items():
        assert (one.rows, one.nulls, one.types) == (
            together[name].rows,
            together[name].nulls,
            together[name].types,
        )
        assert one.mean == pytest.approx(together[name].mean)
        assert one.stddev == pytest.approx(together[name].stddev)
    again = write(merge([read(path) for path in paths]), tmp_path / "merged.bin")
    assert summary(read(again)).keys() == merged.keys()


def test_one_wrong_bit_anywhere_in_a_stored_profile_is_found(frame, tmp_path):
    path = write(profile(frame.head(50)), tmp_path / "p.bin")
    data = path.read_bytes()
    for place in range(5, len(data), len(data) // 40):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(CorruptionError):
            read(path)


def test_a_profile_that_plain_whylogs_wrote_is_read(frame, tmp_path):
    profile(frame.head(1))
    import whylogs

    view = whylogs.log(frame).view()
    path = tmp_path / "plain.bin"
    path.write_bytes(view.serialize())
    assert binary.opened(path.read_bytes()) is None
    assert summary(read(path))["number"].mean == pytest.approx(frame["number"].mean())
    assert summary(merge([read(path), profile(frame)]))["number"].rows == 2 * ROWS


@pytest.mark.parametrize("version", ["1.1.46", "1.6.4"])
def test_a_profile_of_another_version_of_whylogs_is_read_and_merged(version, tmp_path):
    """Written by plain whylogs of that version, of the first 60 days of Seattle's weather."""
    view = read(Path(__file__).parent / "foreign" / f"whylogs-{version}.bin")
    seen = summary(view)
    assert (seen["temp_max"].rows, seen["temp_max"].kind) == (60, "numeric")
    assert seen["temp_max"].mean == pytest.approx(8.128333, rel=1e-6)
    assert dict(seen["weather"].frequent)["rain"] == 35
    days = pd.DataFrame({"temp_max": [1.0, 2.0], "weather": ["rain", "sun"], "wet": [True, False]})
    ours = write(merge([view, profile(days)]), tmp_path / "merged.bin")
    merged = summary(read(ours))
    assert (merged["temp_max"].rows, merged["wet"].rows) == (62, 62)
    assert dict(merged["weather"].frequent)["rain"] == 36
