"""The prediction log of a machine that will be gone, brought where it stays: an object store.

A ``Shipper`` looks at a spool every few seconds, puts the records that are new as an object that is itself a
segment (so that a reader of spools reads it), and removes segments that are wholly there. It runs apart from
the serving processes: nothing that it waits for delays an answer. Where the store cannot be reached the spool
grows up to its own budget, and its writers count what they drop beyond that.

At least once: the range of bytes that is about to be put is written down first, and the object is named
after its beginning, so that a range which is put again, because nobody knows whether it arrived, is the same
object with the same content. No two spools give an object the same name.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from taxiway.serving.losses import FOLDER as LOSSES
from taxiway.serving.spool import (
    HEADER,
    MAGIC,
    SUFFIX,
    is_finished,
    is_spent,
    list_segments,
    next_whole,
)
from taxiway.serving.stores import Store, open_store
from taxiway.serving.variables import SHIP_SECONDS

OBJECT_BYTES = 8 * 2**20
LONGEST_PAUSE = 60.0
#: Objects of what no reader takes: a segment's damaged end.
DAMAGED = "damaged/"
_STATE = ".shipping"
#: An object's number is its segment's, times this, and where it begins in it.
_SPAN = 10**12

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Shipped:
    """What was shipped of a spool, and what is under way.

    Parameters
    ----------
    instance
        Tells this spool's objects from those of all others.
    segments
        Segment → the byte up to which it is in the store, and the one up to which it may be.
    objects, bytes, failures
        Put so far; attempts that failed.
    error
        Why the last attempt failed; empty where it did not.
    since
        When the attempts began to fail, in epoch seconds; 0 where they do not.
    """

    instance: str
    segments: dict[str, tuple[int, int]] = field(default_factory=dict)
    objects: int = 0
    bytes: int = 0
    failures: int = 0
    error: str = ""
    since: float = 0.0

    def counts(self) -> dict[str, float]:
        """Give what ``/metrics`` tells: counts, and the seconds for which nothing could be put."""
        waiting = time.time() - self.since if self.since else 0.0
        return {
            "objects": self.objects,
            "bytes": self.bytes,
            "failures": self.failures,
            "waiting": round(waiting, 1),
        }


def read_shipped(spool: Path) -> Shipped | None:
    """Give what was shipped of a spool; None where it is not shipped."""
    try:
        return Shipped(**orjson.loads((spool / _STATE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


class Shipper:
    """Ships one spool.

    Parameters
    ----------
    spool
        The folder.
    url
        Where to: ``s3://bucket/prefix``.
    seconds
        How long a record waits at the longest, where the store can be reached.
    store
        In place of the one at ``url``.
    object_bytes
        No record is begun in an object after so many.
    """

    def __init__(
        self,
        spool: Path,
        url: str,
        *,
        seconds: float = SHIP_SECONDS,
        store: Store | None = None,
        object_bytes: int = OBJECT_BYTES,
    ) -> None:
        self._spool = spool
        self._url = url
        self._seconds = seconds
        self._store = store
        self._object_bytes = object_bytes
        self._shipped = read_shipped(spool) or Shipped(os.urandom(6).hex())
        self._losses: dict[str, bytes] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipping", daemon=True)

    def start(self) -> None:
        """Ship from now on."""
        _log.info("the prediction log goes to %s", self._url)
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Ship all that there is, but no longer than ``seconds``; the spool's writers have left."""
        self._stopping.set()
        self._thread.join(seconds)
        left = sum(1 for _ in self._spool.glob(f"*{SUFFIX}"))
        if left:
            _log.error("%d segments of the prediction log were not shipped: %s", left, self._shipped.error)

    def ship(self) -> bool:
        """Put all that is new; whether that went well."""
        try:
            if self._store is None:
                self._store = open_store(self._url)
            for path in list_segments(self._spool):
                self._ship_segment(path)
            self._ship_losses()
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the next attempt may go well
            self._fail(error)
            return False
        if self._shipped.error:
            _log.info("the prediction log is shipped again")
            self._shipped.error, self._shipped.since = "", 0.0
            self._write()
        return True

    def _run(self) -> None:
        pause = self._seconds
        while not self._stopping.wait(pause):
            pause = self._seconds if self.ship() else min(2 * pause, max(LONGEST_PAUSE, self._seconds))
        while not self.ship():
            time.sleep(1.0)

    def _ship_segment(self, path: Path) -> None:
        # Looked at before it is read: what a writer adds later is read the next time.
        finished = is_finished(path)
        sent, until = self._shipped.segments.get(path.name, (len(MAGIC), len(MAGIC)))
        while True:
            try:
                content = _read(path, sent, until) if until > sent else cut(path, sent, self._object_bytes)
            except FileNotFoundError:
                break
            if not content:
                break
            until = sent + len(content)
            self._note(path, sent, until)
            self._put(self._name(path, sent), MAGIC + content)
            sent = until
            self._note(path, sent, until)
        if finished:
            self._let_go(path, sent)

    def _let_go(self, path: Path, sent: int) -> None:
        """Remove a segment that is wholly in the store; what follows a damaged record is put apart."""
        with contextlib.suppress(FileNotFoundError):
            if not is_spent(path, sent):
                rest = path.read_bytes()[sent:]
                _log.error("%s is damaged from byte %d on", path.name, sent)
                self._put(DAMAGED + self._name(path, sent), rest)
            path.unlink()
        self._shipped.segments.pop(path.name, None)
        self._write()

    def _ship_losses(self) -> None:
        """Put what the spool's writers could not write down, as they count it."""
        for path in (self._spool / LOSSES).glob("[!.]*"):
            content = path.read_bytes()
            if any(content) and self._losses.get(path.name) != content:
                self._put(f"{LOSSES}/{self._own(path.name)}", content)
                self._losses[path.name] = content

    def _put(self, name: str, content: bytes) -> None:
        assert self._store is not None
        self._store.put(name, content)
        self._shipped.objects += 1
        self._shipped.bytes += len(content)

    def _name(self, path: Path, start: int) -> str:
        """Name an object as a segment is named: ``role-…-time-number``."""
        stem, _, number = path.name.removesuffix(SUFFIX).rpartition("-")
        sequence = int(number) if re.fullmatch("[0-9]+", number) else 0
        return f"{self._own(stem)}-{sequence * _SPAN + start}{SUFFIX}"

    def _own(self, stem: str) -> str:
        role, dash, rest = stem.partition("-")
        return f"{role}-{self._shipped.instance}{dash}{rest}"

    def _note(self, path: Path, sent: int, until: int) -> None:
        self._shipped.segments[path.name] = (sent, until)
        self._write()

    def _write(self) -> None:
        shipped = self._shipped
        content = orjson.dumps({name: getattr(shipped, name) for name in shipped.__slots__})
        hidden = self._spool / f"{_STATE}.new"
        try:
            self._spool.mkdir(parents=True, exist_ok=True, mode=0o700)
            hidden.write_bytes(content)
            hidden.rename(self._spool / _STATE)
        except OSError:
            # A full disk: what is shipped makes room. Until then a range may be put once more.
            hidden.unlink(missing_ok=True)

    def _fail(self, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        if not self._shipped.error:
            self._shipped.since = time.time()
            _log.error("the prediction log waits: %s cannot be written to: %s", self._url, reason)
        self._shipped.failures += 1
        self._shipped.error = reason
        self._write()


def cut(path: Path, start: int, most_bytes: int) -> bytes:
    """Give a segment's whole records from a byte offset on, as they are.

    Parameters
    ----------
    path
        The segment; it may be written meanwhile.
    start
        Where a record begins.
    most_bytes
        No record is begun after so many.

    Returns
    -------
    bytes
        Empty where there is none that is whole.
    """
    size = 0
    with path.open("rb") as file:
        file.seek(start)
        while size < most_bytes and (payload := next_whole(file)):
            size += HEADER.size + len(payload)
        file.seek(start)
        return file.read(size)


def _read(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)
