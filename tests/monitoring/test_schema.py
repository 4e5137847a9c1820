"""The shape of the data, told by name from profiles of Seattle's weather."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from taxiway.monitoring.profiles import profile, summary
from taxiway.monitoring.schema import SchemaChange, likeness, schema_changes
from tests.monitoring.weather import of_month, of_year, seattle

WEATHER = seattle()
REFERENCE = of_year(WEATHER, 2012)


def changes(window: pd.DataFrame, reference: pd.DataFrame = REFERENCE, **more: object) -> list[SchemaChange]:
    return schema_changes(summary(profile(reference)), summary(profile(window)), **more)  # type: ignore[arg-type]


def told(window: pd.DataFrame, reference: pd.DataFrame = REFERENCE) -> dict[tuple[str, str], SchemaChange]:
    return {(change.kind, change.column): change for change in changes(window, reference)}


def test_the_same_data_have_the_same_shape():
    assert changes(REFERENCE) == []


def test_a_column_that_is_added_is_told_by_name_with_its_type_and_an_example():
    (change,) = changes(REFERENCE.assign(account_type="gold"))
    assert (change.kind, change.column, change.found, change.example) == (
        "added",
        "account_type",
        "string",
        "gold",
    )
    assert "`account_type` is new" in change.text


def test_a_column_that_is_gone_is_told_by_name():
    (change,) = changes(REFERENCE.drop(columns="wind"))
    assert (change.kind, change.column, change.found) == ("removed", "wind", "absent")


@pytest.mark.parametrize("name", ["tempMax", "TEMP_MAX", "max temp", "temp_maximum"])
def test_a_column_that_is_renamed_is_told_as_such_and_not_as_one_gone_and_one_new(name):
    (change,) = changes(REFERENCE.rename(columns={"temp_max": name}))
    assert (change.kind, change.column, change.related) == ("renamed", "temp_max", name)


def test_two_columns_that_are_renamed_are_not_confused():
    found = changes(REFERENCE.rename(columns={"temp_max": "maximum_temp", "temp_min": "minimum_temp"}))
    assert {change.column: change.related for change in found} == {
        "temp_max": "maximum_temp",
        "temp_min": "minimum_temp",
    }


def test_a_new_column_of_other_values_is_no_rename():
    window = REFERENCE.drop(columns="wind").assign(customer_id=np.arange(len(REFERENCE)) + 10**6)
    assert set(told(window)) == {("removed", "wind"), ("added", "customer_id")}


def test_numbers_that_became_text_are_retyped():
    change = told(REFERENCE.assign(wind=REFERENCE["wind"].astype(str)))["retyped", "wind"]
    assert (change.expected, change.found) == ("number", "string")


@pytest.mark.parametrize(
    ("column", "factor", "offset", "unit"),
    [
        ("wind", 1000.0, 0.0, "1,000"),
        ("wind", 0.001, 0.0, "1,000"),
        ("wind", 3600.0, 0.0, "seconds for hours"),
        ("temp_max", 1.8, 32.0, "Fahrenheit for Celsius"),
        ("temp_min", 1.0, 273.15, "kelvin for Celsius"),
    ],
)
def test_a_change_of_unit_is_told_with_its_factor(column, factor, offset, unit):
    other_year = of_year(WEATHER, 2014)
    window = other_year.assign(**{column: other_year[column] * factor + offset})
    found = told(window, of_year(WEATHER, 2013))
    assert [key for key in found if key[0] == "rescaled"] == [("rescaled", column)]
    change = found["rescaled", column]
    assert change.value == pytest.approx(factor, rel=0.01)
    assert unit in change.text


def test_another_unit_shows_where_most_values_are_zero():
    window = REFERENCE.assign(precipitation=REFERENCE["precipitation"] / 1000)
    assert told(window)["rescaled", "precipitation"].value == pytest.approx(0.001)


def test_no_month_and_no_year_of_real_weather_looks_like_another_unit():
    for year in range(2012, 2016):
        assert not [key for key in told(of_year(WEATHER, year)) if key[0] == "rescaled"]
        for month in range(1, 13):
            found = told(of_month(WEATHER, year, month))
            assert not [key for key in found if key[0] in ("rescaled", "retyped", "null_share")], (
                year,
                month,
            )


def test_samples_of_the_reference_have_its_shape():
    rng = np.random.default_rng(0)
    for size in (1, 30, 100, 1000):
        for _ in range(20):
            window = REFERENCE.iloc[rng.integers(len(REFERENCE), size=size)]
            assert changes(window) == []


def test_a_column_that_became_constant_is_told():
    change = told(REFERENCE.assign(wind=3.0))["constant", "wind"]
    assert change.example == "3"
    assert told(REFERENCE.assign(weather="sun"))["constant", "weather"].example == "sun"


def test_few_rows_of_one_value_are_no_constant():
    assert ("constant", "weather") not in told(REFERENCE[REFERENCE["weather"] == "sun"].head(5))


def test_missing_values_that_were_not_there_are_told_with_their_share():
    wind = REFERENCE["wind"].where(np.arange(len(REFERENCE)) % 5 > 0)
    change = told(REFERENCE.assign(wind=wind))["null_share", "wind"]
    assert change.value == pytest.approx(0.2, abs=0.01)


def test_a_new_category_is_told_by_name():
    weather = REFERENCE["weather"].where(np.arange(len(REFERENCE)) % 50 > 0, "hail")
    change = told(REFERENCE.assign(weather=weather))["new_category", "weather"]
    assert change.example == "hail"
    assert "'hail'" in change.text


def test_no_value_of_a_sensitive_column_is_shown():
    window = REFERENCE.assign(weather="hail", ssn="078-05-1120", wind=REFERENCE["wind"].map("{}m".format))
    found = changes(window, sensitive=["weather", "ssn", "wind"])
    assert {change.column for change in found} == {"weather", "ssn", "wind"}
    for change in found:
        assert change.example is None
        assert not any(value in repr(change) for value in ("hail", "078", "0m"))


def test_windows_of_no_rows_one_row_or_nulls_alone_are_no_trouble():
    nothing = REFERENCE.assign(**dict.fromkeys(REFERENCE.columns))
    assert changes(REFERENCE.head(0)) == []
    assert changes(REFERENCE.head(1)) == []
    assert {change.kind for change in changes(nothing)} == {"null_share"}
    assert changes(REFERENCE, reference=nothing) == []


def test_names_are_alike_in_any_spelling():
    assert likeness("accountType", "account_type") == 1.0
    assert likeness("account_type", "acct_type") > 0.6
    assert likeness("account_type", "wind") < 0.4
