"""Retraining runs: asked for by a person or a trigger, carried out by the agent, never twice."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import psutil
from sqlalchemy import CursorResult, select, true, update
from sqlalchemy.orm import Session

from taxiway.control import desired
from taxiway.control.ledger import Ledger, now, record
from taxiway.control.tables import AlertRow, EndpointRow, RunRow, TriggerRow
from taxiway.errors import ConflictError, NotFoundError, TaxiwayError
from taxiway.packaging import registry
from taxiway.settings import settings

DRIFT_RULES = ("data_drift", "prediction_drift", "performance_drop")
POLL_SECONDS = 0.5
START_SECONDS = 30.0
OPEN = ("queued", "running")


def run_dir(run_id: str) -> Path:
    """Where a run's notebook, log and result lie."""
    return settings().store / "runs" / run_id


def request(
    session: Session,
    *,
    notebook: Path,
    parameters: dict[str, Any],
    endpoint: str | None,
    trigger: str,
    logical_key: str,
    timeout: float,
    by: str,
) -> RunRow:
    """Queue a run, unless one for the same endpoint and logical time is known.

    Raises
    ------
    ConflictError
        That run is known already.
    """
    known = session.scalars(
        select(RunRow).where(RunRow.endpoint == endpoint, RunRow.logical_key == logical_key)
    ).first()
    if known is not None:
        raise ConflictError(
            f"Run {known.id} for {logical_key} is {known.state} already.",
            hint="`taxiway retrain list` shows it.",
        )
    row = RunRow(
        id=f"{now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
        endpoint=endpoint,
        notebook=str(notebook),
        parameters=parameters,
        trigger=trigger,
        logical_key=logical_key,
        timeout=timeout,
        created=now(),
    )
    session.add(row)
    record(
        session,
        "retraining asked",
        f"{notebook.name} was asked to run: {trigger}.",
        by=by,
        endpoint=endpoint,
        run=row.id,
        logical_key=logical_key,
    )
    return row


def get(session: Session, run_id: str) -> RunRow:
    """Find a run.

    Raises
    ------
    NotFoundError
        There is none of that id.
    """
    row = session.get(RunRow, run_id)
    if row is None:
        raise NotFoundError(f"There is no run {run_id!r}.", hint="`taxiway retrain list` lists them.")
    return row


