"""A real Jupyter server in a process of its own, with private folders, stopped when the test is done."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import httpx

TOKEN = "taxiway-test-token"
START_SECONDS = 60.0
STAND_IN = Path(__file__).with_name("stand_in_config.py")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Jupyter:
    """A server; a context manager.

    Parameters
    ----------
    folder
        Where its home, settings, notebooks and log lie.
    module
        ``jupyter_server`` or ``jupyterlab``.
    seed
        A file of what ``taxiway.control`` shall answer; the real thing answers if none is given.
    taxiway_home
        The TAXIWAY_HOME that the real thing shall answer from; an empty one if none is given.
    port
        Where it shall listen; any free port if 0.
    """

    folder: Path
    module: str = "jupyter_server"
    seed: Path | None = None
    taxiway_home: Path | None = None
    port: int = 0

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def notebooks(self) -> Path:
        """The root of its files."""
        return self.folder / "notebooks"

    @property
    def home(self) -> Path:
        """Its TAXIWAY_HOME."""
        return self.taxiway_home or self.folder / "taxiway"

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self.folder / "log.txt").read_text(encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """The environment in which the server and its kernels run."""
        own = {
            "HOME": "home",
            "IPYTHONDIR": "ipython",
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "TAXIWAY"))}
        kept |= {name: str(self.folder / place) for name, place in own.items()}
        kept |= {"TAXIWAY_HOME": str(self.home)}
        kept |= {"BENTOML_DO_NOT_TRACK": "True", "WHYLOGS_NO_ANALYTICS": "True"}
        if self.seed is not None:
            kept["TAXIWAY_TEST_SEED"] = str(self.seed)
        return kept

    def __enter__(self) -> Jupyter:
        self.notebooks.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(parents=True, exist_ok=True)
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        self.port = self.port or _free_port()
        command = [sys.executable, "-m", self.module, "--no-browser", "--allow-root", "--ip=127.0.0.1"]
        command += [f"--port={self.port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"]
        command += [
            f"--ServerApp.root_dir={self.notebooks}",
            "--ServerApp.allow_unauthenticated_access=False",
        ]
        command += ["--ServerApp.jpserver_extensions=taxiway=True", "--LabApp.news_url=None"]
        command += ["--TaxiwayExtension.poll_seconds=0.1", "--ServerApp.terminals_enabled=False"]
        if self.seed is not None:
            command.append(f"--config={STAND_IN}")
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self.environment(), stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log
            try:
                httpx.get(f"{self.url}/api", timeout=2)
                return
            except httpx.TransportError:
                time.sleep(0.05)
        self.stop()
        raise AssertionError(f"the server did not start:\n{self.log}")

    def stop(self) -> None:
        """Stop the server and its kernels."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def start_again(self) -> None:
        """Start again on the same port."""
        self._start()
