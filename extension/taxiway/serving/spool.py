"""The prediction log beside the serving process: append-only files that survive kill -9.

A segment is the 8 bytes ``TWSPOOL1`` and then records: length (u32, little endian), CRC-32 (the same), a JSON
text, and behind a zero what is not JSON: columns of numbers, or a single row's stamp. A record is copied into
a mapped piece of the file before its response is sent, which costs no system call; the page cache outlives
the process, so that no answered prediction is lost with it. Each piece is allocated on the disk before it is
mapped: a full disk is an error that can be caught there. What is allocated and not written yet is zeros; a
length of zero ends the reading. While a segment is being written its writer holds a lock on it.

A disk that copies on write (btrfs, ZFS) takes new room for every write, so that there no allocation
guarantees it: if such a disk is full, a write to the map ends the process with SIGBUS. Keep the spool on a
file system that writes in place (ext4, XFS, tmpfs).
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import mmap
import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal
from zlib import crc32

import orjson

from taxiway.serving.identifiers import prediction_ids
from taxiway.serving.losses import LossCounter
from taxiway.serving.rows import RowJoiner

if TYPE_CHECKING:
    from taxiway.serving.requests import Array

MAGIC = b"TWSPOOL1"
SUFFIX = ".spool"
SEGMENT_BYTES = 64 * 2**20
SEGMENT_SECONDS = 600.0
BUDGET_BYTES = 2 * 2**30
MAX_RECORD_BYTES = 256 * 2**20
PIECE_BYTES = 2**19
_LITTLE_BYTES = 2**16
_BUFFER_BYTES = 2**18
_MOST_ROWS = 10**7
_BUDGET_SECONDS = 5.0
HEADER = struct.Struct("<II")
#: Of a single row: its time in epoch seconds, and its latency in milliseconds.
STAMP = struct.Struct("<dd")
_HEADER_BYTES = HEADER.size
_write_header = HEADER.pack_into
_ZEROS = memoryview(bytes(PIECE_BYTES))
#: numpy's name of a dtype → ``struct``'s format.
FORMATS = {
    "<f2": "e",
    "<f4": "f",
    "<f8": "d",
    "|i1": "b",
    "<i2": "h",
    "<i4": "i",
    "<i8": "q",
    "|u1": "B",
    "<u2": "H",
    "<u4": "I",
    "<u8": "Q",
    "|b1": "?",
}


class SpoolWriter:
    """Appends records to segments of one folder.

    Where the folder or the segment is removed while it is written, a new one is begun within seconds. The
    records written meanwhile went to a file without a name: they are lost, and cannot be counted.

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
        self._losses = LossCounter(directory, self._stem)
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self._budget = budget_bytes
        self._sequence = 0
        self._file = -1
        self._allocated = 0
        self._opened = 0.0
        self._others = 0
        self._counted = float("-inf")
        self._piece: mmap.mmap | bytearray = bytearray()  # what is mapped of the segment
        self._start = 0  # of the piece, in the segment
        self._place = 0  # in the piece, of the next record
        self._end = 0  # of the piece
        self._due = float("-inf")  # when age and budget are looked at again, by time.monotonic

    def append(self, record: dict[str, Any], arrays: Mapping[str, Mapping[str, Array]] | None = None) -> bool:
        """Write one record; False if it was dropped for want of room, or is larger than a reader takes.

        Never raises for a full or failing disk: serving goes on.

        Parameters
        ----------
        record
            What is written as JSON.
        arrays
            Fields that are columns of numbers, each of shape (rows,): they are written as their bytes.
        """
        if arrays:
            return self.write(_with_arrays(record, arrays))
        return self.write(orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS))

    def write(self, payload: bytes) -> bool:
        """Write one record that is as a segment has it; otherwise as ``append``."""
        size = len(payload)
        begin = self._place + _HEADER_BYTES
        end = begin + size
        if end > self._end or time.monotonic() > self._due:
            if not self._make_room(size):
                return self._drop()
            begin = self._place + _HEADER_BYTES
            end = begin + size
        # The header first: killed in between, its length tells that nothing comes after this record.
        _write_header(self._piece, self._place, size, crc32(payload))
        self._piece[begin:end] = payload
        self._place = end
        self.written += 1
        return True

    def close(self) -> None:
        """Close the current segment; a later append opens another."""
        self._close_segment()
        self._losses.close()

    @property
    def _size(self) -> int:
        """The bytes of the segment that are written."""
        return self._start + self._place

    def _drop(self) -> Literal[False]:
        self.dropped += 1
        self._losses.add()
        return False

    def _close_segment(self) -> None:
        self._unmap()
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            os.close(self._file)
            self._file = -1
        self._start = self._allocated = 0

    def _make_room(self, size: int) -> bool:
        """Rotate where it is time, and map a piece that takes such a payload; False if there is no room."""
        if size > MAX_RECORD_BYTES:
            return False
        length, now = HEADER.size + size, time.monotonic()
        try:
            if now - self._counted > _BUDGET_SECONDS:
                self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._losses.restore()
                if self._file >= 0 and not os.fstat(self._file).st_nlink:
                    self._close_segment()
                self._others = _folder_bytes(self.directory) - self._allocated
                self._counted = now
            full = self._size + length > self._segment_bytes or now - self._opened > self._segment_seconds
            if self._size and full:
                self._others += self._size
                self._close_segment()
            left = self._budget - self._others - (self._size or len(MAGIC))
            if length > left:
                return False
            if self._file < 0:
                self._open()
            if self._place + length > self._end:
                self._map(length, left)
        except OSError:
            return False
        self._due = min(self._counted + _BUDGET_SECONDS, self._opened + self._segment_seconds)
        return True

    def _open(self) -> None:
        self._sequence += 1
        path = self.directory / f"{self._stem}-{self._sequence}{SUFFIX}"
        hidden = path.with_name(f".{path.name}.new")
        file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Locked before it has its name, so that no reader takes it for a finished one.
            fcntl.flock(file, fcntl.LOCK_EX)
            os.write(file, MAGIC)
            hidden.rename(path)
        except OSError:
            os.close(file)
            hidden.unlink(missing_ok=True)
            raise
        self._file, self._opened = file, time.monotonic()
        self._start = self._allocated = len(MAGIC)

    def _map(self, length: int, left: int) -> None:
        """Map the file from its last page on, as far as the next record or a whole piece takes it."""
        self._unmap()
        size = self._start
        needed = size + length
        most = min(self._segment_bytes, size + left)
        try:
            self._allocate(max(needed, min(needed + PIECE_BYTES, most)))
        except OSError:
            # The disk is nearly full: less may have room all the same.
            self._allocate(max(needed, min(needed + _LITTLE_BYTES, most)))
        start = size - size % mmap.ALLOCATIONGRANULARITY
        self._piece = mmap.mmap(self._file, self._allocated - start, offset=start)
        self._start, self._place, self._end = start, size - start, self._allocated - start

    def _allocate(self, end: int) -> None:
        """Have the disk set aside the file's bytes up to ``end``, so that writing to the map cannot fail."""
        if end <= self._allocated:
            return
        try:
            # Zeros that are written are in the page cache: a write to the map finds its page there, which
            # after posix_fallocate it does not.
            for start in range(self._allocated, end, PIECE_BYTES):
                part = min(end - start, PIECE_BYTES)
                if os.pwrite(self._file, _ZEROS[:part], start) != part:
                    raise OSError("the disk took only a part")
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._allocated)
            raise
        self._allocated = end

    def _unmap(self) -> None:
        if isinstance(self._piece, mmap.mmap):
            self._piece.close()
            self._piece = bytearray()
        self._start, self._place, self._end = self._size, 0, 0


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


