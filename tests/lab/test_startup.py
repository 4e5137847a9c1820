"""What the server extension costs Jupyter at its start."""

from __future__ import annotations

import statistics
import subprocess
import sys

HEAVY = (
    "pandas",
    "numpy",
    "sqlalchemy",
    "whylogs",
    "bentoml",
    "pydantic",
    "onnx",
    "onnxruntime",
    "sklearn",
    "scipy",
)


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_extension_imports_nothing_heavy() -> None:
    code = (
        "import sys, taxiway; taxiway._jupyter_server_extension_points(); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert run(code) == "[]"


def test_the_discovery_and_the_displays_import_nothing_heavy() -> None:
    code = (
        "import sys, taxiway.lab.discover, taxiway.lab.display; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert run(code) == "[]"


def test_the_extension_adds_at_most_a_fifth_of_a_second() -> None:
    code = (
        "import time, jupyter_server.serverapp; start = time.perf_counter(); "
        "import taxiway; taxiway._jupyter_server_extension_points(); print(time.perf_counter() - start)"
    )
    assert statistics.median(float(run(code)) for _ in range(3)) <= 0.2
