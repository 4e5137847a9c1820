from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
import pytest

from taxiway.errors import InputError
from taxiway.monitoring.log import outcomes_frame, predictions_frame
from taxiway.shadow.compare import compare

START = pd.Timestamp("2026-01-01", tz="UTC")


def role(labels, *, name="live", latency=1.0, wind=None) -> pd.DataFrame:
    n = len(labels)
    received = START + pd.to_timedelta(np.arange(n), unit="s")
    return pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(n)],
            "request": [f"r{i}" for i in range(n)],
            "time": received,
            "received": received,
            "model": "rain:abc",
            "role": name,
            "latency_ms": latency,
            "in.wind": np.arange(n, dtype=float) if wind is None else wind,
            "in.weather": np.where(np.arange(n) % 2, "sun", "rain"),
            "out.label": labels,
        }
    )


def truths(labels) -> pd.DataFrame:
    ids = [f"p{i}" for i in range(len(labels))]
    return pd.DataFrame({"id": ids, "outcome": labels, "time": START, "received": START})


def wrong(truth, share, seed) -> np.ndarray:
    flip = np.random.default_rng(seed).random(len(truth)) < share
    return np.where(flip, np.where(truth == "rain", "dry", "rain"), truth)


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(0).choice(["rain", "dry"], 400)


def report(truth, live_errors, shadow_errors, **more):
    live, shadow = role(wrong(truth, live_errors, 1)), role(wrong(truth, shadow_errors, 2), name="shadow")
    return compare(live, shadow, truths(truth), task="classification", **more)


def test_a_better_shadow_is_promoted_and_told_why(truth):
    found = report(truth, 0.3, 0.1)
    assert found.verdict == "promote"
    assert found.difference.low > 0
    assert "outcomes" in found.reasons[0]
    assert "significantly better" in found.reasons[1]
    assert (found.n_pairs, found.n_labelled) == (400, 400)


def test_a_worse_shadow_is_rejected(truth):
    found = report(truth, 0.1, 0.3)
    assert found.verdict == "reject"
    assert found.reasons[-1] == "The shadow is significantly worse."


def test_the_same_predictions_are_promoted_once_there_are_enough_of_them():
    truth = np.random.default_rng(0).choice(["rain", "dry"], 2000)
    labels = wrong(truth, 0.2, 1)
    found = compare(role(labels), role(labels, name="shadow"), truths(truth), task="classification")
    assert found.agreement == 1.0
    assert found.verdict == "promote"


def test_an_uncertain_difference_is_watched_and_says_how_many_more(truth):
    found = report(truth[:100], 0.2, 0.2)
    assert found.verdict == "keep watching"
    assert found.needed is not None
    assert f"About {found.needed} more outcomes" in found.reasons[-1]


def test_few_outcomes_decide_nothing(truth):
    found = report(truth[:30], 0.5, 0.0)
    assert (found.verdict, found.needed) == ("keep watching", 20)
    assert "at least 20 more" in found.reasons[-1]


def test_equal_models_are_seldom_promoted_or_rejected_by_chance():
    rng, verdicts = np.random.default_rng(9), []
    for seed in range(200):
        truth = rng.choice(["rain", "dry"], 200)
        live, shadow = role(wrong(truth, 0.2, 2 * seed)), role(wrong(truth, 0.2, 2 * seed + 1), name="shadow")
        verdicts.append(compare(live, shadow, truths(truth), task="classification").verdict)
    assert verdicts.count("reject") <= 12
    assert verdicts.count("promote") <= 16


def test_a_shadow_that_fails_is_rejected_whatever_its_accuracy(truth):
    found = report(truth, 0.3, 0.1, errors=40)
    assert found.verdict == "reject"
    assert found.reasons == ["The shadow failed 40 of 440 rows (9.1%)."]


