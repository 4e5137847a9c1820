"""Seattle's daily weather, real data that ship with vega_datasets."""

from __future__ import annotations

import pandas as pd
from vega_datasets import local_data


def seattle() -> pd.DataFrame:
    frame = local_data.seattle_weather()
    return frame.assign(date=pd.to_datetime(frame["date"]))


def of_year(frame: pd.DataFrame, year: int) -> pd.DataFrame:
    return frame[frame["date"].dt.year == year].drop(columns="date")


def of_month(frame: pd.DataFrame, year: int, month: int) -> pd.DataFrame:
    chosen = (frame["date"].dt.year == year) & (frame["date"].dt.month == month)
    return frame[chosen].drop(columns="date")
