from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from taxiway.monitoring.context import DEFAULT_RULES
from taxiway.monitoring.drift import drift
from taxiway.monitoring.findings import schema_findings
from taxiway.monitoring.performance import Outputs, performance
from taxiway.monitoring.profiles import profile
from taxiway.monitoring.rules import (
    Baseline,
    Context,
    ShadowHealth,
    WindowDrift,
    WindowPerformance,
    WindowReadings,
    evaluate,
    fingerprint,
    performance_drop_p_value,
)
from taxiway.monitoring.schema import CHANGE_KINDS
from tests.monitoring.records import finding, prediction, rejected
from tests.monitoring.weather import of_month, of_year, seattle

MODEL = "rain:abc"
NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)


def month(year: int, number: int) -> tuple[str, datetime, datetime]:
    start = datetime(year, number, 1, tzinfo=UTC)
    return f"{start:%b %Y}", start, (start + timedelta(days=32)).replace(day=1)


def measured(
    number: int, hits: int, n: int, *, model: str = MODEL, complete: bool = True
) -> WindowPerformance:
    joined = pd.DataFrame({"out.label": ["rain"] * n, "outcome": ["rain"] * hits + ["dry"] * (n - hits)})
    return WindowPerformance(
        *month(2013, number), model, performance(joined, Outputs("classification")), complete
    )


def errors(number: int, size: float, n: int = 60) -> WindowPerformance:
    rng = np.random.default_rng(number)
    joined = pd.DataFrame({"out.label": rng.normal(scale=size, size=n), "outcome": 0.0})
    return WindowPerformance(*month(2013, number), MODEL, performance(joined, Outputs("regression")))


@pytest.fixture(scope="module")
def windows() -> dict[int, WindowDrift]:
    weather = seattle()
    reference = profile(of_year(weather, 2012))
    return {
        number: WindowDrift(
            *month(2013, number), MODEL, drift(reference, profile(of_month(weather, 2013, number)))
        )
        for number in (1, 4, 7)
    }


def test_nothing_known_fires_nothing():
    assert evaluate(Context("rain")) == []


def test_an_extra_column_is_named_with_its_example():
    extra = [finding("extra", "account_type", example="gold", found="string")]
    (firing,) = evaluate(Context("rain", schema=schema_findings([prediction(["a"], findings=extra)])))
    assert firing.title == "New column `account_type` in requests to rain (1 request, example 'gold')"
    assert (firing.rule, firing.column, firing.severity) == ("schema_added", "account_type", "warning")


def test_removed_and_retyped_columns_are_critical_and_say_what_was_expected():
    records = [
        rejected([finding("missing", "wind")]),
        rejected([finding("retyped", "temp_max", example="warm", expected="number", found="text")]),
    ]
    titles = {firing.rule: firing for firing in evaluate(Context("rain", schema=schema_findings(records)))}
    assert (
        titles["schema_removed"].title == "Column `wind` is missing in requests to rain (1 request rejected)"
    )
    assert titles["schema_retyped"].title == (
        "Column `temp_max` changed type in requests to rain: expected number, found text "
        "(1 request rejected, example 'warm')"
    )
    assert {firing.severity for firing in titles.values()} == {"critical"}


def test_new_categories_and_missing_values_are_told_by_column():
    records = [
        prediction(["a"], findings=[finding("new_category", "weather", example="hail")]),
        rejected([finding("null", "wind")]),
        prediction(["b"], findings=[finding("out_of_range", "wind", example=99)]),
    ]
    firings = evaluate(Context("rain", schema=schema_findings(records)))
    assert [(firing.rule, firing.column) for firing in firings] == [
        ("null_share", "wind"),
        ("new_category", "weather"),
    ]


def test_a_schema_alert_ends_a_day_after_the_last_such_request():
    schema = schema_findings([prediction(["a"], findings=[finding("extra", "account_type")])])
    assert evaluate(Context("rain", schema=schema, now=NOW))
    assert not evaluate(Context("rain", schema=schema, now=NOW + timedelta(days=1)))


