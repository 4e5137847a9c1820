"""The prediction log beside the serving process: append-only files that survive kill -9.

A segment is the 8 bytes ``TWSPOOL1`` and then records: length (u32, little endian), CRC-32 (the same),
and a JSON text. A record is one ``write`` before its response is sent; the page cache outlives the
process, so that no answered prediction is lost with it. While a segment is being written its writer
holds a lock on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import orjson

MAGIC = b"TWSPOOL1"
SUFFIX = ".spool"
SEGMENT_BYTES = 64 * 2**20
SEGMENT_SECONDS = 600.0
BUDGET_BYTES = 2 * 2**30
MAX_RECORD_BYTES = 256 * 2**20
_BUDGET_SECONDS = 5.0
_HEADER = struct.Struct("<II")


class SpoolWriter:
    """Appends records to segments of one folder.

    Parameters
    ----------
    directory
        The spool's folder; made if it is not there, for its owner only.
    prefix
        The first part of the segments' names: the role.
    segment_bytes, segment_seconds
        A segment is closed when it is as large or as old as this.
    budget_bytes
        The most that all segments of the folder may take; beyond it records are dropped and counted.

    Attributes
    ----------
    written, dropped
        Records so far.
    """

    def __init__(
        self,
        directory: Path,
        prefix: str,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segment_seconds: float = SEGMENT_SECONDS,
        budget_bytes: int = BUDGET_BYTES,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory = directory
        self.written = 0
        self.dropped = 0
        self._stem = f"{prefix}-{os.getpid()}-{time.time_ns()}"
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self._budget = budget_bytes
        self._sequence = 0
        self._file = -1
        self._size = 0
        self._opened = 0.0
        self._others = 0
        self._counted = float("-inf")

    def append(self, record: dict[str, Any]) -> bool:
        """Write one record; False if it was dropped for want of room.

        Never raises for a full or failing disk: serving goes on.
        """
        payload = orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS)
        entry = b"".join((_HEADER.pack(len(payload), zlib.crc32(payload)), payload))
        try:
            if self._room(len(entry)):
                self._write(entry)
                self.written += 1
                return True
        except OSError:
            self._abandon()
        self.dropped += 1
        return False

    def close(self) -> None:
        """Close the current segment; a later append opens another."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _room(self, length: int) -> bool:
        now = time.monotonic()
        if now - self._counted > _BUDGET_SECONDS:
            self._others = _folder_bytes(self.directory) - (self._size if self._file >= 0 else 0)
            self._counted = now
        own = self._size if self._file >= 0 else 0
        if own and (own + length > self._segment_bytes or now - self._opened > self._segment_seconds):
            self.close()
            self._others += own
            own = 0
        return self._others + own + length <= self._budget

    def _write(self, entry: bytes) -> None:
        if self._file < 0:
            self._open()
        if os.write(self._file, entry) != len(entry):
            raise OSError("the disk took only a part of a record")
        self._size += len(entry)

    def _open(self) -> None:
        self._sequence += 1
        path = self.directory / f"{self._stem}-{self._sequence}{SUFFIX}"
        hidden = path.with_name(f".{path.name}.new")
        file = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            # Locked before it has its name, so that no reader takes it for a finished one.
            fcntl.flock(file, fcntl.LOCK_EX)
            os.write(file, MAGIC)
            hidden.rename(path)
        except OSError:
            os.close(file)
            hidden.unlink(missing_ok=True)
            raise
        self._file, self._size, self._opened = file, len(MAGIC), time.monotonic()

    def _abandon(self) -> None:
        """Cut a half-written record off; where that fails too, leave the segment with its torn tail."""
        if self._file < 0:
            return
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            with contextlib.suppress(OSError):
                self.close()
            self._file = -1


def list_segments(directory: Path) -> list[Path]:
    """Give a spool's segments, oldest first."""
    return sorted(directory.glob(f"*{SUFFIX}"), key=_age)


def _age(path: Path) -> tuple[int, int, str]:
    parts = path.name.removesuffix(SUFFIX).rsplit("-", 2)
    try:
        return int(parts[-2]), int(parts[-1]), path.name
    except (IndexError, ValueError):
        return 0, 0, path.name


def is_finished(path: Path) -> bool:
    """Whether no process writes to the segment any more, so that it may be removed once read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True


def read_segment(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Read a segment's records from a byte offset on.

    Parameters
    ----------
    path
        The segment.
    offset
        Where to start: 0, or what an earlier call gave.

    Returns
    -------
    records, offset
        What was read, and where to go on. A torn or corrupt record stops the reading before it and is
        not an error: its writer was killed, or is still writing.
    """
    with path.open("rb") as file:
        if offset < len(MAGIC):
            if file.read(len(MAGIC)) != MAGIC:
                return [], 0
            offset = len(MAGIC)
        file.seek(offset)
        data = file.read()
    records: list[dict[str, Any]] = []
    start = 0
    while len(data) - start >= _HEADER.size:
        length, checksum = _HEADER.unpack_from(data, start)
        end = start + _HEADER.size + length
        if length > MAX_RECORD_BYTES or end > len(data):
            break
        payload = data[start + _HEADER.size : end]
        if zlib.crc32(payload) != checksum:
            break
        records.append(orjson.loads(payload))
        start = end
    return records, offset + start


def _folder_bytes(directory: Path) -> int:
    total = 0
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                total += entry.stat().st_size
    return total