def read_segment(
    path: Path,
    offset: int = 0,
    *,
    most: int | None = None,
    most_rows: int | None = None,
    most_bytes: int | None = None,
    joined: bool = False,
) -> tuple[list[dict[str, Any]], int]:
    """Read a segment's records from a byte offset on.

    Parameters
    ----------
    path
        The segment.
    offset
        Where to start: 0, or what an earlier call gave.
    most
        The most records to read; None for all.
    most_rows, most_bytes
        No record is begun after so many rows, or bytes, so that one at least is read; None for no limit.
    joined
        Give requests of a single row that follow each other as one record where that can be, as
        ``RowJoiner`` does, which is several times as fast.

    Returns
    -------
    records, offset
        What was read, and where to go on. A torn or corrupt record stops the reading before it and is
        not an error: its writer was killed, or is still writing.
    """
    found, count, rows = RowJoiner(_known), 0, 0
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        if offset < len(MAGIC):
            if file.read(len(MAGIC)) != MAGIC:
                return [], 0
            offset = len(MAGIC)
        file.seek(offset)
        end = math.inf if most_bytes is None else offset + most_bytes
        last, last_row = math.inf if most is None else most, math.inf if most_rows is None else most_rows
        while offset < end and count < last and rows < last_row:
            if not (payload := next_whole(file)):
                break
            if taken := _take(payload, found, joined):
                rows += taken
                count += 1
            offset += HEADER.size + len(payload)
    found.flush()
    return found.records, offset


