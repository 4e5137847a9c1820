"""Real data that packages bring along, each as a reference and a window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from river.datasets import TrumpApproval
from sklearn import datasets
from vega_datasets import local_data

from tests.monitoring.weather import of_year, seattle

Pair = tuple[str, pd.DataFrame, pd.DataFrame]


def pairs(macrodata: Path | None) -> Iterator[Pair]:
    """Give name, reference and window; the statsmodels data if they have been written there."""
    weather = seattle()
    year, quarter = weather["date"].dt.year, weather["date"].dt.quarter
    before, plain = of_year(weather, 2012), weather.drop(columns="date")
    for later in (2013, 2014, 2015):
        yield f"Seattle weather {later}", before, plain[year == later]
    for season in (1, 2, 3, 4):
        yield f"Seattle weather 2013 Q{season}", before, plain[(year == 2013) & (quarter == season)]
    polls = pd.DataFrame([{**polled, "approval": approval} for polled, approval in TrumpApproval()])
    years = polls.pop("ordinal_date").map(lambda day: pd.Timestamp.fromordinal(int(day)).year)
    yield "TrumpApproval 2018", polls[years == 2017], polls[years == 2018]
    yield "TrumpApproval 2019", polls[years == 2018], polls[years == 2019]
    jobs = local_data.us_employment()
    years = pd.to_datetime(jobs.pop("month")).dt.year
    yield "US employment 2009-10", jobs[years <= 2008], jobs[years.between(2009, 2010)]
    yield "US employment 2014-15", jobs[years <= 2008], jobs[years >= 2014]
    temps = local_data.sf_temps()
    summer = pd.to_datetime(temps.pop("date")).dt.month.isin([7, 8])
    yield "San Francisco summer", temps, temps[summer]
    if macrodata is not None and macrodata.exists():
        macro = pd.read_parquet(macrodata)
        years, macro = macro["year"], macro.drop(columns=["year", "quarter"])
        yield "US macrodata 1980s", macro[years < 1980], macro[years.between(1980, 1989)]
    yield from _halves()


def _halves() -> Iterator[Pair]:
    """Give scikit-learn's tables, dealt at random in two halves: nothing has moved."""
    for name in ("breast_cancer", "wine", "diabetes", "iris"):
        frame = getattr(datasets, f"load_{name}")(as_frame=True).data
        shuffled = frame.iloc[np.random.default_rng(0).permutation(len(frame))]
        half = len(frame) // 2
        yield f"{name.replace('_', ' ')}, halves", shuffled.iloc[:half], shuffled.iloc[half:]


def wide(rows: int, columns: int) -> pd.DataFrame:
    """Make a table of which half is floats, a quarter integers, a quarter texts: no truth is asked of it."""
    rng = np.random.default_rng(0)
    half, quarter = columns // 2, columns // 4
    return pd.DataFrame(
        {
            **{f"float_{i}": rng.normal(size=rows) for i in range(half)},
            **{f"int_{i}": rng.integers(0, 1000, rows) for i in range(quarter)},
            **{f"text_{i}": rng.choice(list("abcdefgh"), rows) for i in range(quarter)},
        }
    )
