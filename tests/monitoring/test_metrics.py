"""Metrics, their intervals, rankings and slices, beside scikit-learn and scipy."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sk
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from taxiway.errors import InputError
from taxiway.monitoring.fairness import slice_performance
from taxiway.monitoring.intervals import Bootstrap, share_difference, wilson
from taxiway.monitoring.metrics import roc_auc
from taxiway.monitoring.performance import Outputs, Performance, performance
from taxiway.monitoring.ranking import rankings


def classified(x, y, model=None) -> tuple[pd.DataFrame, Outputs]:
    """What a real classifier says of the other half of real data."""
    x, y = np.asarray(x), np.asarray(y)
    half = np.arange(len(y)) % 2 == 0
    fitted = (model or GaussianNB()).fit(x[half], y[half])
    names = [str(label) for label in fitted.classes_]
    frame = pd.DataFrame(
        fitted.predict_proba(x[~half]), columns=[f"out.probability_{name}" for name in names]
    )
    frame = frame.assign(**{"out.label": fitted.predict(x[~half]), "outcome": y[~half]})
    frame["id"] = [str(row) for row in frame.index]
    probabilities = tuple(f"out.probability_{name}" for name in names)
    return frame, Outputs("classification", "out.label", probabilities, tuple(names))


def is_even(y):
    return (np.asarray(y) % 2 == 0).astype(int)


def test_metrics_of_two_classes_are_scikit_learns():
    x, y = load_digits(return_X_y=True)
    frame, outputs = classified(x, is_even(y))
    found = performance(frame, outputs).metrics
    truth, label, p = frame["outcome"], frame["out.label"], frame["out.probability_1"]
    for name, value in {
        "precision": sk.precision_score(truth, label),
        "recall": sk.recall_score(truth, label),
        "roc_auc": sk.roc_auc_score(truth, p),
        "log_loss": sk.log_loss(truth, p),
        "brier": sk.brier_score_loss(truth, p),
    }.items():
        assert found[name].value == pytest.approx(value), name
        assert found[name].low < value < found[name].high, name


def test_metrics_of_many_classes_are_scikit_learns_however_probabilities_were_logged():
    frame, outputs = classified(*load_digits(return_X_y=True))
    table = frame[list(outputs.probabilities)].to_numpy()
    one = frame.drop(columns=list(outputs.probabilities)).assign(**{"out.p": list(table)})
    truth = frame["outcome"].to_numpy()
    for joined, told in (
        (frame, outputs),
        (one, Outputs("classification", "out.label", ("out.p",), outputs.classes)),
    ):
        found = performance(joined, told).metrics
        assert "precision" not in found
        assert found["roc_auc"].value == pytest.approx(sk.roc_auc_score(truth, table, multi_class="ovr"))
        assert found["log_loss"].value == pytest.approx(sk.log_loss(truth, table))
        squares = ((table - np.eye(10)[truth]) ** 2).sum(axis=1)
        assert found["brier"].value == pytest.approx(squares.mean())


def test_an_outcome_that_is_no_class_and_a_missing_probability_crash_nothing():
    frame, outputs = classified(*load_iris(return_X_y=True))
    frame.loc[0, "outcome"] = 7
    frame.loc[1, "out.probability_1"] = np.nan
    found = performance(frame, outputs)
    assert found.n_labelled == len(frame)
    rest = frame.iloc[2:]
    expected = sk.log_loss(rest["outcome"], rest[list(outputs.probabilities)])
    assert found.metrics["log_loss"].value == pytest.approx(expected)


def test_regression_metrics_are_scikit_learns_and_mape_only_where_it_makes_sense():
    drawn = np.random.default_rng(0)
    truth = drawn.gamma(5, size=400) + 1
    said = truth * drawn.normal(1.05, 0.1, 400)
    found = performance(pd.DataFrame({"out.p": said, "outcome": truth}), Outputs("regression", "out.p"))
    for name, value in {
        "mae": sk.mean_absolute_error(truth, said),
        "rmse": sk.root_mean_squared_error(truth, said),
        "bias": float(np.mean(said - truth)),
        "r2": sk.r2_score(truth, said),
        "mape": sk.mean_absolute_percentage_error(truth, said),
    }.items():
        assert found.metrics[name].value == pytest.approx(value), name
        assert found.metrics[name].low < value < found.metrics[name].high, name
    around_zero = pd.DataFrame({"out.p": said, "outcome": truth - truth.mean()})
    assert "mape" not in performance(around_zero, Outputs("regression", "out.p")).metrics


@pytest.mark.parametrize("n", [8, 60, 2500])
def test_bootstrap_intervals_cover_as_often_as_they_say(n: int):
    drawn = np.random.default_rng(n)
    inside = 0
    for seed in range(100):
        found = Bootstrap(n, seed=seed).mean(drawn.exponential(size=n))
        inside += found.low <= 1 <= found.high
    assert inside / 100 > 0.84  # 95 %, less what skewness and 100 tries take


def test_an_interval_is_deterministic_and_agrees_with_scipys_bootstrap():
    values = np.random.default_rng(1).exponential(size=3000)
    found, again = (Bootstrap(3000, seed=4).mean(values) for _ in range(2))
    assert found == again
    theirs = stats.bootstrap((values,), np.mean, method="percentile", random_state=1).confidence_interval
    assert found.low == pytest.approx(theirs.low, abs=0.01)
    assert found.high == pytest.approx(theirs.high, abs=0.01)


def test_the_cost_of_intervals_does_not_grow_with_the_rows():
    def took(n: int) -> float:
        values = np.random.default_rng(0).normal(size=n)
        frame = pd.DataFrame({"out.p": values + 9, "outcome": values + 10})
        start = time.process_time()
        performance(frame, Outputs("regression", "out.p"))
        return time.process_time() - start

    took(1000)
    assert took(200_000) < 12 * took(2000)  # 100 times the rows; drawing rows would cost 100 times as much


def test_delongs_interval_covers():
    inside = 0
    for seed in range(200):
        drawn = np.random.default_rng(seed)
        y = (drawn.random(150) < 0.4).astype(np.int64)
        score = stats.norm.cdf(drawn.normal(size=150) + y)
        found = roc_auc(y, np.column_stack([1 - score, score]))
        inside += found.low <= stats.norm.cdf(1 / 2**0.5) <= found.high
    assert 0.91 < inside / 200 < 0.99


def test_newcombes_difference_is_his_own_example():
    # Newcombe 1998, example (a): 56/70 - 48/80, method 10: 0.0524 to 0.3339
    found = share_difference(wilson(56, 70), wilson(48, 80))
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))


def ranked() -> pd.DataFrame:
    """Digits ranked by a classifier's probability that they are a three, in queries of 25."""
    x, y = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=2000).fit(x[:300], y[:300] == 3)
    score = model.predict_proba(x[300:1300])[:, 1]
    return pd.DataFrame(
        {
            "id": range(1000),
            "request": np.arange(1000) // 25,
            "out.score": score,
            "outcome": np.where(y[300:1300] == 3, 2, np.where(y[300:1300] == 8, 1, 0)),
        }
    )


