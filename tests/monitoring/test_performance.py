from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics

from taxiway.errors import InputError
from taxiway.monitoring.log import outcomes_frame, predictions_frame
from taxiway.monitoring.performance import Outputs, correct, join_outcomes, performance
from tests.monitoring.records import AT, outcome, prediction


def joined(label, truth) -> pd.DataFrame:
    return pd.DataFrame({"out.label": label, "outcome": truth})


@pytest.fixture
def labels():
    rng = np.random.default_rng(3)
    truth = rng.choice(["rain", "dry", "snow"], 200, p=[0.4, 0.5, 0.1])
    return np.where(rng.random(200) < 0.75, truth, rng.choice(["rain", "dry"], 200)), truth


def test_classification_metrics_are_scikit_learns(labels):
    found = performance(joined(*labels), Outputs("classification"))
    label, truth = labels
    assert found.metrics["accuracy"].value == pytest.approx(metrics.accuracy_score(truth, label))
    assert found.metrics["balanced_accuracy"].value == pytest.approx(
        metrics.balanced_accuracy_score(truth, label)
    )
    assert found.metrics["f1"].value == pytest.approx(metrics.f1_score(truth, label, average="macro"))
    for one in found.metrics.values():
        assert one.low < one.value < one.high


def test_the_accuracys_interval_is_wilsons(labels):
    found = performance(joined(*labels), Outputs("classification")).metrics["accuracy"]
    expected = stats.binomtest(round(found.value * 200), 200).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_regression_metrics_are_scikit_learns():
    rng = np.random.default_rng(4)
    truth = rng.normal(size=150)
    label = truth + rng.normal(scale=0.3, size=150)
    found = performance(joined(label, truth), Outputs("regression"))
    assert found.main.value == pytest.approx(metrics.mean_absolute_error(truth, label))
    assert found.metrics["rmse"].value == pytest.approx(metrics.root_mean_squared_error(truth, label))
    assert found.main.low < found.main.value < found.main.high


def test_coverage_is_the_share_with_an_outcome():
    found = performance(joined(["a", "b", "a", "a"], ["a", None, "b", None]), Outputs("classification"))
    assert (found.n_predictions, found.n_labelled, found.coverage) == (4, 2, 0.5)
    assert found.main.value == 0.5


@pytest.mark.parametrize("rows", [0, 3])
def test_without_outcomes_there_is_no_metric(rows):
    found = performance(joined(["a"] * rows, [None] * rows), Outputs("classification"))
    assert found.main is None
    assert found.coverage == 0


def test_one_outcome_has_a_wide_interval_and_does_not_crash():
    found = performance(joined(["a"], ["a"]), Outputs("classification")).main
    assert found.low < 0.25
    assert performance(joined([1.0], [2.0]), Outputs("regression")).main.value == 1.0


def test_the_latest_outcome_of_an_id_holds_and_unknown_ids_change_nothing():
    predictions = predictions_frame([prediction(["a", "b", "c"])])
    records = [
        outcome(["a", "x"], ["rain", "dry"], at=AT + 5),
        outcome(["a", "b"], ["dry", "dry"], at=AT + 9),
        outcome(["a"], ["snow"], at=AT + 1),
    ]
    outcomes = outcomes_frame(records)
    assert join_outcomes(predictions, outcomes)["outcome"].tolist()[:2] == ["dry", "dry"]
    assert join_outcomes(predictions, outcomes)["outcome"].isna().tolist() == [False, False, True]


def test_joining_no_outcomes_keeps_the_predictions():
    predictions = predictions_frame([prediction(["a"])])
    assert join_outcomes(predictions, outcomes_frame([]))["outcome"].isna().all()


def test_labels_that_mean_one_thing_are_one():
    assert correct(pd.Series([1, 0, 1]), pd.Series(["1", "0", "0"])).tolist() == [True, True, False]
    assert correct(pd.Series([1.0, 0.0]), pd.Series([True, False])).all()
    assert correct(pd.Series(["rain", "dry"]), pd.Series(["rain", "rain"])).tolist() == [True, False]


def test_an_unknown_task_or_column_is_told():
    with pytest.raises(InputError, match="clustering"):
        performance(joined(["a"], ["a"]), Outputs("clustering"))
    with pytest.raises(InputError, match=r"out\.score"):
        performance(joined(["a"], ["a"]), Outputs("classification", "out.score"))


def test_a_performance_is_json(labels):
    assert (
        json.loads(json.dumps(performance(joined(*labels), Outputs("classification")).to_dict()))["metric"]
        == "accuracy"
    )


def test_an_outcome_that_is_no_number_counts_as_unknown_in_a_regression():
    found = performance(joined([1.0, 2.0, 3.0], ["1.5", "broken", float("inf")]), Outputs("regression"))
    assert (found.n_labelled, found.main.value) == (1, 0.5)
