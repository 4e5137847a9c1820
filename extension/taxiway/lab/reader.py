"""The process that reads profiles for the server: started when needed, ended when idle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

from taxiway.errors import InputError, NotFoundError, TaxiwayError

_COMMAND = (sys.executable, "-P", "-m", "taxiway.lab.profile_worker")
_ANSWER_BYTES = 256 * 2**20
_ANSWER_SECONDS = 90.0
_IDLE_SECONDS = 120.0
_KINDS: dict[str, type[TaxiwayError]] = {kind.__name__: kind for kind in (NotFoundError, InputError)}


class ProfileReader:
    """Asks a worker (``taxiway.lab.profile_worker``), one question at a time.

    Parameters
    ----------
    answer_seconds
        A worker that has not answered after so long is killed.
    idle_seconds
        It is ended when nothing was asked for so long.
    """

    def __init__(self, answer_seconds: float = _ANSWER_SECONDS, idle_seconds: float = _IDLE_SECONDS) -> None:
        self._answer_seconds = answer_seconds
        self._idle_seconds = idle_seconds
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """The worker's process, if there is one."""
        return None if self._process is None else self._process.pid

    async def ask(self, what: str, **arguments: str | None) -> object:
        """Ask for something.

        Raises
        ------
        TaxiwayError
            What the worker could not do; that it took too long, or that it crashed.
        """
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            try:
                line = await asyncio.wait_for(self._exchange(what, arguments), self._answer_seconds)
            except TimeoutError as error:
                await self._end()
                raise TaxiwayError(
                    f"Reading took longer than {self._answer_seconds:g} s and was given up.",
                    hint="The file may be too large to be shown, or broken.",
                ) from error
            except BaseException:  # the next answer would be the one to this question
                await self._end()
                raise
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._idle_seconds, self._kill)
        told = json.loads(line)
        if failure := told.get("failure"):
            kind = _KINDS.get(failure["kind"], TaxiwayError)
            raise kind(failure["error"], hint=failure["hint"])
        found: object = told["answer"]
        return found

    async def close(self) -> None:
        """End the worker."""
        if self._idle is not None:
            self._idle.cancel()
        await self._end()

    async def _exchange(self, what: str, arguments: dict[str, str | None]) -> bytes:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *_COMMAND,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_ANSWER_BYTES,
                start_new_session=True,
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        line = b""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(json.dumps({"ask": what, "with": arguments}).encode() + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            await self._end()
            raise TaxiwayError(
                "The process that reads profiles ended before it answered.",
                hint="The file is likely broken, or needs more memory than 4 GB.",
            )
        return line

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _end(self) -> None:
        process = self._process
        self._process = None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