def is_spent(path: Path, offset: int) -> bool:
    """Whether a segment that was read up to ``offset`` may be removed.

    So it is if its writer has left, and what follows is nothing, or one torn record and nothing. What
    follows a damaged record is kept for a person to look at.
    """
    if not is_finished(path):
        return False
    try:
        with path.open("rb") as file:
            file.seek(offset)
            if len(header := file.read(HEADER.size)) < HEADER.size:
                return True
            length, checksum = HEADER.unpack(header)
            # A writer sets the room aside before it writes: what claims more than there is, is damaged.
            if offset + HEADER.size + length > os.fstat(file.fileno()).st_size:
                return False
            if crc32(file.read(length)) == checksum and length:
                return False
            return all(part.count(0) == len(part) for part in iter(lambda: file.read(_BUFFER_BYTES), b""))
    except FileNotFoundError:
        return True


def _with_arrays(record: dict[str, Any], arrays: Mapping[str, Mapping[str, Array]]) -> bytes:
    """Write the arrays' bytes behind the JSON and a zero, which JSON cannot hold."""
    described, data = [], [b""]
    for field, columns in arrays.items():
        for name, array in columns.items():
            described.append((field, name, array.dtype.str, len(array)))
            data.append(array.tobytes())
    data[0] = orjson.dumps(record | {"arrays": described}, option=orjson.OPT_NON_STR_KEYS) + b"\0"
    return b"".join(data)


def next_whole(file: IO[bytes]) -> bytes:
    """Read the next record of a segment; empty at the end, or where one is torn or altered."""
    if len(header := file.read(HEADER.size)) < HEADER.size:
        return b""
    length, checksum = HEADER.unpack(header)
    if not 0 < length <= MAX_RECORD_BYTES:
        return b""
    payload = file.read(length)
    return payload if len(payload) == length and crc32(payload) == checksum else b""


def _take(payload: bytes, found: RowJoiner, joined: bool) -> int:
    """Add a record in a form that readers know and give its rows, or 1; 0 if no writer of ours wrote it."""
    text, _, data = payload.partition(b"\0")
    try:
        record: Any = orjson.loads(text)
    except ValueError:
        return 0
    if len(data) == STAMP.size and type(record) is dict and "row" in record:
        received, latency = STAMP.unpack(data)
        if not math.isfinite(received + latency):
            return 0
        if joined:
            found.add(record, received, latency)
            return 1
        record["time"], record["latency_ms"], data = received, latency, b""
    if (one := _known(record, data)) is None:
        return 0
    found.append(one)
    return len(one.get("ids") or "1")


def _known(record: Any, data: bytes = b"") -> dict[str, Any] | None:
    """Give a record in the one form that readers know; None if no writer of ours wrote it."""
    try:
        one = _restored(record, data)
        len(one.get("ids") or "1")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, struct.error):
        return None
    return one


def _restored(record: dict[str, Any], data: bytes) -> dict[str, Any]:
    """Do what ``_known`` does; raise what it may if no writer of ours wrote it."""
    if (row := record.pop("row", None)) is not None:
        # A single row is there as its client wrote it, and as it was answered.
        record["inputs"] = {name: [value] for name, value in row[0].items()}
    if (answer := record.pop("answer", None)) is not None:
        record["outputs"] = {name: [value] for name, value in answer.items()}
    start = 0
    for field, name, dtype, rows in record.pop("arrays", ()):
        form = f"<{rows:d}{FORMATS[dtype]}"
        values = struct.unpack_from(form, data, start)
        # NaN, which is not itself, is a missing value.
        record.setdefault(field, {})[name] = [value if value == value else None for value in values]
        start += struct.calcsize(form)
    if (rows := record.pop("unnamed", None)) is not None:
        if not 0 < rows <= _MOST_ROWS:
            raise ValueError("no request has so many rows")
        record["ids"] = prediction_ids(record["request"], None, rows)
    return record


def _folder_bytes(directory: Path) -> int:
    total = 0
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                total += entry.stat().st_size if entry.name.endswith(SUFFIX) else 0
    return total
