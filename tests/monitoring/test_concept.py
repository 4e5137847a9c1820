"""Changes of the error: found where they are, and not where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from river import datasets
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge

from taxiway.monitoring.concept import METHODS, MOST, Concept, concept
from taxiway.monitoring.performance import Outputs

START = pd.Timestamp("2026-01-01", tz="UTC")


def joined(predicted, outcome) -> pd.DataFrame:
    times = pd.date_range(START, periods=len(outcome), freq="h")
    return pd.DataFrame({"time": times, "out.label": predicted, "outcome": outcome})


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """What a model of the first 600 digits says of the others, and what they are."""
    x, y = load_digits(return_X_y=True)
    return LogisticRegression(max_iter=3000).fit(x[:600], y[:600]).predict(x[600:]), y[600:]


@pytest.mark.parametrize("method", METHODS)
def test_a_change_of_meaning_is_told_with_its_time_and_the_error_on_both_sides(digits, method):
    said, truth = digits
    swapped = {3: 8, 8: 3}
    planted = np.array([swapped.get(y, y) if row >= 700 else y for row, y in enumerate(truth)])
    frame = joined(said, planted)
    found = concept(frame.sample(frac=1, random_state=0), Outputs("classification"), method=method)
    (change,) = found.changes
    assert abs((change.time - START) / pd.Timedelta("1h") - 700) < 30
    hits = said == planted
    assert change.before == pytest.approx(hits[:700].mean(), abs=0.02)
    assert change.after == pytest.approx(hits[700:].mean(), abs=0.03)
    assert found.drifted
    assert "accuracy went from" in found.text
    assert Concept.from_dict(found.to_dict()) == found


@pytest.mark.parametrize("method", METHODS)
def test_real_errors_without_a_change_give_no_alarm(digits, method):
    said, truth = digits
    order = np.random.default_rng(0).permutation(
        len(truth)
    )  # as drawn, so that no writer comes after another
    assert not concept(joined(said[order], truth[order]), Outputs("classification"), method=method).changes


@pytest.mark.parametrize("method", METHODS)
def test_of_stationary_sequences_none_in_a_hundred_gives_an_alarm(method):
    alarms = 0
    for seed in range(60):  # drawn, since the truth must be known
        drawn = np.random.default_rng(seed)
        hits = drawn.random(1500) < drawn.uniform(0.6, 0.97)
        alarms += bool(
            concept(joined("a", np.where(hits, "a", "b")), Outputs("classification"), method=method).changes
        )
        errors = joined(0.0, drawn.standard_t(3, 1500))
        alarms += bool(concept(errors, Outputs("regression"), method=method).changes)
    assert alarms <= 1


def test_polls_that_moved_away_from_a_model_of_the_first_year_are_noticed():
    rows = list(datasets.TrumpApproval())  # real: 1,001 days of polls, bundled with river
    inputs = pd.DataFrame([x for x, _ in rows]).drop(columns="ordinal_date")
    truth = np.array([y for _, y in rows])
    said = Ridge().fit(inputs[:200], truth[:200]).predict(inputs)
    found = concept(joined(said[200:], truth[200:]), Outputs("regression"))
    assert found.drifted
    assert found.metric == "mae"
    assert found.changes[-1].after > 2 * found.changes[0].before


def test_an_error_that_went_back_is_told_and_is_no_drift():
    drawn = np.random.default_rng(1)
    hits = np.r_[drawn.random(800) < 0.9, drawn.random(500) < 0.6, drawn.random(800) < 0.92]
    found = concept(joined("a", np.where(hits, "a", "b")), Outputs("classification"))
    assert len(found.changes) == 2
    assert not found.drifted


def test_few_or_no_outcomes_say_so():
    for n in (0, 20):
        found = concept(joined("a", ["a"] * n), Outputs("classification"))
        assert (found.changes, found.drifted, found.n) == ((), False, n)
        assert str(n) in found.text


def test_only_the_newest_are_read():
    n = MOST + 5000
    wrong = np.arange(n) < 5000  # a change that lies before the bound
    found = concept(joined("a", np.where(wrong, "b", "a")), Outputs("classification"))
    assert (found.n, found.changes) == (MOST, ())
