from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
from threadpoolctl import threadpool_limits

from taxiway.errors import InputError
from taxiway.monitoring.drift import drift
from taxiway.monitoring.estimation import estimate
from taxiway.monitoring.multivariate import MOST_ROWS, _p_value, _placements, multivariate
from taxiway.monitoring.profiles import profile
from tests.monitoring.test_estimation import regressed
from tests.monitoring.weather import of_year, seattle


def normals(n, correlation, seed):
    """Planted: two standard normal columns of a known correlation, beside a category."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, n))
    y = correlation * x + np.sqrt(1 - correlation**2) * z
    return pd.DataFrame({"x": x, "y": y, "c": rng.choice(["a", "b"], n)})


def test_a_changed_correlation_is_found_that_no_column_shows():
    reference, window = normals(1000, 0.9, 1), normals(800, -0.9, 2)
    assert not any(one.drifted for one in drift(profile(reference), profile(window)))
    found = multivariate(reference, window)
    assert found.drifted
    assert found.low > 0.9
    assert {one.column for one in found.columns[:2]} == {"x", "y"}
    assert found == multivariate(reference, window), "the same rows give the same verdict"
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["method"] == "domain classifier"


def test_a_summer_is_told_from_the_year_and_the_temperatures_named():
    weather = seattle()
    summer = weather[weather["date"].dt.month.isin([7, 8]) & (weather["date"].dt.year == 2013)]
    found = multivariate(of_year(weather, 2012), summer)  # the date itself is no column of the reference
    assert found.drifted
    assert found.columns[0].column in ("temp_max", "temp_min")
    assert "mostly by temp_" in found.text


def test_rows_of_the_reference_itself_raise_no_alarm():
    wine = load_wine(as_frame=True).data
    draws = [wine.sample(frac=1, random_state=seed) for seed in range(10)]
    found = [multivariate(draw.iloc[:89], draw.iloc[89:]) for draw in draws]
    assert sum(one.drifted for one in found) == 0
    assert np.mean([one.low <= 0.5 <= one.high for one in found]) >= 0.8


def test_the_auc_is_sklearns_and_its_p_value_mann_and_whitneys():
    from scipy.stats import mannwhitneyu
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], [120, 80])
    scores = np.round(rng.normal(size=200) + 0.3 * label, 1)
    ours, theirs = _placements(scores, label)
    auc = roc_auc_score(label, scores)
    assert ours.mean() == pytest.approx(auc)
    assert theirs.mean() == pytest.approx(auc)
    expected = mannwhitneyu(
        scores[label == 1], scores[label == 0], alternative="greater", use_continuity=False
    ).pvalue
    assert _p_value(auc, [label]) == pytest.approx(expected, rel=0.02)


def test_what_cannot_be_compared_is_left_out():
    reference = seattle().assign(note=lambda frame: [f"day {i}" for i in range(len(frame))], void=None)
    found = multivariate(reference, reference.tail(60))
    assert (found.n_reference, found.n_window) == (len(reference), 60)
    assert multivariate(reference.head(29), reference) is None
    assert multivariate(reference[["date", "note"]], reference[["date", "note"]]) is None
    with pytest.raises(InputError, match="no column in common"):
        multivariate(reference, pd.DataFrame({"other": [1]}))


def test_many_rows_cost_no_more_than_a_sample():
    reference = normals(5000, 0.5, 3)
    found = multivariate(reference, reference.assign(x=lambda frame: frame["x"] + 3))
    assert (found.n_reference, found.n_window) == (MOST_ROWS, MOST_ROWS)
    assert found.drifted
    assert found.columns[0].column == "x"


def test_trees_of_few_rows_take_one_thread_on_a_machine_of_several(monkeypatch):
    # threads that wait for each other took five times the CPU on a machine that was busy
    taken = {}
    for kind in (HistGradientBoostingClassifier, HistGradientBoostingRegressor):
        for name in ("fit", "_raw_predict"):
            plain = getattr(kind, name)

            def noted(self, *args, _plain=plain, _of=(kind.__name__, name), **more):
                taken.setdefault(_of, set()).add(_openmp_effective_n_threads())
                return _plain(self, *args, **more)

            monkeypatch.setattr(kind, name, noted)
    frame, outputs = regressed(0)
    with threadpool_limits(3, "openmp"):
        assert multivariate(normals(500, 0.9, 1), normals(500, -0.9, 2)).columns
        assert estimate(frame[200:], frame[:200], outputs).value is not None
    assert len(taken) == 4
    assert set.union(*taken.values()) == {1}
