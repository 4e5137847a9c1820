"""The command line, as a shell sees it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import create_engine

from taxiway.cli import join_pairs
from taxiway.control.endpoint import Endpoint
from taxiway.demo import weather
from tests import forked
from tests.control.conftest import endpoint, home, tags  # noqa: F401 - fixtures
from tests.waiting import wait_until


def taxiway(*arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
    done = forked.taxiway(*arguments)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


READING = (
    ("models", "list"),
    ("endpoints", "list"),
    ("alerts",),
    ("alerts", "silences"),
    ("sinks", "list"),
    ("rules", "list"),
    ("retrain", "list"),
    ("timeline", "rain"),
    ("agent", "status"),
)


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_an_empty_home_is_an_answer_and_not_an_error(taxiway_home: Path, command: tuple[str, ...]) -> None:
    assert taxiway(*command).stdout.strip()
    json.loads(taxiway(*command, "--json").stdout)


@pytest.mark.parametrize(
    "command",
    [
        ("deploy", "nosuch"),
        ("deploy", "../etc:latest"),
        ("models", "show", "nosuch"),
        ("endpoints", "show", "nosuch"),
        ("alerts", "list", "nosuch"),
        ("predict", "nosuch", "--data", "nosuch.csv"),
        ("outcomes", "nosuch", "nosuch.csv"),
        ("drift", "nosuch"),
        ("promote", "nosuch"),
        ("rollback", "nosuch"),
        ("shadow", "report", "nosuch"),
        ("retrain", "run", "nosuch.ipynb"),
        ("retrain", "run", "nosuch.ipynb", "-p", "not a name", "1"),
        ("alerts", "--acknowledge", "7"),
        ("alerts", "ack", "7"),
        ("alerts", "silence", "rain", "--reason", "x"),
        ("alerts", "silence", "--for", "2h"),
        ("alerts", "silence", "--for", "2h", "--reason", "x", "--every", "someday"),
        ("alerts", "unsilence", "7"),
        ("alerts", "test", "nosuch"),
        ("sinks", "add", "x", "--url", "slack://a/b/c"),
        ("sinks", "remove", "nosuch"),
        ("rules", "check", "nosuch.yaml"),
        ("rules", "show", "nosuch"),
        ("rules", "delete", "data_drift"),
    ],
    ids=" ".join,
)
def test_a_mistake_ends_in_two_lines_that_say_what_to_do(
    taxiway_home: Path, command: tuple[str, ...]
) -> None:
    lines = taxiway(*command, ok=False).stderr.splitlines()
    assert lines[0].startswith("Error: ")
    assert len(lines) == 2
    assert lines[1].startswith("  ")


def test_it_is_a_program_and_a_module_of_python(taxiway_home: Path) -> None:
    """The other tests begin after the imports; these begin where a shell does."""
    expected = taxiway("agent", "status").stdout
    for command in ([sys.executable, "-m", "taxiway"], [str(Path(sys.executable).with_name("taxiway"))]):
        done = subprocess.run([*command, "agent", "status"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")
        refused = subprocess.run([*command, "drift", "nosuch"], capture_output=True, text=True, check=False)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 2)


def test_a_bad_setting_is_named(taxiway_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXIWAY_MONITOR_INTERVAL", "soon")
    assert "TAXIWAY_MONITOR_INTERVAL" in taxiway("models", "list", ok=False).stderr


def test_doctor_names_what_is_missing_and_what_mends_it(
    taxiway_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "BENTO_CLOUD_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    findings = {row["name"]: row for row in json.loads(taxiway("doctor", "--json").stdout)}
    assert findings["python"]["ok"]
    assert findings["jupyterlab extension"]["ok"]
    # What a cloud lacks is told, and is no fault while nothing is deployed there
    aws = findings["back end sagemaker"]
    assert aws["ok"]
    assert re.match(r"not in use\. (boto3 is not installed|No AWS region is set)\.", aws["found"])
    bare = dict(os.environ, JUPYTER_PATH="", JUPYTER_PREFER_ENV_PATH="0", TAXIWAY_DATABASE_URL="nonsense://x")
    done = subprocess.run(
        [sys.executable, "-m", "taxiway", "doctor", "--json"],
        capture_output=True,
        text=True,
        env=bare,
        check=False,
    )
    assert done.returncode == 1
    ledger = next(row for row in json.loads(done.stdout) if row["name"] == "ledger")
    assert not ledger["ok"]
    assert ledger["remedy"]


def test_parameters_are_given_as_papermill_takes_them() -> None:
    given = ["retrain", "run", "a.ipynb", "-p", "seed", "1", "--parameter", "name=rain", "-p"]
    assert join_pairs(given) == [*given[:3], "-p", "seed=1", "--parameter", "name=rain", "-p"]


def test_the_whole_way_from_a_shell(endpoint: Endpoint, tags: tuple[str, str], tmp_path: Path) -> None:  # noqa: F811
    older, newer = tags
    days = weather.days()
    days = days[days["date"].dt.year == 2013].head(40)
    asked = days[["date", *weather.FEATURES]].assign(id=[f"{date:%F}" for date in days["date"]])
    asked.to_csv(tmp_path / "days.csv", index=False)
    told = pd.DataFrame({"id": asked["id"], "outcome": days["rain"].to_numpy()})
    told.to_parquet(tmp_path / "truth.parquet")
    taxiway("shadow", "start", "rain", newer)
    columns = ("--id-column", "id", "--time-column", "date")
    answer = json.loads(
        taxiway("predict", "rain", "--data", str(tmp_path / "days.csv"), *columns, "--json").stdout
    )
    assert [row["id"] for row in answer] == asked["id"].tolist()
    assert "40 outcomes" in taxiway("outcomes", "rain", str(tmp_path / "truth.parquet")).stdout

    def shown() -> dict[str, object]:
        found: dict[str, object] = json.loads(taxiway("endpoints", "show", "rain", "--json").stdout)
        return found

    wait_until(lambda: shown()["outcomes"] == 40, "the outcomes")
    told.assign(id="nobody").head(1).to_csv(tmp_path / "unknown.csv", index=False)
    taxiway("outcomes", "rain", str(tmp_path / "unknown.csv"))
    keyed = days[["date", "temp_max", "wind"]].assign(truth=days["rain"], date=days["date"].astype(str))
    keyed = pd.concat([keyed, keyed.tail(1).assign(wind=99.0)])
    engine = create_engine(f"sqlite:///{tmp_path}/truth.db")
    keyed.to_sql("days", engine, index=False)
    engine.dispose()
    keys = ("--on", "temp_max", "--on", "wind", "--time", "date", "--tolerance", "1d", "--outcome", "truth")
    source = f"sqlite:///{tmp_path}/truth.db"
    sent = json.loads(taxiway("outcomes", "rain", source, "--table", "days", *keys, "--json").stdout)
    assert sent["accepted"] == 40, sent
    assert [(one["kind"], one["count"]) for one in sent["findings"]] == [("unmatched", 1)]

    def status() -> dict[str, object]:
        found: dict[str, object] = json.loads(taxiway("outcomes", "rain", "--status", "--json").stdout)
        return found

    wait_until(lambda: status()["received"] == 81, "the outcomes that were told again")
    found = status()
    assert (found["labelled"], found["unknown"], found["corrected"]) == (40, 1, 0)
    assert "1 outcome for an unknown id (first: nobody)" in taxiway("outcomes", "rain", "--status").stdout
    measured = json.loads(taxiway("performance", "rain", "--json").stdout)["windows"]
    assert {row["n"] for row in measured if row["role"] == "live"} == {31, 9}
    assert "weather_yesterday = 'rain'" in taxiway("performance", "rain", "--slices").stdout
    assert shown()["live"] == older
    assert json.loads(taxiway("drift", "rain", "--json").stdout)[0]["drift"]
    wait_until(
        lambda: json.loads(taxiway("shadow", "report", "rain", "--json").stdout)["n_pairs"] == 40, "the pairs"
    )
    assert "verdict" in taxiway("promote", "rain", ok=False).stderr
    assert newer in taxiway("promote", "rain", "--force").stdout
    assert older in taxiway("rollback", "rain").stdout
    text = taxiway("timeline", "rain").stdout
    assert "was promoted over" in text
    assert "was rolled back to" in text
    for command in (
        ("models", "list"),
        ("models", "show", "rain"),
        ("endpoints", "show", "rain"),
        ("drift", "rain"),
        ("performance", "rain"),
    ):
        assert "rain" in taxiway(*command).stdout
    assert "rain" in taxiway("agent", "status").stdout or "watching" in taxiway("agent", "status").stdout
    taxiway("endpoints", "delete", "rain", "--yes")
    assert json.loads(taxiway("endpoints", "list", "--json").stdout) == []
