"""The watch over a new live Model; it is written down, so that it outlives its master."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from taxiway.backends import Bake
from taxiway_backends.local.bake import Totals, find_fault, slow_from
from taxiway_backends.local.rundir import RunDir, read_json, write_json
from taxiway_backends.local.spec import ModelEntry, Spec

_log = logging.getLogger("taxiway.local")


@dataclass(frozen=True, slots=True)
class Watch:
    """One new live Model.

    Attributes
    ----------
    model, before
        The new one, and the one that it replaced.
    began
        When, by the monotonic clock of this machine since it was started.
    slow
        Seconds from which its answers are slow ones; None where that is not known.
    boot
        Which start of the machine that was.
    fault
        Why it was taken back; empty while it is watched.
    """

    model: ModelEntry
    before: ModelEntry
    began: float
    slow: float | None
    boot: str = ""
    fault: str = ""


class Baking:
    """Watches what the spec's live Model does, and knows which Model to serve.

    Parameters
    ----------
    directory
        The endpoint's folder.
    """

    def __init__(self, directory: RunDir) -> None:
        self._path = directory.bake
        data = read_json(self._path)
        self.watch: Watch | None = None
        if data is not None:
            models = {name: ModelEntry(**data[name]) for name in ("model", "before")}
            self.watch = Watch(**{**data, **models})
            if self.watch.boot != _boot() or self.watch.began > time.monotonic():
                # The machine's clock began anew, and so does the watch.
                self._write(replace(self.watch, began=time.monotonic(), boot=_boot()))

    @property
    def watching(self) -> Watch | None:
        """The watch that goes on."""
        return self.watch if self.watch is not None and not self.watch.fault else None

    @property
    def refused(self) -> Watch | None:
        """The watch that ended with a fault."""
        return self.watch if self.watch is not None and self.watch.fault else None

    def live(self, spec: Spec) -> ModelEntry:
        """Say which Model is to serve; a watch that the spec has left behind is forgotten."""
        if self.watch is not None and (spec.live != self.watch.model or spec.bake is None):
            self.end()
        return spec.live if self.refused is None else self.refused.before

    def begin(self, model: ModelEntry, before: ModelEntry, bake: Bake, totals: Totals) -> None:
        """Watch a Model from now on; ``totals`` are those of the one before it."""
        slow = slow_from(totals, bake.latency_factor)
        self._write(Watch(model, before, time.monotonic(), slow, _boot()))

    def left(self, bake: Bake) -> float:
        """Give the seconds that the watch goes on."""
        return max(0.0, self.watch.began + bake.seconds - time.monotonic()) if self.watch else 0.0

    def judge(self, totals: Totals, bake: Bake, crashes: str) -> str:
        """Look at the new Model; where it is out of its bounds, take it back and say why.

        Parameters
        ----------
        totals
            What it did since it serves.
        bake
            The bounds.
        crashes
            Why it does not stay up, if so.
        """
        fault = crashes or find_fault(totals, bake, self.watch.slow if self.watch else None)
        if fault and self.watch is not None:
            after = time.monotonic() - self.watch.began
            fault = f"{self.watch.model.tag} was taken back after {after:.0f} s: {fault}"
            fault += f". {self.watch.before.tag} serves again: roll back to it, or promote another"
            self._write(replace(self.watch, fault=fault))
        return fault

    def end(self) -> None:
        """Forget."""
        self.watch = None
        self._path.unlink(missing_ok=True)

    def _write(self, watch: Watch) -> None:
        self.watch = watch
        try:
            write_json(self._path, asdict(watch))
        except OSError as error:
            _log.warning("the watch over %s would not outlive this process: %s", watch.model.tag, error)


def _boot() -> str:
    """Name this start of the machine; empty where it has no name, and no reboot can be told from none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
