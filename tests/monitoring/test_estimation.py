"""Performance without outcomes: right while the concept holds, and honest where it cannot tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from river import datasets
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import GaussianNB

from taxiway.monitoring.estimation import LEAST_LABELLED, estimate
from taxiway.monitoring.metrics import spell
from taxiway.monitoring.performance import Outputs, performance


def classified(x, y, model, train: int, seed: int) -> tuple[pd.DataFrame, Outputs]:
    """Real rows in random order, with what a model of the first of them says of the others."""
    order = np.random.default_rng(seed).permutation(len(y))
    x, y = np.asarray(x)[order], np.asarray(y)[order]
    fitted = model.fit(x[:train], y[:train])
    classes = tuple(map(spell, fitted.classes_))
    names = tuple(f"out.probability_{name}" for name in classes)
    frame = pd.DataFrame(fitted.predict_proba(x[train:]), columns=list(names))
    times = pd.date_range("2026-01-01", periods=len(frame), freq="h", tz="UTC")
    more = {"out.label": fitted.predict(x[train:]), "outcome": y[train:], "time": times}
    frame = frame.assign(**more, id=frame.index.astype(str))
    return frame, Outputs("classification", "out.label", names, classes)


def regressed(seed: int) -> tuple[pd.DataFrame, Outputs]:
    bunch = load_diabetes(as_frame=True)
    frame = bunch.data.sample(frac=1, random_state=seed)
    truth = bunch.target.loc[frame.index]
    said = Ridge(0.1).fit(frame[:120], truth[:120]).predict(frame[120:])
    rows = frame[120:].add_prefix("in.").reset_index(drop=True)
    times = pd.date_range("2026-01-01", periods=len(rows), freq="h", tz="UTC")
    group = np.where(rows["in.sex"] > 0, "one", None)  # texts with missing values, too
    more = {"out.prediction": said, "outcome": truth[120:].to_numpy(), "time": times, "in.group": group}
    return rows.assign(**more, id=rows.index.astype(str)), Outputs("regression", "out.prediction")


def shares_inside(frame: pd.DataFrame, outputs: Outputs, first: int, size: int) -> list[bool]:
    inside = []
    for start in range(first, len(frame) - size + 1, size):
        window = frame[start : start + size]
        found = estimate(window.drop(columns="outcome"), frame[:start], outputs)
        real = performance(window, outputs).main.value
        inside.append(found.low <= real <= found.high)
    return inside


def bananas():
    rows = list(datasets.Bananas())
    return [list(x.values()) for x, _ in rows], [y for _, y in rows]


def test_calibrated_confidence_gives_the_real_accuracy_while_the_concept_holds():
    inside = []
    for seed in range(2):  # naive Bayes says 99 % and is right in 85 %: all is in the calibration
        inside += shares_inside(*classified(*load_digits(return_X_y=True), GaussianNB(), 400, seed), 400, 200)
        forest = RandomForestClassifier(20, random_state=0)
        inside += shares_inside(*classified(*bananas(), forest, 800, seed), 1000, 500)
    assert np.mean(inside) >= 0.85


def test_uncalibrated_probabilities_are_used_as_they_are_and_said_to_be_so():
    frame, outputs = classified(*load_digits(return_X_y=True), GaussianNB(), 400, 0)
    few, window = frame[: LEAST_LABELLED - 1], frame[600:900]
    found = estimate(window, few, outputs)
    assert "not calibrated" in found.text
    assert found.baseline is None
    calibrated = estimate(window, frame[:600], outputs)
    real = performance(window, outputs).main.value
    assert abs(calibrated.value - real) < abs(found.value - real)
    assert calibrated.baseline == pytest.approx(performance(frame[:600], outputs).main.value)
    assert "concept itself would not show" in calibrated.text


def test_easier_and_harder_rows_are_told_apart_without_outcomes():
    frame, outputs = classified(*bananas(), RandomForestClassifier(20, random_state=0), 800, 0)
    top = frame[list(outputs.probabilities)].max(axis=1)
    rest = frame[2000:]
    for window in (rest[top[2000:] > 0.95], rest[top[2000:] < 0.8]):
        found = estimate(window, frame[:2000], outputs)
        assert found.low <= performance(window, outputs).main.value <= found.high


def test_a_model_of_the_error_gives_the_real_one_while_the_concept_holds():
    inside = [one for seed in range(4) for one in shares_inside(*regressed(seed), 120, 60)]
    assert np.mean(inside) >= 0.85


def test_a_change_of_the_concept_is_invisible_to_it():
    frame, outputs = classified(*bananas(), RandomForestClassifier(20, random_state=0), 800, 0)
    window = frame[2000:2500].assign(outcome=~frame["outcome"][2000:2500].astype(bool))  # planted
    found = estimate(window, frame[:2000], outputs)
    assert found.low > performance(window, outputs).main.value + 0.3


def test_it_says_when_it_cannot():
    frame, outputs = classified(*load_digits(return_X_y=True), GaussianNB(), 400, 0)
    bare = Outputs("classification", "out.label")
    for found, why in (
        (estimate(frame[500:], frame[:500], bare), "no probabilities"),
        (
            estimate(frame[500:].assign(**dict.fromkeys(outputs.probabilities)), frame[:500], outputs),
            "no prediction",
        ),
        (estimate(regressed(0)[0][50:], regressed(0)[0][:50], regressed(0)[1]), "50 earlier outcomes"),
        (estimate(regressed(0)[0][:0], regressed(0)[0], regressed(0)[1]), "no prediction"),
    ):
        assert found.value is None
        assert found.low is None
        assert why in found.text
    assert estimate(frame, frame, Outputs("ranking", "out.label", group="id")) is None