def test_ranking_metrics_are_scikit_learns_ties_and_all():
    frame = ranked()
    frame["out.score"] = frame["out.score"].round(2)
    found = performance(frame, Outputs("ranking", "out.score")).metrics
    gains, precisions, reciprocals = [], [], []
    for _, query in frame.groupby("request"):
        gain, score = query["outcome"].to_numpy(), query["out.score"].to_numpy()
        if not gain.any():
            continue
        gains.append(sk.ndcg_score([gain], [score], k=10))
        precisions.append(sk.label_ranking_average_precision_score([gain > 0], [score]))
        reciprocals.append(1 / min((score >= one).sum() for one in score[gain > 0]))
    assert found["ndcg"].value == pytest.approx(np.mean(gains))
    assert found["map"].value == pytest.approx(np.mean(precisions))
    assert found["mrr"].value == pytest.approx(np.mean(reciprocals))
    assert found["ndcg"].low < found["ndcg"].value < found["ndcg"].high


def test_a_ranking_without_order_or_relevance_is_no_perfect_one():
    groups = pd.Series(["a"] * 4 + ["b"] * 4)
    found = rankings(groups, np.zeros(8), np.array([1.0, 0, 0, 0, 0, 0, 0, 0]))
    assert found.groups.tolist() == ["a"]
    assert found.ndcg[0] < 0.7
    assert found.reciprocal_rank[0] == 0.25
    empty = performance(
        pd.DataFrame({"id": [], "request": [], "out.score": [], "outcome": []}),
        Outputs("ranking", "out.score"),
    )
    assert empty.main is None


