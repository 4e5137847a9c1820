"""Answers on their way to a client that may not read before it has sent all."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import IO

from taxiway.serving.asgi import Send

MEMORY_BYTES = 2**20
FILE_BYTES = 2**30
_PIECE_BYTES = 2**16


class Outbox:
    """A queue of bytes: in memory while they are few, then in a nameless file.

    Where the file has no more room, whoever writes waits for the client.

    Parameters
    ----------
    send
        ASGI's.
    folder
        Where the file is.
    """

    def __init__(self, send: Send, folder: Path) -> None:
        self._send = send
        self._folder = folder
        self._parts: list[bytes] = []
        self._held = 0
        self._file: IO[bytes] | None = None
        self._read = 0
        self._written = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._closed = False
        self._ended = False

    async def put(self, data: bytes) -> None:
        """Take an answer over."""
        if self._read < self._written or self._held >= MEMORY_BYTES:
            if self._store(data):
                return
            self._emptied.clear()
            if not self._ended:
                await self._emptied.wait()
        self._parts.append(data)
        self._held += len(data)
        self._filled.set()

    def close(self) -> None:
        """Say that no more answers follow."""
        self._closed = True
        self._filled.set()

    async def run(self) -> None:
        """Send what is there, until it is closed and empty."""
        try:
            while True:
                await self._filled.wait()
                if piece := self._take():
                    await self._send({"type": "http.response.body", "body": piece, "more_body": True})
                    continue
                self._filled.clear()
                self._emptied.set()
                if self._closed:
                    break
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            self._ended = True
            self._emptied.set()
            if self._file is not None:
                self._file.close()

    def _take(self) -> bytes:
        if self._parts:
            piece = b"".join(self._parts)
            self._parts.clear()
            self._held = 0
            return piece
        if self._file is None or self._read == self._written:
            return b""
        self._file.seek(self._read)
        piece = self._file.read(min(_PIECE_BYTES, self._written - self._read))
        self._read += len(piece)
        if self._read == self._written:
            self._file.truncate(0)
            self._read = self._written = 0
        return piece

    def _store(self, data: bytes) -> bool:
        """Write to the file; whether there was room."""
        if self._ended or self._written + len(data) > FILE_BYTES:
            return False
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
            self._file.seek(self._written)
            if self._file.write(data) != len(data):
                return False
        except OSError:
            return False
        self._written += len(data)
        return True