def test_drift_says_which_column_which_window_and_how_strong(windows):
    firings = {firing.column: firing for firing in evaluate(Context("rain", MODEL, drift=[windows[1]]))}
    assert set(firings) == {"temp_max", "temp_min"}
    assert firings["temp_max"].title == "`temp_max` drifted in Jan 2013: PSI 1.4, KS p < 0.001"
    assert re.match(r"Median 1\d(\.\d)? → 6\.1; 31 values against 366", firings["temp_max"].detail)
    assert (firings["temp_max"].window, firings["temp_max"].threshold) == ("Jan 2013", 0.2)


def test_only_the_latest_window_that_can_be_judged_counts(windows):
    empty = drift(profile(of_year(seattle(), 2012)), profile(of_month(seattle(), 2013, 8).head(2)))
    later = WindowDrift(*month(2013, 8), MODEL, empty)
    partial = replace(windows[7], complete=False)
    assert {firing.window for firing in evaluate(Context("rain", MODEL, drift=[windows[4], windows[1]]))} == {
        "Apr 2013"
    }
    assert {firing.window for firing in evaluate(Context("rain", MODEL, drift=[windows[1], partial]))} == {
        "Jan 2013"
    }
    assert {firing.window for firing in evaluate(Context("rain", MODEL, drift=[windows[1], later]))} == {
        "Jan 2013"
    }


def test_windows_of_another_model_are_not_judged(windows):
    assert evaluate(Context("rain", "rain:def", drift=[windows[1]])) == []


def test_the_drift_of_an_output_is_a_rule_of_its_own(windows):
    firings = evaluate(Context("rain", MODEL, drift=[windows[1]], outputs=frozenset({"temp_max"})))
    assert {firing.column: firing.rule for firing in firings} == {
        "temp_max": "prediction_drift",
        "temp_min": "data_drift",
    }


def test_a_risen_share_of_missing_values_is_told():
    reference = of_year(seattle(), 2012)
    window = reference.head(40).assign(wind=lambda frame: frame["wind"].where(frame["wind"] > 3))
    columns = drift(profile(reference), profile(window), columns=["wind"])
    (firing,) = [
        one
        for one in evaluate(Context("rain", drift=[WindowDrift(*month(2013, 1), MODEL, columns)]))
        if one.rule == "null_share"
    ]
    assert "Missing values of `wind` went from 0% to" in firing.title


def test_a_significant_drop_below_the_reference_fires():
    (firing,) = evaluate(
        Context("rain", MODEL, performance=[measured(3, 60, 100)], baseline=Baseline(0.85, 366))
    )
    assert firing.title == "Accuracy of rain fell to 60% in Mar 2013, from 85% on the reference"
    assert (firing.rule, firing.severity, firing.value, firing.threshold) == (
        "performance_drop",
        "critical",
        0.6,
        0.85,
    )


@pytest.mark.parametrize(("hits", "n"), [(80, 100), (12, 19), (99, 100)])
def test_a_small_drop_or_few_labels_or_a_rise_do_not_fire(hits, n):
    assert not evaluate(Context("rain", performance=[measured(3, hits, n)], baseline=Baseline(0.85, 366)))


def test_without_a_baseline_the_first_labelled_window_is_it():
    first, second = measured(1, 90, 100), measured(2, 60, 100)
    assert not evaluate(Context("rain", MODEL, performance=[first]))
    (firing,) = evaluate(Context("rain", MODEL, performance=[second, first]))
    assert firing.title.endswith("in Feb 2013, from 90% in Jan 2013")


def test_a_regressions_error_that_rose_fires():
    windows = [errors(1, 1.0), errors(2, 2.0)]
    (firing,) = evaluate(Context("price", performance=windows))
    assert "Mean error of price rose to" in firing.title
    assert not evaluate(Context("price", performance=[errors(1, 1.0), errors(3, 1.0)]))