def test_a_loss_on_a_slice_holds_the_promotion_back_and_is_named(truth):
    windy = np.arange(400) >= 300
    live = wrong(truth, 0.45, 1)
    live[windy] = truth[windy]
    shadow = truth.copy()
    shadow[windy] = wrong(truth, 0.4, 2)[windy]
    found = compare(
        role(live), role(shadow), truths(truth), task="classification", slices=["wind", "weather"]
    )
    assert found.difference.low > 0
    assert found.verdict == "keep watching"
    assert [one.column for one in found.slices if one.worse] == ["wind"]
    assert "Where wind in (300" in found.reasons[1]
    assert {one.name for one in found.slices if one.column == "weather"} == {
        "weather = 'rain'",
        "weather = 'sun'",
    }


def test_slices_of_equal_models_are_seldom_called_worse(truth):
    worse = 0
    for seed in range(50):
        live, shadow = role(wrong(truth, 0.2, 3 * seed)), role(wrong(truth, 0.2, 3 * seed + 1))
        found = compare(live, shadow, truths(truth), task="classification", slices=["in.wind", "weather"])
        worse += any(one.worse for one in found.slices)
    assert worse <= 4


def test_missing_values_are_a_slice(truth):
    wind = np.where(np.arange(400) < 50, np.nan, 1.0)
    live = role(wrong(truth, 0.2, 1), wind=wind)
    found = compare(live, role(truth), truths(truth), task="classification", slices=["wind"])
    assert [(one.name, one.difference.n) for one in found.slices] == [
        ("wind = 1", 350),
        ("wind is missing", 50),
    ]


def test_an_unknown_slice_is_told(truth):
    with pytest.raises(InputError, match="moon"):
        report(truth, 0.2, 0.2, slices=["moon"])


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_nothing_logged_yet_keeps_watching(task):
    empty = predictions_frame([])
    found = compare(empty, empty, outcomes_frame([]), task=task)
    assert (found.verdict, found.reasons) == (
        "keep watching",
        ["No row has been answered by both Models yet."],
    )
    assert found.agreement is None
    assert found.live_latency.p50 is None


def test_no_outcome_yet_keeps_watching_and_tells_the_agreement(truth):
    live, shadow = role(truth), role(wrong(truth, 0.25, 1))
    found = compare(live, shadow, outcomes_frame([]), task="classification")
    assert found.reasons == ["None of the 400 rows that both answered has an outcome."]
    assert found.agreement == pytest.approx(0.75, abs=0.05)


def test_latencies_are_of_requests_and_unanswered_rows_are_counted(truth):
    live, shadow = role(truth, latency=2.0), role(truth, latency=np.arange(400.0))
    found = compare(live, shadow.drop(index=range(100, 110)), truths(truth), task="classification")
    assert (found.live_latency.p50, found.live_latency.p99) == (2.0, 2.0)
    assert found.shadow_latency.p99 > found.shadow_latency.p50
    assert found.unanswered == 10
    assert found.n_pairs == 390


def test_regression_compares_absolute_errors():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=300)
    live, shadow = role(truth + rng.normal(size=300)), role(truth + rng.normal(scale=0.5, size=300))
    found = compare(live, shadow, truths(truth), task="regression", slices=["weather"])
    assert (found.metric, found.verdict) == ("mae", "promote")
    assert found.margin == pytest.approx(0.01 * found.difference.live)
    assert 0 < found.agreement < 1
    assert "gain +" in found.reasons[0]


def test_a_report_is_json(truth):
    data = json.loads(json.dumps(report(truth, 0.3, 0.1, slices=["weather"]).to_dict()))
    assert data["difference"]["metric"] == "accuracy"
    assert data["slices"][0]["column"] == "weather"


def test_a_task_without_a_metric_is_told(truth):
    with pytest.raises(InputError, match="ranking"):
        compare(role(truth), role(truth), truths(truth), task="ranking")


def test_ten_thousand_pairs_are_compared_quickly():
    truth = np.random.default_rng(0).choice(["rain", "dry"], 10_000)
    live, shadow = role(wrong(truth, 0.3, 1)), role(wrong(truth, 0.1, 2))
    compare(live[:10], shadow[:10], truths(truth), task="classification")
    start = time.process_time()
    compare(live, shadow, truths(truth), task="classification", slices=["wind", "weather"])
    assert time.process_time() - start < 1
