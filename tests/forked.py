"""Processes that begin after the imports, which are most of a start's work: forked from one that did them.

Arguments, environment, folder, standard streams, process group, exit status and process id are their own.
What has to begin where a shell does is started with ``subprocess``, as ``tests/cli/test_commands.py`` starts
``taxiway`` and ``python -m taxiway`` once.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.forkserver import ensure_running
from pathlib import Path

#: Not whylogs and ONNX Runtime: they start threads when they are imported, and threads are not forked.
_IMPORTED = (
    "pytest",  # which multiprocessing would import anew in each
    *("pandas", "scipy.stats", "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline", "skl2onnx"),
    *("taxiway.cli.commands", "taxiway.control.api", "taxiway.control.views", "taxiway.packaging.packing"),
)
_SECONDS = 240.0
_forking = multiprocessing.get_context("forkserver")


class Forked:
    """A process that runs source code.

    Parameters
    ----------
    source
        What ``python -c`` would be given.
    arguments
        What stands in ``sys.argv`` after its name.
    environment
        Its variables. ``sitecustomize.py`` in the first folder of PYTHONPATH is run, as Python does.
    stdin
        What it can read from standard input.
    """

    def __init__(
        self, source: str, *arguments: str, environment: Mapping[str, str] | None = None, stdin: str = ""
    ) -> None:
        self._arguments = arguments
        self._folder = tempfile.TemporaryDirectory(prefix="forked-")
        self._streams = [Path(self._folder.name) / name for name in ("in", "out", "err")]
        for stream in self._streams:
            stream.write_text(stdin)
            stdin = ""
        own = dict(os.environ if environment is None else environment)
        _start_forking()
        self._process = _forking.Process(
            target=_run, args=(source, arguments, own, Path.cwd(), self._streams), daemon=False
        )
        self._process.start()

    @property
    def written(self) -> str:
        """Its standard output, so far."""
        return self._streams[1].read_text()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def wait(self, seconds: float = _SECONDS) -> subprocess.CompletedProcess[str]:
        """Wait for its end, and give what it wrote."""
        self._process.join(seconds)
        status = self._process.exitcode
        if status is None:
            self.kill()
            raise AssertionError(f"It did not end within {seconds:g} s; it wrote {self.written!r}.")
        out, err = (stream.read_text() for stream in self._streams[1:])
        self._folder.cleanup()
        return subprocess.CompletedProcess(self._arguments, status, out, err)


def taxiway(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``taxiway …`` to its end."""
    return Forked("from taxiway.cli import main; main()", *arguments, stdin=stdin).wait()


def _start_forking() -> None:
    """Start the process that forks, unless it runs, with no home of a test in its environment."""
    _forking.set_forkserver_preload(list(_IMPORTED))
    home = os.environ.pop("TAXIWAY_HOME", None)
    try:
        ensure_running()
    finally:
        if home is not None:
            os.environ["TAXIWAY_HOME"] = home


def _run(
    source: str,
    arguments: Sequence[str],
    environment: dict[str, str],
    folder: Path,
    streams: Sequence[Path],
) -> None:
    os.setsid()
    for number, (path, mode) in enumerate(zip(streams, ("r", "a", "a"), strict=True)):
        with path.open(mode) as stream:
            os.dup2(stream.fileno(), number)
    sys.stdin = os.fdopen(0, encoding="utf-8")  # multiprocessing has put /dev/null there
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    custom = Path(environment.get("PYTHONPATH", "").partition(os.pathsep)[0], "sitecustomize.py")
    if custom.is_file():
        exec(compile(custom.read_text(), str(custom), "exec"), {"__name__": "sitecustomize"})
    sys.argv = ["taxiway", *arguments]
    exec(compile(source, "<string>", "exec"), {"__name__": "__main__"})
