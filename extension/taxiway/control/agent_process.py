"""The agent from outside: start it, stop it, ask what it does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime

import psutil
from sqlalchemy import select

from taxiway.backends import EndpointRef, Suspendable
from taxiway.control.lease import LEASE, RENEWALS, is_agent, is_alive, is_here
from taxiway.control.ledger import actor, ledger, now, record
from taxiway.control.loops import Activity, is_outdated, read_journal
from taxiway.control.tables import EndpointRow, LeaseRow, ObservationRow
from taxiway.errors import AgentError, TaxiwayError
from taxiway.settings import settings

START_SECONDS = 30.0
STOP_SECONDS = 20.0
MOST_LOG_BYTES = 10_000_000
STANDBY = "--standby"
_started: list[subprocess.Popen[bytes]] = []  # agents that this process started, to be reaped when they end


@dataclass(frozen=True, slots=True)
class AgentState:
    """What the agent does now.

    Attributes
    ----------
    host
        The machine it runs on.
    here
        Whether that is this one.
    endpoints
        What it does to each endpoint; empty where it runs on another machine.
    outdated
        It is of another Taxiway than this process, and ends as soon as it notices.
    """

    running: bool
    pid: int | None = None
    since: datetime | None = None
    doing: str = ""
    host: str = ""
    here: bool = True
    endpoints: tuple[Activity, ...] = ()
    outdated: bool = False


def status() -> AgentState:
    """Look whether an agent holds the lease, and what it does."""
    _reap()
    with ledger().reading() as session:
        row = session.get(LeaseRow, LEASE)
    if row is None or row.expires < now() or not is_alive(row):
        return AgentState(False)
    here = is_here(row)
    journal = settings().home / "agent.json"
    activities = read_journal(journal, row.pid) if here else []
    host = row.holder.rsplit(":", 2)[0]
    outdated = here and is_outdated(journal, row.pid)
    return AgentState(True, row.pid, row.since, row.doing, host, here, tuple(activities), outdated)


def standing_by() -> list[int]:
    """Give the ids of this machine's agents, of this home, that wait for the one that works to go."""
    home, found = str(settings().home), []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            ours = process.environ().get("TAXIWAY_HOME") == home
        except psutil.Error:
            continue
        if ours and STANDBY in words and is_agent(process.pid):
            found.append(process.pid)
    working = status().pid
    return [pid for pid in found if pid != working]


def start() -> AgentState:
    """Start the agent in a session of its own, unless it runs; wait until it holds the lease.

    One of an older Taxiway, whose ledger this process has just upgraded, is waited for to end, and replaced.

    Raises
    ------
    AgentError
        It did not come up; the last lines of its log are in the message.
    """
    state = status()
    if state.outdated and state.pid is not None:
        _outlast(state.pid)
        state = status()
    if state.running:
        return state
    home = settings().home
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    log_path = home / "agent.log"
    with contextlib.suppress(FileNotFoundError):
        if log_path.stat().st_size > MOST_LOG_BYTES:
            log_path.replace(home / "agent.log.1")
    descriptor = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "taxiway.control.agent"],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            env={**_environment(), "TAXIWAY_HOME": str(home)},
            cwd=home,
        )
    finally:
        os.close(descriptor)
    _started.append(process)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        state = status()
        if state.running:
            return state
        if process.poll() is not None and not status().running:
            break
        time.sleep(0.05)
    tail = " | ".join(log_path.read_text(errors="replace").splitlines()[-3:])
    raise AgentError(f"The agent did not start: {tail}", hint=f"Read {log_path}, then run `taxiway doctor`.")


def _environment() -> dict[str, str]:
    """The environment without what a client alone needs."""
    return {name: value for name, value in os.environ.items() if name != "TAXIWAY_TOKEN"}


def stop(*, keep_serving: bool = False) -> AgentState:
    """Stop the agent and, unless ``keep_serving``, every serving process of this machine.

    Endpoints in a cloud are left alone. The desired state stays.

    ``start`` brings everything back.
    """
    for pid in standing_by():
        _end(pid)
    state = status()
    if state.running and not state.here:
        raise AgentError(f"The agent runs on {state.host}.", hint="Stop it there: `taxiway agent stop`.")
    if state.running and state.pid is not None:
        _end(state.pid)
    _reap()
    if not keep_serving:
        _stop_serving()
    return AgentState(False)


def _end(pid: int) -> None:
    """Ask an agent to end, and wait until it has."""
    try:
        os.kill(pid, signal.SIGTERM)
        psutil.Process(pid).wait(STOP_SECONDS)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return
    except psutil.TimeoutExpired as error:
        raise AgentError(
            f"The agent (process {pid}) did not stop within {STOP_SECONDS:.0f} s.",
            hint=f"Look into {settings().home / 'agent.log'}, or kill it: nothing is lost.",
        ) from error


def _outlast(pid: int) -> None:
    """Wait until an agent has noticed that its time is over; one of a version that does not look is ended."""
    try:
        psutil.Process(pid).wait(2 * settings().agent_lease / RENEWALS)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired:
        _end(pid)


def _stop_serving() -> None:
    from taxiway.control.reconcile import backend

    with ledger().reading() as session:
        rows = list(session.scalars(select(EndpointRow)))
    problems = []
    for row in rows:
        try:
            target = backend(row.backend)
            if not isinstance(target, Suspendable):
                continue
            seen = target.stop(EndpointRef(row.name))
        except TaxiwayError as error:
            problems.append(str(error))
            continue
        with ledger().transaction() as session:
            observation = session.get(ObservationRow, row.name)
            if observation is None or observation.status == seen.status.value:
                continue
            observation.status, observation.time, observation.generation = seen.status.value, seen.time, 0
            observation.settled, observation.live, observation.shadow = observation.status, None, None
            observation.reason = "stopped with the agent; `taxiway agent start` brings it back"
            text = f"{row.name} stopped serving with the agent."
            record(session, "stopped", text, by=actor("agent stop"), endpoint=row.name)
    if problems:
        raise AgentError(" ".join(problems), hint="Stop what is left by hand; `taxiway doctor` lists it.")


def _reap() -> None:
    _started[:] = [process for process in _started if process.poll() is None]
