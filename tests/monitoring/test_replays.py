"""Real data with time, replayed: drift names the columns that a plot shows to have moved, and no others."""

from __future__ import annotations

import pandas as pd
import pytest
from river.datasets import TrumpApproval
from vega_datasets import local_data

from taxiway.monitoring.drift import drift
from taxiway.monitoring.profiles import profile
from tests.monitoring.weather import of_month, of_year, seattle


def moved(reference: pd.DataFrame, window: pd.DataFrame) -> set[str]:
    return {one.column for one in drift(profile(reference), profile(window)) if one.drifted}


@pytest.mark.parametrize(
    ("month", "columns"),
    [
        # A day of 2012: 14.7 °C at most, 7.2 at least, wind 3.0 m/s (medians); rain 52 %, sun 32 %, fog 1 %.
        # January: 6.1 and -0.6 °C, wind 2.7; the weather of 2012.
        (1, {"temp_max", "temp_min"}),
        # April: 13.9 and 6.7 °C, in the middle of the year's; but now 47 % of the days are fog and none rain.
        (4, {"weather"}),
        # July: 26.1 and 13.3 °C; 87 % sun; no wet day, while half of 2012's are; wind never above 4.6,
        # while a quarter of 2012's days have more than 4.3.
        (7, {"temp_max", "temp_min", "weather", "precipitation", "wind"}),
        # October: 14.4 and 7.8 °C, as in the median of 2012; 58 % sun, 39 % fog; calm: wind 1.9.
        (10, {"weather", "wind"}),
    ],
)
def test_seattles_months_of_2013_against_2012(month, columns):
    assert moved(of_year(seattle(), 2012), of_month(seattle(), 2013, month)) == columns


@pytest.mark.parametrize("year", [2013, 2014, 2015])
def test_seattles_years_against_2012(year):
    # Whole years have the same seasons: temp_max 14.7 against 14.4, 16.1, 16.1, wind 3.0 against 2.7, 3.1,
    # 2.9. Only what the weather is called changed: rain from 52 % to 16, 1, 1 %, fog from 1 % to 22, 41,
    # 47 %.
    assert moved(of_year(seattle(), 2012), of_year(seattle(), year)) == {"weather"}


def test_the_presidents_approval_in_2019_against_2018():
    polls = pd.DataFrame([{**polled, "approval": approval} for polled, approval in TrumpApproval()])
    years = polls.pop("ordinal_date").map(lambda day: pd.Timestamp.fromordinal(int(day)).year)
    # Medians, and the middle 80 %, of 2018 and 2019:
    #   morning_consult 41.3 (39.3 to 44.3) and 39.3 (37.5 to 41.1): two points down
    #   you_gov         40.6 (38.6 to 42.6) and 42.1 (40.6 to 43.6): a point and a half up
    #   gallup          40.8 (38.8 to 43.8) and 41.8 (39.8 to 45.8): a point up
    #   ipsos           41.4 (39.0 to 44.1) and 40.6 (39.6 to 41.8): half as wide
    #   approval        41.5 (39.9 to 42.4) and 41.8 (40.7 to 42.5): the low end of early 2018 is gone
    #   rasmussen       42.1 (39.1 to 44.1) and 42.1 (39.1 to 44.1): the same
    assert moved(polls[years == 2018], polls[years == 2019]) == set(polls.columns) - {"rasmussen"}


def test_us_employment_in_the_recession_against_the_years_before():
    jobs = local_data.us_employment()
    years = pd.to_datetime(jobs.pop("month")).dt.year
    # Against 2006 to 2008, the medians of 2009 and 2010 lie 1.4 to 8.6 standard deviations off for every
    # sector but utilities (555.0 and 556.0 thousand, 0.2 off) and mining and logging (725.5 and 695.0, 0.9
    # off, within what they were in 2006). The monthly change is the loss of 2008 going on (0.7 off).
    still = {"utilities", "mining_and_logging", "nonfarm_change"}
    assert moved(jobs[years <= 2008], jobs[years.between(2009, 2010)]) == set(jobs.columns) - still
