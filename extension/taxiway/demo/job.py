"""The demo's steps, each of which fails loudly if it did not do what it claims."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_data_dir
from rich.console import Console

from taxiway.demo import traffic, weather
from taxiway.errors import RequestError, TaxiwayError
from taxiway.settings import settings

if TYPE_CHECKING:
    import pandas as pd

    from taxiway.control.endpoint import Endpoint

NAME = "rain"
CYCLE_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
UNTOLD = ("alert opened", "alert resolved", "observed")
NEW_SHARE = 0.8  # of the replayed days must be new before a retraining is worth it


def run(*, keep: bool, days: int, to: str = "local", settings: Mapping[str, Any] | None = None) -> None:
    """Take the model of rain through every stage.

    Parameters
    ----------
    keep
        Leave the endpoint and the agent running at the end.
    days
        How many days of each year are replayed.
    to, settings
        The back end, and what only it knows, as ``taxiway.deploy`` takes them.

    Raises
    ------
    TaxiwayError
        A step did not do what it claims.
    """
    os.environ.setdefault("TAXIWAY_HOME", user_data_dir("taxiway-demo", appauthor=False))
    os.environ.setdefault("TAXIWAY_MONITOR_INTERVAL", str(CYCLE_SECONDS))
    from taxiway.control import agent_process

    job = Job(days, to, settings)
    try:
        for step in (
            job.start_afresh,
            job.package,
            job.deploy,
            job.replay_first_year,
            job.break_the_schema,
            job.find_the_drift,
            job.retrain,
            job.shadow,
            job.promote,
            job.roll_back,
            job.tell_the_timeline,
        ):
            job.do(step)
        job.summarise()
    finally:
        if not keep:
            agent_process.stop()


class Job:
    """The demo's state from one step to the next."""

    endpoint: Endpoint

    def __init__(self, days: int, to: str = "local", settings: Mapping[str, Any] | None = None) -> None:
        self.to, self.settings = to, settings
        self.console = Console(highlight=False, soft_wrap=True)
        everything = weather.days()
        year = everything["date"].dt.year
        self.years: dict[int, pd.DataFrame] = {
            number: everything[year == number].head(days).reset_index(drop=True)
            for number in (2013, 2014, 2015)
        }
        self.first_year = everything[year == 2012].reset_index(drop=True)
        self.started = time.monotonic()
        self.summary: list[str] = []
        self.before: dict[str, Any] = {}

    def do(self, step: Callable[[], str]) -> None:
        """Run a step and print what it did, with its time."""
        begun = time.monotonic()
        said = step()
        title = step.__name__.replace("_", " ")
        self.console.print(f"[bold]{title}[/bold] ({time.monotonic() - begun:.1f} s)  {said}")

    def start_afresh(self) -> str:
        """Stop what an earlier demo left in this home, and forget its endpoint."""
        import shutil

        from taxiway.control import agent_process, ledger

        home = settings().home
        marker = home / "demo"
        if home.exists() and any(home.iterdir()):
            require(marker.exists(), f"{home} holds something else", "Set TAXIWAY_HOME to an empty folder.")
            agent_process.stop()
            ledger.close()
            shutil.rmtree(home)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        marker.touch()
        return f"home {home}"

    def package(self) -> str:
        """Train on 2012, package, and say what preflight found."""
        from sklearn.model_selection import cross_val_score

        from taxiway.packaging import package

        inputs, target = self.first_year[weather.FEATURES], self.first_year[weather.TARGET]
        accuracy = float(cross_val_score(weather.pipeline(), inputs, target, cv=5).mean())
        fitted = weather.pipeline().fit(inputs, target)
        self.model = package(
            fitted,
            name=NAME,
            reference=inputs,
            target=target,
            description="Whether a day in Seattle has rain",
            metrics={"accuracy": accuracy},
        )
        checks = self.model.checks
        require(checks.ok, "the preflight failed")
        passed = sum(check.result == "passed" for check in checks.checks)
        return (
            f"{self.model.tag}: ONNX, parity proven, {passed} of {len(checks.checks)} checks passed, "
            f"cross-validated accuracy {accuracy:.1%} on 2012"
        )

    def deploy(self) -> str:
        """Make it live, and ask for a retraining when it drifts."""
        from taxiway.control.api import deploy

        self.endpoint = deploy(self.model, to=self.to, settings=self.settings, endpoint=NAME, window="month")
        return f"{self.model.tag} answers at {self.endpoint.url}"

    def replay_first_year(self) -> str:
        """Send 2013, day by day, then its outcomes; wait until it has been monitored."""
        days = self.years[2013]
        traffic.replay(self.endpoint, days)
        waited = self.wait_for_outcomes(self.model.tag, len(days))
        return f"{len(days)} days of 2013 asked over HTTP, outcomes told, monitored {waited:.1f} s later"

    def break_the_schema(self) -> str:
        """Send an extra column, a missing one and one of another type; each must be alerted by name."""
        day = self.years[2013].iloc[[-1]][weather.FEATURES]
        begun = time.monotonic()
        self.endpoint.predict(
            day.assign(account_type="gold"), ids=["extra-column"], times=["2013-12-31T12:00Z"]
        )
        refusals = [
            self.refused(day.drop(columns="wind"), "wind"),
            self.refused(day.assign(temp_max="warm"), "temp_max"),
        ]
        found: dict[str, str] = {}
        for rule, column in (
            ("schema_added", "account_type"),
            ("schema_removed", "wind"),
            ("schema_retyped", "temp_max"),
        ):
            alert = self.wait_for(
                lambda rule=rule, column=column: next(  # type: ignore[misc]
                    (row for row in self.alerts() if row["rule"] == rule and row["column"] == column), None
                ),
                f"an alert that names {column}",
            )
            found[column] = alert["title"]
        seconds = time.monotonic() - begun
        self.summary.append(f"extra column   {found['account_type']} (alert after {seconds:.1f} s)")
        return f"alerts after {seconds:.1f} s: {'; '.join(found.values())}. Refused: {'; '.join(refusals)}"

    def refused(self, rows: pd.DataFrame, column: str) -> str:
        """Send rows that must be refused, naming the column."""
        try:
            self.endpoint.predict(rows)
        except RequestError as error:
            finding = next((entry for entry in error.findings if entry["column"] == column), None)
            require(
                error.status == 422 and finding is not None, f"the refusal does not name {column}: {error}"
            )
            assert finding is not None
            return f"422 for {column}: expected {finding['expected']}, found {finding['found']}"
        raise TaxiwayError(f"A request with a bad {column} was not refused.")

    def find_the_drift(self) -> str:
        """Say which columns left the reference, and what it cost."""
        drift = self.endpoint.drift()
        found = drift[drift["drifted"] & drift["window"].dt.year.eq(2013)]
        require(len(found) > 0, "no drift was found")
        inputs = found[~found["column"].isin(["label"])]
        windows = inputs.groupby("column")["window"].nunique().sort_values(ascending=False)
        columns = ", ".join(f"{column} ({months} months)" for column, months in windows.items())
        self.summary.append(f"drift found    {columns}")
        self.before = self.accuracy(self.model.tag, 2013)
        return f"against 2012: {columns}; accuracy in 2013 {share(self.before)}"

    def retrain(self) -> str:
        """Let drift trigger the retraining notebook; its Model must come into shadow."""
        self.endpoint.retrain_on_drift(notebook(), min_outcomes=round(NEW_SHARE * len(self.years[2013])))
        ended = self.wait_for(
            lambda: next((row for row in self.runs() if row["state"] in ("succeeded", "failed")), None),
            "the end of the retraining run",
        )
        require(ended["state"] == "succeeded", f"the retraining failed: {ended['error']}")
        self.challenger = str(ended["model"])
        self.wait_for(lambda: self.endpoint.shadow == self.challenger, "the new Model in shadow")
        self.endpoint.wait()
        name = Path(ended["notebook"]).name
        return f"{name} ran because of «{ended['trigger']}»; {self.challenger} is in shadow"

    def shadow(self) -> str:
        """Send 2014; live and shadow are compared on the same days' outcomes."""
        days = self.years[2014]
        traffic.replay(self.endpoint, days)
        self.wait_for_outcomes(self.model.tag, len(days), year=2014)
        self.wait_for(
            lambda: self.endpoint.shadow_report().n_pairs >= len(days), f"{len(days)} mirrored predictions"
        )
        report = self.endpoint.shadow_report()
        self.wait_for(
            lambda: (self.detail()["shadow_report"] or {}).get("verdict") == report.verdict,
            "verdict in the ledger",
        )
        self.wait_for(
            lambda: self.accuracy(self.challenger, 2014, role="shadow").get("n", 0) >= len(days),
            "judgement of the shadow's windows",
        )
        live, shadow = (
            self.accuracy(self.model.tag, 2014),
            self.accuracy(self.challenger, 2014, role="shadow"),
        )
        self.summary.append(f"accuracy       before {share(live)}, after {share(shadow)} (2014, same days)")
        self.summary.append(f"shadow verdict {report.verdict}: {' '.join(report.reasons)}")
        self.verdict = report.verdict
        compared = f"{report.n_pairs} days of 2014"
        return f"verdict {report.verdict}: live {share(live)}, shadow {share(shadow)} on {compared}"

    def promote(self) -> str:
        """Promote while clients ask, without a failed request."""
        half = len(self.years[2015]) // 2
        load = traffic.replay_while(
            self.endpoint,
            self.years[2015].iloc[:half],
            lambda: self.endpoint.promote(force=self.verdict != "promote"),
        )
        require(self.endpoint.live == self.challenger, "the challenger is not live")
        require(load.models == {self.model.tag, self.challenger}, f"clients saw {load.models}")
        self.switched(load, "promote")
        return f"{self.challenger} is live; {load.sent} requests meanwhile, {len(load.failures)} failed"

    def roll_back(self) -> str:
        """Roll back while clients ask, without a failed request."""
        half = len(self.years[2015]) // 2
        load = traffic.replay_while(self.endpoint, self.years[2015].iloc[half:], self.endpoint.rollback)
        require(self.endpoint.live == self.model.tag, "the first Model is not live again")
        self.switched(load, "rollback")
        return f"{self.model.tag} is live again; {load.sent} requests meanwhile, {len(load.failures)} failed"

    def switched(self, load: traffic.Load, what: str) -> None:
        """Insist that a switch failed nobody."""
        require(not load.failures, f"{len(load.failures)} requests failed in the {what}: {load.failures[:3]}")
        self.summary.append(f"{what:<14} {load.sent} requests meanwhile, {len(load.failures)} failed")

    def tell_the_timeline(self) -> str:
        """Print what was live when, and why."""
        from taxiway.control import views

        events = views.timeline(NAME)
        kinds = {event["event"] for event in events}
        for kind in (
            "deployed",
            "alert opened",
            "retraining succeeded",
            "shadow started",
            "promoted",
            "rolled back",
        ):
            require(kind in kinds, f"the timeline does not tell of {kind!r}")
        shown = [event for event in events if event["event"] not in UNTOLD]
        lines = [f"  {event['time'][11:19]}  {event['text']}" for event in shown]
        rest = f"{len(events) - len(shown)} alerts and observations"
        return "\n".join([f"`taxiway timeline {NAME}`, without its {rest}:", *lines])

    def summarise(self) -> None:
        """Print the last lines."""
        self.console.print(f"\n[bold]In {time.monotonic() - self.started:.0f} s:[/bold]")
        for line in self.summary:
            self.console.print(f"  {line}", markup=False)
        for note in self.detail()["notes"]:
            self.console.print(f"  {note} `taxiway endpoints delete {NAME}` ends it.", markup=False)

    def wait_for_outcomes(self, tag: str, count: int, year: int = 2013) -> float:
        """Wait until the monitor has joined ``count`` outcomes to a Model's predictions of a year."""
        begun = time.monotonic()
        self.wait_for(
            lambda: self.accuracy(tag, year).get("n", 0) >= count, f"{count} joined outcomes of {year}"
        )
        return time.monotonic() - begun

    def accuracy(self, tag: str, year: int, role: str = "live") -> dict[str, Any]:
        """Pool the accuracy of a Model over a year's windows."""
        table = self.endpoint.performance()
        if table.empty:
            return {}
        mine = table[(table["model"] == tag) & (table["role"] == role) & (table["window"].dt.year == year)]
        n = int(mine["n"].sum())
        return {"n": n, "value": float((mine["value"] * mine["n"]).sum() / n)} if n else {}

    def wait_for(self, look: Callable[[], Any], what: str) -> Any:
        """Look until there is something, or patience ends."""
        from taxiway.control import remote

        patience = max(PATIENCE_SECONDS, remote.patience(self.to))
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if found := look():
                return found
            time.sleep(0.1)
        raise TaxiwayError(f"There was no {what} within {patience:.0f} s.", hint=f"Logs: {settings().home}.")

    def detail(self) -> dict[str, Any]:
        """Everything about the endpoint."""
        from taxiway.control import views

        return views.endpoint_detail(NAME)

    def alerts(self) -> list[dict[str, Any]]:
        """The endpoint's alerts."""
        from taxiway.control import views

        return views.alerts(NAME)

    def runs(self) -> list[dict[str, Any]]:
        """The endpoint's runs."""
        from taxiway.control import views

        return views.runs(NAME)


def notebook() -> Path:
    """Find the retraining notebook: in the wheel, or in the source tree."""
    here = Path(__file__).resolve()
    for folder in (here.parent / "notebooks", here.parents[3] / "notebooks"):
        if (folder / "rain_train.ipynb").is_file():
            return folder / "rain_train.ipynb"
    raise TaxiwayError("The notebook rain_train.ipynb is missing.", hint="Reinstall Taxiway.")


def require(holds: object, claim: str, hint: str = "This is a defect of Taxiway; please report it.") -> None:
    """Fail the demo, naming the step's broken claim."""
    if not holds:
        raise TaxiwayError(f"The demo failed: {claim}.", hint=hint)


def share(accuracy: dict[str, Any]) -> str:
    """Write an accuracy."""
    return f"{accuracy['value']:.1%}" if accuracy else "unknown"