def test_a_ranking_needs_its_group_column():
    with pytest.raises(InputError, match=r"in\.query"):
        performance(ranked(), Outputs("ranking", "out.score", group="in.query"))


def sliced(frame: pd.DataFrame, outputs: Outputs, column: pd.Series) -> dict[str, object]:
    parts = [
        ("site", str(one), f"site = {one}", (column == one).to_numpy()) for one in sorted(column.unique())
    ]
    return {one.value: one for one in slice_performance(frame, outputs, parts)}


def test_a_slice_that_is_worse_is_named_and_chance_is_not():
    x, y = load_digits(return_X_y=True)
    frame, outputs = classified(x, is_even(y))
    drawn = np.random.default_rng(0)
    site = pd.Series(drawn.choice(list("abcd"), len(frame)))
    assert not any(one.worse for one in sliced(frame, outputs, site).values())
    spoilt = (site == "c") & (drawn.random(len(frame)) < 0.3)  # planted
    frame["outcome"] = np.where(spoilt, 1 - frame["outcome"], frame["outcome"])
    found = sliced(frame, outputs, site)
    assert [name for name, one in found.items() if one.worse] == ["c"]
    hits = (frame["out.label"] == frame["outcome"]).to_numpy()
    inside = (site == "c").to_numpy()
    assert found["c"].gap == pytest.approx(hits[inside].mean() - hits[~inside].mean())


def test_fairness_is_the_difference_of_shares():
    x, y = load_digits(return_X_y=True)
    frame, outputs = classified(x, is_even(y))
    site = pd.Series(np.where(np.arange(len(frame)) % 3 == 0, "a", "b"))
    one = sliced(frame, outputs, site)["a"].metrics
    inside, label, truth = (
        (site == "a").to_numpy(),
        frame["out.label"].to_numpy(),
        frame["outcome"].to_numpy(),
    )
    parity = label[inside].mean() - label[~inside].mean()
    opportunity = label[inside & (truth == 1)].mean() - label[~inside & (truth == 1)].mean()
    assert one["demographic_parity_difference"].value == pytest.approx(parity)
    assert one["equal_opportunity_difference"].value == pytest.approx(opportunity)


def test_slices_of_numbers_and_of_rankings_are_compared_and_few_rows_are_not_tested():
    drawn = np.random.default_rng(2)
    truth = drawn.normal(size=300)
    error = np.where(np.arange(300) < 100, 2.0, 1.0) * drawn.normal(size=300)
    frame = pd.DataFrame({"out.p": truth + error, "outcome": truth})
    names = pd.Series(np.where(np.arange(300) < 100, "a", np.where(np.arange(300) < 290, "b", "c")))
    found = sliced(frame, Outputs("regression", "out.p"), names)
    assert (found["a"].worse, found["b"].worse, found["c"].p_value) == (True, False, None)
    queries = ranked()
    query = pd.Series(np.where(queries["request"] < 20, "a", "b"))
    assert sliced(queries, Outputs("ranking", "out.score"), query)["a"].p_value is not None


def test_a_performance_is_read_back():
    frame, outputs = classified(*load_iris(return_X_y=True))
    parts = [("x", "a", "x = a", np.arange(len(frame)) < 30)]
    found = performance(frame, outputs, slices=slice_performance(frame, outputs, parts))
    assert Performance.from_dict(found.to_dict()) == found
