"""A listening socket, handed from a serving process whose master died to the next master.

Standard library only: the master imports it. The next master goes on with the very same socket, because
closing a socket resets the connections that wait in it, even where another listens on the same port.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path


def door_of(pid: int) -> Path:
    """Name the socket on which an orphan is asked, within the endpoint's folder."""
    return Path(f"orphan-{pid}.sock")


def offer_listener(listener: socket.socket, path: Path) -> None:
    """Hand a duplicate of a listening socket to everyone who connects to ``path``."""
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(path))
    path.chmod(0o600)
    door.listen()
    threading.Thread(target=_hand_out, args=(door, listener), name="orphan", daemon=True).start()


def take_listener(path: Path) -> socket.socket:
    """Take the listening socket that an orphan offers.

    Raises
    ------
    OSError
        Nobody is there, or nothing was handed over.
    """
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(2.0)
        line.connect(str(path))
        _, files, _, _ = socket.recv_fds(line, 16, 1)
    if not files:
        raise OSError("the orphan handed nothing over")
    return socket.socket(fileno=files[0])


def _hand_out(door: socket.socket, listener: socket.socket) -> None:
    while True:
        guest, _ = door.accept()
        with guest, contextlib.suppress(OSError):
            socket.send_fds(guest, [b"listener"], [listener.fileno()])
