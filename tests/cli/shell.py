"""``taxiway …`` in a process of its own, forked from one that has imported what the commands import.

A command's own start is two thirds imports. Here a process that did them waits and forks for each command:
its arguments, environment, folder, standard streams, exit status and process id are its own.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.forkserver import ensure_running
from pathlib import Path

_SECONDS = 120.0
_KEPT = multiprocessing.get_context("forkserver")
#: What ``taxiway models list`` has imported when it ends, and what a deployment and a replay need besides.
_IMPORTED = ("taxiway.cli.commands", "taxiway.control.views", "taxiway.control.api", "taxiway.packaging")


def start() -> None:
    """Start the process that forks, with no home of any test in its environment."""
    home = os.environ.pop("TAXIWAY_HOME", None)
    _KEPT.set_forkserver_preload(list(_IMPORTED))
    ensure_running()
    if home is not None:
        os.environ["TAXIWAY_HOME"] = home


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end and give what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("in", "out", "err")]
        streams[0].write_text(stdin)
        process = _KEPT.Process(
            target=_command,
            args=(arguments, dict(os.environ), Path.cwd(), streams),
        )
        process.start()
        process.join(_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise AssertionError(f"taxiway {' '.join(arguments)} did not end within {_SECONDS:g} s")
        written = [one.read_text() for one in streams[1:]]
        return subprocess.CompletedProcess(["taxiway", *arguments], process.exitcode, *written)


def _command(
    arguments: Sequence[str], environment: dict[str, str], folder: Path, streams: list[Path]
) -> None:
    """Be ``python -m taxiway``."""
    flags = (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT | os.O_APPEND] * 2)
    for number, (path, flag) in enumerate(zip(streams, flags, strict=True)):
        os.dup2(os.open(path, flag, 0o600), number)
    sys.stdin = os.fdopen(0, encoding="utf-8")  # multiprocessing has put /dev/null there
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["taxiway", *arguments]
    from taxiway.cli import main

    main()
