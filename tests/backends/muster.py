"""Who is there: every process and listening socket of one home, and whether that is all that should be."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import func, select

from taxiway.control.audit import audit
from taxiway.control.ledger import ledger
from taxiway.control.tables import EndpointRow, EventRow, ObservationRow, SegmentRow
from taxiway.serving.spool import list_segments, read_segment
from tests.backends.traffic import listening, sockets_of

PROGRAMS = {
    "taxiway.control.agent": "agent",
    "taxiway.control.monitor_process": "monitor",
    "taxiway_backends.local.master": "master",
    "taxiway_backends.local.forkserver": "fork server",
    "jupyter_server": "jupyter",
}
CHANGES = ("deployed", "promoted", "rolled back", "shadow started", "shadow stopped")


@dataclass(frozen=True)
class Home:
    """One home with one endpoint, looked at from outside.

    Attributes
    ----------
    jupyter_port
        Where this home's Jupyter server listens.
    """

    path: Path
    endpoint: str
    jupyter_port: int

    @property
    def folder(self) -> Path:
        """Of the endpoint's processes."""
        return self.path / "run" / "local" / self.endpoint

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Every process that has this home in its environment, or on its command line, by what it is."""
        found = defaultdict(list)
        for one in psutil.process_iter():
            try:
                command = one.cmdline()
                ours = one.environ().get("TAXIWAY_HOME") == str(self.path)
                named = any(str(self.path) in word for word in command)
                if one.pid != os.getpid() and (ours or named) and one.status() != psutil.STATUS_ZOMBIE:
                    found[self._kind(one, command)].append(one)
            except psutil.Error:
                continue
        return found

    def _kind(self, process: psutil.Process, command: list[str]) -> str:
        for program, kind in PROGRAMS.items():
            if program in command:
                forked = kind == "fork server" and process.cwd() == str(self.folder)
                return "master" if forked else kind
        if "taxiway.serving" in command:
            return command[command.index("--role") + 1]
        return " ".join(command)

    def holders(self, port: int) -> list[int]:
        """Give the processes that hold the endpoint's listening socket."""
        inodes = {inode for inode, at in listening().items() if at == port}
        return [one.pid for kind in self.processes().values() for one in kind if inodes & sockets_of(one.pid)]

    def lacks(self, *, jupyter: bool = True, ready: bool = False) -> str:
        """Say what is not as desired; empty where all is.

        Parameters
        ----------
        jupyter
            Whether there is a Jupyter server.
        ready
            Do not take DEGRADED for as desired where all serve, and the only reason is that they were
            killed three times within half a minute, as an attack does.
        """
        with ledger().reading() as session:
            row = session.get_one(EndpointRow, self.endpoint)
            seen = session.get(ObservationRow, self.endpoint)
        if seen is None or seen.generation != row.generation:
            return f"the ledger saw {seen and seen.generation} of {row.generation}"
        beaten = not ready and seen.status == "DEGRADED" and f"{row.live} does not stay up (" in seen.reason
        if seen.status != "READY" and not (beaten and seen.replicas == row.workers):
            return f"the ledger saw {seen.status} {seen.reason}"
        if (seen.live, seen.shadow) != (row.live, row.shadow):
            return f"{seen.live}, {seen.shadow} run instead of {row.live}, {row.shadow}"
        there = self.processes()
        passing = ("monitor", "fork server")  # there while there is something to do, or something new
        counts = {kind: len(found) for kind, found in there.items() if found and kind not in passing}
        wanted = {"agent": 1, "master": 1, "live": row.workers}
        wanted |= {"shadow": 1} if row.shadow else {}
        wanted |= {"jupyter": 1} if jupyter else {}
        many = [kind for kind in passing if len(there[kind]) > 1]
        if counts != wanted or many:
            return f"there are {counts}, and more than one {many}, instead of {wanted}"
        return self._stray(there, sorted((row.port, *([self.jupyter_port] if jupyter else []))))

    def _stray(self, there: dict[str, list[psutil.Process]], wanted_ports: list[int]) -> str:
        """Name a socket or a dead child that should not be there."""
        everywhere = listening()
        held = {inode for found in there.values() for one in found for inode in sockets_of(one.pid)}
        ports = sorted(at for inode, at in everywhere.items() if inode in held or at in wanted_ports)
        if ports != wanted_ports:
            return f"the ports {ports} are listened on instead of {wanted_ports}"
        status = json.loads((self.folder / "status.json").read_bytes())
        roles = sorted(worker["role"] for worker in status["workers"])
        wanted = sorted(kind for kind in ("live", "shadow") for _ in there[kind])
        if roles != wanted:
            return f"the master knows of {roles} instead of {wanted}"
        doors = [path.name for path in self.folder.glob("*.sock")]
        if len(doors) != len(there["shadow"]):
            return f"the sockets {doors} were left"
        dead = [
            child.pid
            for found in there.values()
            for one in found
            for child in one.children()
            if child.status() == psutil.STATUS_ZOMBIE
        ]
        return f"nobody buries {dead}" if dead else ""

    def faults(self, changes: list[tuple[str, bool]]) -> list[str]:
        """Give what is wrong with the ledger.

        Parameters
        ----------
        changes
            The kinds of changes that were asked for, in order, and whether each was confirmed: one whose
            answer was lost may have been made or not, but not twice.
        """
        with ledger().reading() as session:
            found = [finding.text for finding in audit(session).findings]
            kinds = select(EventRow.kind).where(EventRow.kind.in_(CHANGES)).order_by(EventRow.id)
            made = list(session.scalars(kinds))
            generation = session.scalar(select(func.max(EndpointRow.generation)))
        if generation != len(made):
            found.append(f"{len(made)} changes are in the history, and the generation is {generation}")
        if not _fits(made, changes):
            found.append(f"asked for {changes}, and the history has {made}")
        return found

    def unread(self) -> list[str]:
        """Give the ids of live predictions that the monitor has not read from the spool yet."""
        with ledger().reading() as session:
            offsets = dict(session.execute(select(SegmentRow.path, SegmentRow.offset)).all())
        records = [
            record
            for path in list_segments(self.folder / "spool")
            for record in read_segment(path, offsets.get(str(path), 0))[0]
        ]
        return [one for record in records if record.get("role") == "live" for one in record["ids"]]


def _fits(made: list[str], changes: list[tuple[str, bool]]) -> bool:
    """Tell whether the history is what was asked for, but for unconfirmed changes that may be missing."""
    ends = {0}  # how many of the history may be accounted for
    for kind, sure in changes:
        taken = {end + 1 for end in ends if end < len(made) and made[end] == kind}
        ends = taken if sure else taken | ends
    return len(made) in ends
