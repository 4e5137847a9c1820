"""What Taxiway costs before it does anything: imports, and Jupyter Server's start."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

ROUNDS = 7
SERVER = (
    "import sys, time; from jupyter_server.serverapp import ServerApp; app = ServerApp(); "
    "app.initialize(['--ServerApp.jpserver_extensions=' + sys.argv[1], '--ServerApp.port=0', "
    "'--ServerApp.open_browser=False', '--ServerApp.allow_root=True', '--IdentityProvider.token=t']); "
    "print(time.process_time())"
)


def seconds(code: str, *arguments: str) -> float:
    """Run code in a fresh process that prints its own processor time, in seconds; the median of several."""
    environment = {**os.environ, "JUPYTER_NO_CONFIG": "1"}
    command = [sys.executable, "-c", code, *arguments]
    found = [
        float(
            subprocess.run(
                command, capture_output=True, text=True, check=True, env=environment
            ).stdout.split()[-1]
        )
        for _ in range(ROUNDS)
    ]
    return statistics.median(found)


def main() -> None:
    """Print the table."""
    for name in ("taxiway", "taxiway.serving.app", "taxiway.control.agent"):
        code = f"import time; a = time.process_time(); import {name}; print(time.process_time() - a)"
        print(f"import {name:<24} {seconds(code):6.3f} s CPU")
    bare, extended = seconds(SERVER, "{}"), seconds(SERVER, "{'taxiway': True}")
    told = f"{bare:6.3f} s CPU, with Taxiway {extended:6.3f} s ({extended / bare:.2f} ×)"
    print(f"Jupyter Server's start          {told}")


if __name__ == "__main__":
    main()
