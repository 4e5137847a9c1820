from __future__ import annotations

import pandas as pd
import pytest

from taxiway.errors import InputError
from taxiway.monitoring.log import outcomes_frame, predictions_frame
from taxiway.shadow.compare import compare
from taxiway.shadow.replay import replay
from tests.monitoring.records import AT, outcome, prediction


def recorded(n: int) -> pd.DataFrame:
    return predictions_frame(
        prediction([f"p{i}"], inputs={"wind": [float(i)]}, outputs={"label": ["dry"]}) for i in range(n)
    )


def candidate(frame: pd.DataFrame) -> pd.DataFrame:
    assert list(frame.columns) == ["wind"]
    return pd.DataFrame({"label": ["rain" if wind >= 60 else "dry" for wind in frame["wind"]], "score": 0.5})


@pytest.mark.parametrize("batch", [7, 10_000])
def test_the_candidate_answers_every_recorded_row(batch):
    live = recorded(100)
    shadow = replay(candidate, live, model="rain:def", batch=batch)
    assert shadow["id"].tolist() == live["id"].tolist()
    assert shadow["out.label"].tolist() == ["dry"] * 60 + ["rain"] * 40
    assert set(shadow["role"]) == {"shadow"}
    assert set(shadow["model"]) == {"rain:def"}
    assert shadow["latency_ms"].isna().all()


def test_a_replay_is_judged_like_a_shadow():
    live = recorded(100)
    outcomes = outcomes_frame([outcome([f"p{i}"], ["rain" if i >= 60 else "dry"], at=AT) for i in range(100)])
    found = compare(live, replay(candidate, live), outcomes, task="classification")
    assert found.verdict == "promote"
    assert found.difference.shadow == 1.0
    assert found.shadow_latency.p50 is None


def test_nothing_recorded_is_replayed_to_nothing():
    assert len(replay(candidate, predictions_frame([]))) == 0


def test_a_candidate_that_loses_rows_is_told():
    with pytest.raises(InputError, match="9 predictions for 10 rows"):
        replay(lambda frame: candidate(frame)[:-1], recorded(10))
