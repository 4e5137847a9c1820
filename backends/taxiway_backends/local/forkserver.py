"""``python -m taxiway_backends.local.forkserver``: has imported what a master needs, and forks it when asked.

Most of a master's own start is imports, and its serving process starts only after them. This process has
nothing else to do and no threads, so that it can be forked at any time. It ends with the process that started
it, which holds the other end of its standard input; no master notices.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from pathlib import Path

from taxiway_backends.local import master
from taxiway_backends.local.rundir import RunDir


def serve() -> None:
    """Fork a master for each line, a folder in JSON, until there are no more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries those that end
    gc.freeze()  # the collector writes into what it looks at, and what was written to is shared no longer
    for line in sys.stdin.buffer:
        try:
            child = os.fork()
        except OSError:  # who asked sees that this process has ended, and tells why no other is started
            return
        if child == 0:
            _become_master(RunDir(Path(json.loads(line))))


def _become_master(directory: RunDir) -> None:
    """Be the master of an endpoint, in a session of its own, and end with it."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        nothing, log = os.open(os.devnull, os.O_RDONLY), directory.open_log()
        for file, place in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(file, place)
        for file in (nothing, log):
            os.close(file)
        status = master.be(directory)
    except Exception:  # noqa: BLE001 - nobody above could tell of it
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    serve()
