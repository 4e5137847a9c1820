"""An endpoint with a real agent, a real serving process and a real monitor."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from taxiway.control import agent_process, ledger, views
from taxiway.control.api import deploy
from taxiway.control.endpoint import Endpoint
from taxiway.demo import traffic, weather
from taxiway.errors import AgentError, ConflictError, NotFoundError, PreflightError, RequestError
from taxiway.packaging import package, registry
from tests.conftest import processes_of

Until = Callable[..., object]
DAYS = weather.days()
YEAR = DAYS[DAYS["date"].dt.year == 2013].reset_index(drop=True)


def alert(name: str, column: str) -> dict[str, object] | None:
    return next(
        (row for row in views.alerts("rain") if row["rule"] == name and row["column"] == column), None
    )


def test_an_endpoint_answers_as_the_model_does(endpoint: Endpoint) -> None:
    rows = YEAR[weather.FEATURES].head(50)
    expected = registry.load(endpoint.live).predict(rows)
    answer = endpoint.predict(rows)
    assert answer["label"].tolist() == expected["label"].tolist()
    assert answer["probability_rain"].tolist() == pytest.approx(expected["probability_rain"].tolist())
    assert answer["id"].is_unique


def test_an_added_column_is_alerted_by_name_within_a_cycle(endpoint: Endpoint, until: Until) -> None:
    endpoint.predict(YEAR[weather.FEATURES].head(1).assign(account_type="gold"))
    found = until(lambda: alert("schema_added", "account_type"), "the alert")
    assert "account_type" in found["title"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("rule", "column", "spoil"),
    [
        ("schema_removed", "wind", lambda rows: rows.drop(columns="wind")),
        ("schema_retyped", "temp_max", lambda rows: rows.assign(temp_max="warm")),
    ],
)
def test_a_removed_or_retyped_column_is_refused_and_alerted_by_name(
    endpoint: Endpoint, until: Until, rule: str, column: str, spoil: Callable[..., object]
) -> None:
    with pytest.raises(RequestError) as caught:
        endpoint.predict(spoil(YEAR[weather.FEATURES].head(1)))  # type: ignore[arg-type]
    assert caught.value.status == 422
    finding = caught.value.findings[0]
    assert finding["column"] == column
    assert {"row", "expected", "found"} <= set(finding)
    assert column in until(lambda: alert(rule, column), "the alert")["title"]  # type: ignore[index]


def test_windows_are_of_the_datas_own_time_and_accuracy_of_joined_outcomes(
    endpoint: Endpoint, until: Until
) -> None:
    days = YEAR.head(59)
    traffic.replay(endpoint, days)
    until(lambda: views.endpoint_detail("rain")["outcomes"] == len(days), "all outcomes")
    measured = endpoint.performance()
    assert [f"{start:%Y-%m}" for start in measured["window"]] == ["2013-01", "2013-02"]
    assert measured["n"].tolist() == [31, 28]
    expected = registry.load(endpoint.live).predict(days[weather.FEATURES])["label"]
    hits = (expected.to_numpy() == days["rain"].to_numpy())[:31].mean()
    assert measured["value"].iloc[0] == pytest.approx(hits)
    drift = endpoint.drift()
    january = drift[drift["drifted"] & (drift["window"].dt.month == 1)]
    assert {"temp_max", "temp_min"} <= set(january["column"])
    labelled = endpoint.labelled()
    assert labelled["outcome"].tolist() == days["rain"].tolist()
    assert labelled[weather.NUMERIC].to_numpy() == pytest.approx(days[weather.NUMERIC].to_numpy())


def test_a_corrected_outcome_replaces_the_first(endpoint: Endpoint, until: Until) -> None:
    day = YEAR.head(1)
    endpoint.predict(day[weather.FEATURES], ids=["one"], times=day["date"])
    label = endpoint.labelled
    endpoint.outcomes({"one": "rain", "never asked": "dry"})
    until(lambda: label()["outcome"].tolist() == ["rain"], "the outcome")
    endpoint.outcomes({"one": "dry"})
    until(lambda: label()["outcome"].tolist() == ["dry"], "the correction")


def test_kill_of_agent_and_monitor_loses_no_prediction_and_counts_none_twice(
    endpoint: Endpoint, until: Until, home: Path
) -> None:
    sent: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            day = YEAR.iloc[[len(sent) % len(YEAR)]]
            name = f"id-{len(sent)}"
            endpoint.predict(day[weather.FEATURES], ids=[name], times=day["date"])
            sent.append(name)

    client = threading.Thread(target=ask)
    client.start()
    try:
        for _ in range(3):
            count = len(sent)
            until(lambda count=count: len(sent) > count + 100, "some traffic")  # type: ignore[misc]
            for process in processes_of(home):
                line = " ".join(process.cmdline())
                if "taxiway.control" in line:
                    process.kill()
            until(lambda: not agent_process.status().running, "the agent's death")
            agent_process.start()
    finally:
        stop.set()
        client.join()
    until(lambda: views.endpoint_detail("rain")["requests"] >= len(sent), "all predictions")
    logged = endpoint.predictions()["id"].tolist()
    assert sorted(logged) == sorted(sent)
    assert views.endpoint_detail("rain")["requests"] == len(sent)


def test_serving_outlives_the_agent_and_is_adopted_again(
    endpoint: Endpoint, until: Until, home: Path
) -> None:
    def serving() -> set[int]:
        return {process.pid for process in processes_of(home) if "taxiway.serving" in process.cmdline()}

    before, url = serving(), endpoint.url
    os.kill(agent_process.status().pid or 0, signal.SIGKILL)
    assert len(endpoint.predict(YEAR[weather.FEATURES].head(1))) == 1
    agent_process.start()
    endpoint.wait()
    assert serving() == before
    assert endpoint.url == url


def test_stop_leaves_nothing_behind_and_start_brings_it_back(endpoint: Endpoint, home: Path) -> None:
    url = endpoint.url
    agent_process.stop()
    psutil.wait_procs(processes_of(home), timeout=5)
    assert processes_of(home) == []
    special = [path for path in home.rglob("*") if not (path.is_symlink() or path.is_dir() or path.is_file())]
    assert special == [], "a pipe or a socket, which shutil.copytree cannot copy"
    agent_process.start()
    endpoint.wait()
    assert endpoint.url == url
    assert len(endpoint.predict(YEAR[weather.FEATURES].head(1))) == 1


def test_a_second_agent_stands_back(endpoint: Endpoint) -> None:
    from taxiway.control.agent import Agent
    from taxiway.control.ledger import ledger

    with pytest.raises(AgentError, match="running already"):
        Agent(ledger())._take_lease()


def test_shadow_promote_and_rollback_fail_no_request(
    endpoint: Endpoint, tags: tuple[str, str], until: Until
) -> None:
    older, newer = tags
    endpoint.start_shadow(newer)
    with pytest.raises(ConflictError):
        endpoint.promote()
    promoted = traffic.replay_while(endpoint, YEAR.head(60), lambda: endpoint.promote(force=True))
    assert promoted.failures == []
    assert promoted.models == {older, newer}
    rolled = traffic.replay_while(endpoint, YEAR.iloc[60:120], endpoint.rollback)
    assert rolled.failures == []
    assert endpoint.live == older
    events = [event["event"] for event in views.timeline("rain")]
    for kind in ("deployed", "shadow started", "promoted", "rolled back"):
        assert kind in events


def test_the_shadow_report_pairs_predictions_with_outcomes(
    endpoint: Endpoint, tags: tuple[str, str], until: Until
) -> None:
    endpoint.start_shadow(tags[1])
    days = DAYS[DAYS["date"].dt.year == 2014].head(120)
    traffic.replay(endpoint, days)
    until(lambda: endpoint.shadow_report().n_pairs == len(days), "all pairs")
    until(lambda: views.endpoint_detail("rain")["shadow_report"], "the report in the ledger")
    report = views.endpoint_detail("rain")["shadow_report"]
    assert report["verdict"] in ("promote", "keep watching", "reject")
    assert report["reasons"]


def test_deleting_stops_serving_and_keeps_the_history(endpoint: Endpoint, home: Path, until: Until) -> None:
    endpoint.delete()
    until(
        lambda: not [p for p in processes_of(home) if "taxiway.serving" in p.cmdline()], "the end of serving"
    )
    assert views.endpoints() == []
    assert [event["event"] for event in views.timeline("rain")][-1] in ("deleted", "observed")
    with pytest.raises(NotFoundError):
        endpoint.predict(YEAR[weather.FEATURES].head(1))


def test_nobody_else_can_read_what_lies_under_the_home(endpoint: Endpoint, home: Path, until: Until) -> None:
    endpoint.predict(YEAR[weather.FEATURES].head(1))
    until(lambda: views.endpoint_detail("rain")["requests"] == 1, "the prediction")
    for name in ("ledger.sqlite", "ledger.sqlite-wal", "agent.log", "monitor.log"):
        assert (home / name).stat().st_mode & 0o077 == 0, name
    for spool in (home / "run" / "local" / "rain" / "spool").iterdir():
        assert spool.stat().st_mode & 0o077 == 0


def test_a_model_that_failed_preflight_comes_neither_live_nor_into_shadow(
    endpoint: Endpoint, tags: tuple[str, str]
) -> None:
    days = DAYS.head(200)
    fitted = weather.pipeline().set_params(randomforestclassifier__n_estimators=3)
    leaking = days[weather.FEATURES].assign(truth=days["rain"])
    columns = fitted.steps[0][1]
    name, step, wanted = columns.transformers[1]
    columns.transformers[1] = (name, step, [*wanted, "truth"])
    model = package(
        fitted.fit(leaking, days["rain"]), name="leak", replay=False, reference=leaking, target=days["rain"]
    )
    for act in (lambda: deploy(model, endpoint="leak"), lambda: endpoint.start_shadow(model)):
        with pytest.raises(PreflightError, match="target_leakage"):
            act()
    assert endpoint.start_shadow(model, override=["target_leakage"], wait=False).shadow == model.tag


def test_an_agent_whose_home_was_removed_ends(home: Path, until: Until) -> None:
    pid = agent_process.start().pid
    assert pid is not None
    while home.exists():  # the agent may write while it is removed
        shutil.rmtree(home, ignore_errors=True)
    until(lambda: not agent_process.is_agent(pid), "the agent's end")
    home.mkdir()
    ledger.close()
