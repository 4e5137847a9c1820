"""Tells one message by Apprise, in a process of its own.

Apprise's plug-ins are the code of some hundred services. Here none of them can hang, fill or outlive the
agent: the process is ended when its time is up, and may take a bounded amount of memory. The address comes
on standard input, since a command line is for all to read.
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any, Literal, TypedDict

from taxiway.control.hosts import insist_open_host
from taxiway.errors import InputError

Mood = Literal["info", "success", "warning", "failure"]

START_SECONDS = 20.0  # until a process has read Apprise, on a machine that is busy
MOST_BYTES = 1 << 30  # of address space


class Message(TypedDict):
    """What is told; ``timeout`` in seconds."""

    url: str
    subject: str
    body: str
    mood: Mood
    timeout: float


def tell(message: Message) -> str:
    """Tell a message; give what was wrong, or nothing.

    Raises
    ------
    TimeoutError
        It took longer than ``timeout``, not counted the process's own start.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "taxiway.control.apprising"],
            input=json.dumps(message).encode(),
            capture_output=True,
            timeout=START_SECONDS + message["timeout"],
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    if done.returncode == -signal.SIGALRM:
        raise TimeoutError
    try:
        return str(json.loads(done.stdout)["wrong"])
    except (ValueError, KeyError):
        return f"Apprise ended with status {done.returncode}, as when an answer is too large."


def main() -> None:
    """Tell what comes on standard input, and write on standard output what was wrong."""
    message: Message = json.load(sys.stdin)
    with suppress(ValueError, OSError):  # not every system knows such a limit
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    said = _Said()
    logging.getLogger("apprise").addHandler(said)
    logging.getLogger("apprise").propagate = False
    signal.setitimer(signal.ITIMER_REAL, START_SECONDS)  # if the agent is gone, nobody else would end it
    socket.getaddrinfo = _open_only(socket.getaddrinfo)
    import apprise

    wrong = "" if _notify(apprise, message) else " ".join(said.words) or "It did not take the message."
    json.dump({"wrong": wrong[:2000]}, sys.stdout)


def _open_only(resolve: Any) -> Any:
    """Refuse what a name has come to lead to since its address was looked at."""

    def resolved(*arguments: Any, **named: Any) -> Any:
        found = resolve(*arguments, **named)
        try:
            for *_, address in found:
                insist_open_host(str(address[0]))
        except InputError as error:
            raise OSError(str(error)) from None
        return found

    return resolved


def _notify(apprise: Any, message: Message) -> bool:
    # Nothing of this machine: no plug-ins, templates, keys or files of a configuration, no state on disk.
    asset = apprise.AppriseAsset(
        app_id="Taxiway",
        app_desc="Taxiway",
        plugin_paths=[],
        allow_templates=False,
        service_timeout=message["timeout"],
        async_mode=False,
        http_redirects=False,
        pgp_autogen=False,
        pem_autogen=False,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    sink = apprise.Apprise.instantiate(message["url"], asset=asset, suppress_exceptions=True)
    if sink is None:
        logging.getLogger("apprise").warning("Apprise does not know that address.")
        return False
    signal.setitimer(signal.ITIMER_REAL, message["timeout"])  # reading its plug-ins took a while
    # said to be text, or a service of pages would take a column's name for markup
    return bool(
        sink.notify(
            body=message["body"],
            title=message["subject"],
            notify_type=apprise.NotifyType(message["mood"]),
            body_format=apprise.NotifyFormat.TEXT,
        )
    )


class _Said(logging.Handler):
    """Keeps what Apprise says is wrong; none of it goes to a log, where addresses would be read."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())


if __name__ == "__main__":
    main()
