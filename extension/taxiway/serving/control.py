"""The line between a serving process and its master: commands in, events out, on standard input.

Standard input is one end of a socket pair. Commands are lines (``accept``, ``mirror PATH``,
``mirror``, ``pause``, ``measure``, ``drain SECONDS``), events are JSON lines (``ready``, ``accepting``,
``paused``, ``measured``, ``draining``). When the master dies the process serves on, and hands its listening
socket to whoever connects to ``orphan-<pid>.sock`` in its working folder: the next master goes on with the
same socket, so that no connection waiting in it is reset. One that does not serve yet, or no more, may be
the last to hold the socket: it hands it out for a while, and then leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket

import orjson

from taxiway.serving.destination import Destination
from taxiway.serving.handover import door_of, offer_listener
from taxiway.serving.metrics import Metrics
from taxiway.serving.server import Server

#: For which the next master can take over the socket of one that serves nobody.
HEIR_SECONDS = 10.0
#: How the routes end that predict.
PREDICTING = ("/predict", "/invocations", "/infer", ":predict", ":classify", ":regress")

_log = logging.getLogger(__name__)


class Control:
    """Obeys the master.

    Parameters
    ----------
    server
        What is commanded.
    line
        This end of the socket pair.
    """

    def __init__(self, server: Server, line: socket.socket) -> None:
        self._server = server
        self._line = line
        line.setblocking(False)

    async def run(self) -> None:
        """Say that the process is ready and obey until the master is gone."""
        reader, writer = await asyncio.open_unix_connection(sock=self._line)
        _tell(writer, "ready")
        watch = asyncio.create_task(self._tell_draining(writer))
        try:
            while line := await reader.readline():
                await self._obey(line.decode().strip(), writer)
        except OSError:
            pass
        watch.cancel()
        writer.close()
        if not self._server.stopping.is_set():
            self._be_orphan()

    async def _obey(self, command: str, writer: asyncio.StreamWriter) -> None:
        verb, _, argument = command.partition(" ")
        if verb == "accept":
            await self._server.accept()
            _tell(writer, "accepting")
        elif verb == "mirror":
            self._server.app.mirror.direct(Destination(argument) if argument else None)
        elif verb == "pause":
            self._server.pause()
            _tell(writer, "paused")
        elif verb == "measure":
            _tell(writer, "measured", **_measures(self._server.app.metrics))
        elif verb == "drain":
            self._server.stop(float(argument))
        else:
            _log.warning("the master sent %r, which is not understood", command)

    async def _tell_draining(self, writer: asyncio.StreamWriter) -> None:
        await self._server.on_draining.wait()
        _tell(writer, "draining")

    def _be_orphan(self) -> None:
        if self._server.app.role == "shadow":
            _log.info("the master is gone, and nobody is served here: leaving")
            self._server.stop(0.0)
            return
        if self._server.servers:
            _log.info("the master is gone: serving on")
        else:
            _log.info("the master is gone, and nobody is served here: leaving in %g s", HEIR_SECONDS)
            asyncio.get_running_loop().call_later(HEIR_SECONDS, self._server.stop)
        try:
            offer_listener(self._server.listener, door_of(os.getpid()))
        except OSError as error:
            _log.info("the endpoint's folder is gone (%s): leaving", error)
            self._server.stop()


def _tell(writer: asyncio.StreamWriter, event: str, **more: object) -> None:
    with contextlib.suppress(OSError, RuntimeError):
        writer.write(orjson.dumps({"event": event, **more}) + b"\n")


def _measures(metrics: Metrics) -> dict[str, object]:
    """Count the predictions that were answered, those that failed here, and how long they took."""
    counts = [
        (status, count) for (label, status), count in metrics.requests.items() if label.endswith(PREDICTING)
    ]
    return {
        "answers": sum(count for _, count in counts),
        "failures": sum(count for status, count in counts if status >= 500),
        "buckets": metrics.buckets,
    }