def test_the_drops_p_value_is_scipys():
    window = measured(3, 60, 100)
    exact = stats.binomtest(60, 100, 0.7, alternative="less").pvalue
    assert performance_drop_p_value(window, Baseline(0.7)) == pytest.approx(exact)
    table = [[60, 40], [70, 30]]
    fisher = stats.fisher_exact(table, alternative="less").pvalue
    assert performance_drop_p_value(window, Baseline(0.7, 100)) == pytest.approx(fisher)


def test_a_failing_shadow_is_told_and_a_stumbling_one_is_not():
    (firing,) = evaluate(Context("rain", shadow=ShadowHealth("rain:def", 100, 12)))
    assert firing.title == "Shadow rain:def failed 12 of 100 requests to rain"
    assert not evaluate(Context("rain", shadow=ShadowHealth("rain:def", 100, 2)))
    assert not evaluate(Context("rain", shadow=ShadowHealth("rain:def", 10_000, 12)))


def test_a_fingerprint_is_the_endpoints_the_rules_and_the_columns_whatever_the_window(windows):
    first = {one.column: one.fingerprint for one in evaluate(Context("rain", drift=[windows[1]]))}
    later = {one.column: one.fingerprint for one in evaluate(Context("rain", drift=[windows[7]]))}
    assert first["temp_max"] == later["temp_max"] == fingerprint("rain", "data_drift", "temp_max")
    assert (
        len(
            {
                fingerprint("rain", "data_drift"),
                fingerprint("rain", "data_drift", "x"),
                fingerprint("a", "data_drift"),
            }
        )
        == 3
    )


def test_the_most_severe_come_first(windows):
    schema = schema_findings([rejected([finding("missing", "wind")])])
    firings = evaluate(Context("rain", MODEL, schema=schema, drift=[windows[1]]))
    assert [firing.severity for firing in firings] == ["critical", "warning", "warning"]


def read(number: int, *, complete: bool = True, **found: object) -> WindowReadings:
    return WindowReadings(*month(2013, number), MODEL, 100, complete=complete, **found)  # type: ignore[arg-type]


def only(context: Context) -> tuple[str, str, str | None]:
    (firing,) = evaluate(context)
    return firing.rule, firing.title, firing.column


def test_the_shape_of_the_data_is_told_from_the_profile_as_soon_as_it_is_sure():
    rescaled = {
        "kind": "rescaled",
        "column": "wind",
        "text": "`wind` seems to be 1000 times as large",
        "value": 1e3,
    }
    constant = {"kind": "constant", "column": "temp_max", "text": "`temp_max` has one value only: 7"}
    filling = read(2, complete=False, quality=[rescaled, constant])
    assert only(Context("rain", MODEL, readings=[read(1), filling])) == (
        "schema_rescaled",
        "`wind` seems to be 1000 times as large in Feb 2013",
        "wind",
    )
    assert [
        one.rule for one in evaluate(Context("rain", MODEL, readings=[read(2, quality=[rescaled, constant])]))
    ] == [
        "schema_rescaled",
        "schema_constant",
    ]
    assert not evaluate(Context("rain", MODEL, readings=[read(1, quality=[rescaled, constant]), read(2)]))
    assert not evaluate(Context("rain", "rain:def", readings=[filling]))


def test_every_kind_of_change_has_a_rule_and_every_rule_a_description():
    for kind in CHANGE_KINDS:
        change = {"kind": kind, "column": "x", "text": "`x` changed"}
        (firing,) = evaluate(Context("rain", readings=[read(1, quality=[change])]))
        assert firing.rule in DEFAULT_RULES


def test_a_renamed_or_reordered_column_of_requests_is_told():
    records = [
        rejected([finding("renamed", "wind", found="wind_speed")]),
        prediction(["a"], findings=[finding("reordered", "temp_max")]),
    ]
    titles = {one.rule: one.title for one in evaluate(Context("rain", schema=schema_findings(records)))}
    assert titles["schema_renamed"].startswith(
        "Column `wind` seems to be named `wind_speed` in requests to rain"
    )
    assert "from `temp_max` on" in titles["schema_reordered"]


