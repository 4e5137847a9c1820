"""``python -m tests.emulators.sagemaker [docker|process]``: an account to try things in, until Ctrl+C."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

from tests.emulators.sagemaker import SageMakerEmulator

runner = sys.argv[1] if len(sys.argv) > 1 else "auto"
if runner not in ("auto", "docker", "process"):
    sys.exit("docker or process?")
with (
    tempfile.TemporaryDirectory(prefix="taxiway-sagemaker-") as folder,
    SageMakerEmulator(Path(folder), runner=runner) as emulator,  # type: ignore[arg-type]
):
    for name, value in emulator.environment.items():
        print(f"export {name}={value}")
    print(f"export TAXIWAY_SAGEMAKER_ROLE={emulator.role}", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.pause()