def progress(run_id: str) -> dict[str, int] | None:
    """Which cell of how many a run is at, if it has begun."""
    try:
        found: dict[str, int] = json.loads((run_dir(run_id) / "progress.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found


class RunSupervisor:
    """Starts what is queued, watches what runs, and says how it ended."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._due = 0.0
        self._running: list[str] = []
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._began: dict[str, float] = {}

    def supervise(self, monotonic: float) -> None:
        """Do what is due."""
        if monotonic < self._due:
            return
        self._due = monotonic + POLL_SECONDS
        with self.ledger.reading() as session:
            rows = list(
                session.scalars(select(RunRow).where(RunRow.state.in_(OPEN)).order_by(RunRow.created))
            )
            triggers = list(session.scalars(select(TriggerRow)))
        self._running = [row.id for row in rows if row.state == "running"]
        busy = {row.endpoint for row in rows if row.state == "running"}
        for row in rows:
            if row.state == "running":
                self._watch(row, monotonic)
            elif row.endpoint is None or row.endpoint not in busy:
                busy.add(row.endpoint)
                self._start(row)
        waiting = {row.endpoint for row in rows}
        for trigger in triggers:
            if trigger.endpoint not in waiting:
                self._consider(trigger.endpoint)

    def doing(self) -> list[str]:
        """What is running, in words."""
        return [f"retraining run {name}" for name in self._running]

    def stop(self) -> None:
        """End what runs; it is recorded as failed."""
        with self.ledger.reading() as session:
            rows = list(session.scalars(select(RunRow).where(RunRow.state == "running")))
        for row in rows:
            if (process := self._process(row)) is not None:
                self._kill(process)
            self._finish(row, "failed", "it was stopped with the agent", None)

    def _start(self, row: RunRow) -> None:
        folder = run_dir(row.id)
        # Before the run is taken: by its folder it is known later on which machine, in which home.
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = {"notebook": row.notebook, "parameters": row.parameters}
        (folder / "run.json").write_text(json.dumps(content))
        with self.ledger.transaction() as session:
            taken = session.execute(
                update(RunRow)
                .where(RunRow.id == row.id, RunRow.state == "queued")
                .values(state="running", started=now())
            )
            if not cast("CursorResult[Any]", taken).rowcount:
                return
            record(
                session,
                "retraining started",
                f"{Path(row.notebook).name} runs: {row.trigger}.",
                by="agent",
                endpoint=row.endpoint,
                run=row.id,
            )
        with (folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "taxiway.retraining.execute", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "TAXIWAY_HOME": str(settings().home)},
            )
        self._children[row.id] = process

    def _watch(self, row: RunRow, monotonic: float) -> None:
        process = self._process(row)  # before the result: a process that is gone has written its last
        try:
            result = json.loads((run_dir(row.id) / "result.json").read_text())
        except (FileNotFoundError, ValueError):
            result = None
        # By the monotonic clock as soon as it is watched, so that a clock that is set ends no run
        so_far = max(0.0, (now() - (row.started or row.created)).total_seconds())
        seconds = monotonic - self._began.setdefault(row.id, monotonic - so_far)
        if result is not None:
            self._reap(row)
            self._finish(row, result["state"], result["error"], _packaged(row.id))
        elif not run_dir(row.id).is_dir():
            if seconds > row.timeout:
                away = (
                    "the agent that began it, in another home or on another machine, never said how it ended"
                )
                self._finish(row, "failed", away, None)
        elif process is None:
            if (run_dir(row.id) / "process.json").exists() or row.id in self._children:
                self._finish(row, "failed", "its process was killed before it ended", None)
            elif seconds > START_SECONDS:
                del self._began[row.id]
                self._queue_again(row)
        elif seconds > row.timeout:
            self._kill(process)
            self._finish(row, "failed", f"it took longer than {row.timeout:.0f} s", None)

    def _queue_again(self, row: RunRow) -> None:
        """An agent was killed between writing that the run starts and starting it."""
        with self.ledger.transaction() as session:
            get(session, row.id).state = "queued"

    def _finish(self, row: RunRow, state: str, error: str | None, model: str | None) -> None:
        self._began.pop(row.id, None)
        name = Path(row.notebook).name
        outcome = f"packaged {model}" if model else "packaged no Model"
        text = f"{name} failed: {error}." if state == "failed" else f"{name} succeeded and {outcome}."
        with self.ledger.transaction() as session:
            stored = get(session, row.id)
            stored.state, stored.error, stored.model, stored.ended = state, error, model, now()
            record(
                session,
                f"retraining {state}",
                text,
                by="agent",
                endpoint=row.endpoint,
                run=row.id,
                model=model,
                error=error,
            )
            if state != "succeeded" or model is None or row.endpoint is None:
                return
            endpoint = session.get(EndpointRow, row.endpoint)
            if endpoint is None or endpoint.desired != "running" or endpoint.live == model:
                return
            try:
                registry.load(model).checks.require(model)
                desired.start_shadow(session, row.endpoint, model, by="agent", why=f"retraining run {row.id}")
            except TaxiwayError as problem:
                text = f"{model} did not come into shadow: {problem.message}"
                record(session, "shadow refused", text, by="agent", endpoint=row.endpoint, model=model)

    def _consider(self, name: str) -> None:
        """Queue a run when a rule of the trigger holds and enough new outcomes are there to learn from."""
        with self.ledger.transaction() as session:
            trigger, endpoint = session.get(TriggerRow, name), session.get(EndpointRow, name)
            if trigger is None or endpoint is None or endpoint.desired != "running" or endpoint.shadow:
                return
            alerts = session.scalars(
                select(AlertRow)
                .where(AlertRow.endpoint == name, AlertRow.state.in_(("firing", "acknowledged")))
                .where(true() if "*" in trigger.rules else AlertRow.rule.in_(trigger.rules))
                .order_by(AlertRow.last_seen.desc(), AlertRow.id)
            ).all()
            known = desired.labelled(session, name, endpoint.live)
            if not alerts or known - endpoint.learned < trigger.min_outcomes:
                return
            more = f", and {len(alerts) - 1} more" if len(alerts) > 1 else ""
            key = f"{endpoint.live}@{alerts[0].window or alerts[0].first_seen.isoformat()}"
            if session.scalars(
                select(RunRow).where(RunRow.endpoint == name, RunRow.logical_key == key)
            ).first():
                return
            endpoint.learned = known
            request(
                session,
                notebook=Path(trigger.notebook),
                parameters={**trigger.parameters, "endpoint": name},
                endpoint=name,
                trigger=alerts[0].title + more,
                logical_key=key,
                timeout=trigger.timeout,
                by="agent",
            )

    def _process(self, row: RunRow) -> psutil.Process | None:
        """Find the run's process, also one that an earlier agent started."""
        self._reap(row)
        child = self._children.get(row.id)
        try:
            if child is not None:
                return psutil.Process(child.pid)
            written = json.loads((run_dir(row.id) / "process.json").read_text())
            process = psutil.Process(written["pid"])
            # By its command: the time at which it was created is another one when the clock is set
            return process if str(run_dir(row.id)) in process.cmdline() else None
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None

    def _reap(self, row: RunRow) -> None:
        child = self._children.get(row.id)
        if child is not None and child.poll() is not None and (run_dir(row.id) / "process.json").exists():
            del self._children[row.id]

    def _kill(self, process: psutil.Process) -> None:
        """Kill a run with all that it started: its kernel, and the kernel's children."""
        try:
            family = [*process.children(recursive=True), process]
        except psutil.NoSuchProcess:
            return
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(family, timeout=5)


def _packaged(run_id: str) -> str | None:
    """Give the tag of the last Model that a run packaged."""
    try:
        lines = (run_dir(run_id) / "packaged.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return None
    return str(json.loads(lines[-1])["model"]) if lines else None