def test_columns_that_moved_together_are_told_with_those_that_did_most():
    found = {"method": "domain classifier", "auc": 0.83, "drifted": True, "text": "it tells them apart"}
    found["columns"] = [{"column": "wind", "weight": 0.7}, {"column": "temp_max", "weight": 0.3}]
    assert only(Context("rain", MODEL, readings=[read(1, multivariate=found)]))[1] == (
        "The columns of rain moved together in Jan 2013, most of all `wind`, `temp_max` (AUC 0.83)"
    )
    assert not evaluate(Context("rain", MODEL, readings=[read(1, multivariate={**found, "drifted": False})]))
    assert not evaluate(Context("rain", MODEL, readings=[read(1, multivariate=found, complete=False)]))


def test_an_estimated_drop_is_told_until_outcomes_can_be_measured():
    found = {"method": "cbpe", "metric": "accuracy", "value": 0.7, "low": 0.65, "high": 0.75, "n": 200}
    found["baseline"] = 0.85
    windows = [read(3, estimated=found)]
    rule, title, _ = only(Context("rain", MODEL, readings=windows))
    assert (rule, title) == (
        "estimated_drop",
        "Estimated accuracy of rain fell to 70.0% in Mar 2013, from 85.0%",
    )
    assert not evaluate(Context("rain", MODEL, readings=[read(3, estimated={**found, "high": 0.86})]))
    assert not evaluate(Context("rain", MODEL, readings=[read(3, estimated={**found, "baseline": None})]))
    known = [measured(3, 84, 100)]
    assert not evaluate(Context("rain", MODEL, readings=windows, performance=known, baseline=Baseline(0.85)))
    error = {
        **found,
        "method": "dle",
        "metric": "mae",
        "value": 2.0,
        "low": 1.8,
        "high": 2.2,
        "baseline": 1.0,
    }
    (told,) = evaluate(Context("rain", MODEL, readings=[read(3, estimated=error)]))
    assert "mean error of rain rose to 2" in told.title
    assert told.detail.startswith("By direct loss estimation over")


def test_a_slice_that_fares_worse_and_errors_that_changed_are_told():
    worse = {"column": "weather", "value": "snow", "name": "weather = 'snow'", "gap": -0.2, "worse": True}
    fair = {**worse, "value": "sun", "worse": False}
    assert only(Context("rain", MODEL, readings=[read(1, slices=[worse, fair])])) == (
        "slice_gap",
        "rain fares worse where weather = 'snow' by 0.2 in Jan 2013",
        "weather=snow",
    )
    state = {"method": "adwin", "metric": "mae", "n": 900, "drifted": True, "text": "the mean error went up"}
    state["changes"] = [{"time": "2013-01-01T00:00:00+00:00", "before": 0.1, "after": 0.3, "n": 500}]
    rule, title, _ = only(Context("rain", MODEL, concept=state))
    assert (rule, title) == ("concept_drift", "What rain learnt no longer holds: the mean error went up")
    assert not evaluate(Context("rain", MODEL, concept={**state, "drifted": False}))


def test_a_metric_of_which_more_is_better_falls_and_one_sided_tests_agree():
    joined = pd.DataFrame({"out.label": [0.0] * 60, "outcome": np.random.default_rng(0).normal(size=60)})
    window = WindowPerformance(*month(2013, 3), MODEL, performance(joined, Outputs("regression")))
    ndcg = replace(
        window.performance, metric="ndcg", metrics={"ndcg": replace(window.performance.metrics["mae"])}
    )
    for_less = replace(window, performance=ndcg)
    value = ndcg.metrics["ndcg"].value
    fell = performance_drop_p_value(for_less, Baseline(value + 0.5, 60, ndcg.spread))
    assert fell == pytest.approx(performance_drop_p_value(window, Baseline(value - 0.5, 60, ndcg.spread)))
    assert fell < 0.01


def test_the_panel_explains_every_default_rule_by_its_name():
    source = (Path(__file__).parents[2] / "extension" / "src" / "alerts.ts").read_text()
    meanings = source.partition("MEANINGS = new Map([")[2].partition("]);")[0]
    assert set(re.findall(r"\[\s*'(\w+)',", meanings)) == set(DEFAULT_RULES)
