"""The preflights that were started from the user interface: one at a time for each Model."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

_COMMAND = (sys.executable, "-P", "-m", "taxiway.lab.preflight_worker")
_LINE_BYTES = 2**20
_LEAVE_SECONDS = 10.0
_MOST_KEPT = 100

State = Literal["running", "cancelling", "done", "failed", "cancelled"]


@dataclass
class PreflightRun:
    """One preflight.

    Attributes
    ----------
    stage
        What is being done, or was last.
    checks
        The checks that it has made so far.
    error, hint
        Why it failed, and what to do.
    """

    model: str
    state: State = "running"
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    stage: str = "starting"
    checks: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    hint: str = ""
    _told: bool = field(default=False, repr=False)

    @property
    def busy(self) -> bool:
        """Whether its process still runs."""
        return self.state in ("running", "cancelling")

    def hear(self, line: str) -> None:
        """Take in one line of the worker."""
        try:
            [(kind, what)] = json.loads(line).items()
        except (ValueError, AttributeError):
            if not self._told:
                self.error = line  # a traceback's last line says why it ended
            return
        if kind == "stage":
            self.stage = what
        elif kind == "check":
            self.checks.append(what)
        elif kind == "failure":
            self.error, self.hint, self._told = what["error"], what["hint"], True
        elif kind == "done":
            self.error, self._told = "", True

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form."""
        shown = ("model", "state", "started", "stage", "checks", "error", "hint")
        return {name: getattr(self, name) for name in shown} | ({"error": ""} if self.busy else {})

    def end(self) -> None:
        """Say how it ended, once its process has."""
        if self.state == "cancelling":
            self.state, self.error, self.hint = "cancelled", "", ""
        elif self._told:
            self.state = "failed" if self.error else "done"
        else:
            self.state = "failed"
            self.error = f"The preflight ended before it was done: {self.error or 'its process was killed'}"
            self.hint = f"Run `taxiway preflight {self.model}` in a terminal to see more."


class Preflights:
    """Starts preflights in processes of their own, follows them and ends them."""

    def __init__(self) -> None:
        self._runs: dict[str, PreflightRun] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._followers: dict[str, asyncio.Task[None]] = {}

    def look(self, model: str) -> dict[str, Any]:
        """Give the last run of a Model as JSON, or ``{"state": "idle"}``."""
        run = self._runs.get(model)
        return {"model": model, "state": "idle"} if run is None else run.to_dict()

    async def start(self, model: str) -> dict[str, Any]:
        """Start one, or join the one that runs (``joined`` says so)."""
        run = self._runs.get(model)
        if run is not None and run.busy:
            return {**run.to_dict(), "joined": True}
        run = PreflightRun(model)
        self._runs.pop(model, None)
        self._runs[model] = run
        for old in [name for name, one in self._runs.items() if not one.busy][:-_MOST_KEPT]:
            del self._runs[old]
        self._followers[model] = asyncio.create_task(self._follow(run))
        return {**run.to_dict(), "joined": False}

    async def cancel(self, model: str) -> dict[str, Any]:
        """End the one that runs, if one does, and give how it ended."""
        run, follower = self._runs.get(model), self._followers.get(model)
        if run is not None and run.busy and follower is not None:
            run.state = "cancelling"
            process = self._processes.get(model)
            if process is not None:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)
            await asyncio.wait([follower], timeout=_LEAVE_SECONDS)
            if run.busy and process is not None:
                with suppress(ProcessLookupError):
                    process.kill()
                await asyncio.wait([follower])
        return self.look(model)

    async def close(self) -> None:
        """End all of them."""
        await asyncio.gather(*(self.cancel(model) for model in list(self._followers)))

    async def _follow(self, run: PreflightRun) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *_COMMAND,
                run.model,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=_LINE_BYTES,
                start_new_session=True,
            )
            self._processes[run.model] = process
            if run.state == "cancelling":  # it was, while the process was being made
                process.send_signal(signal.SIGINT)
            if process.stdout is not None:
                async for line in process.stdout:
                    if run.state == "running":
                        run.hear(line.decode("utf-8", "replace").strip())
            await process.wait()
        except OSError as error:
            run.error = str(error)
        finally:
            self._processes.pop(run.model, None)
            self._followers.pop(run.model, None)
            run.end()
