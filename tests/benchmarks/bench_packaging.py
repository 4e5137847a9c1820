"""What ``package()`` costs, without the clean replay.

Time: beside skl2onnx's conversion and one whylogs profile of the same data, which anybody would have to
make; issue 3 asks for 1.5 times at most. 100 trees, 30 columns, 100,000 rows of reference, resampled from
scikit-learn's breast cancer data.

Memory: the most that ``package()`` holds beyond the model and the data, beside the size of the model file;
issue 3 asks for twice at most. Each model in a process of its own; what skl2onnx and ONNX Runtime alone
take for it stands beside it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS = 100_000
MODELS = ("forest", "network")


def main() -> None:
    """Print the times, the memory, and their ratios."""
    if len(sys.argv) > 1 and sys.argv[1] in MODELS:
        memory(sys.argv[1])
        return
    timing()
    for name in MODELS:
        subprocess.run([sys.executable, "-m", "tests.benchmarks.bench_packaging", name], check=True)


def timing() -> None:
    """Time both, once each has been imported and has run."""
    import whylogs
    from skl2onnx import to_onnx
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    from taxiway.monitoring.profiles import profile
    from taxiway.packaging import package

    inputs, target = load_breast_cancer(return_X_y=True, as_frame=True)
    inputs.columns = [name.replace(" ", "_") for name in inputs.columns]
    model = RandomForestClassifier(100, random_state=0).fit(inputs, target)
    rows = inputs.sample(ROWS, replace=True, random_state=0).reset_index(drop=True)
    for few in (whylogs.log, profile):
        few(inputs.head(100))
    to_onnx(model, inputs.head(1).to_numpy())
    conversion = _seconds(lambda: to_onnx(model, inputs.head(1).to_numpy()))
    theirs, ours = _seconds(lambda: whylogs.log(rows)), _seconds(lambda: profile(rows))
    with tempfile.TemporaryDirectory() as home:
        os.environ["TAXIWAY_HOME"] = home
        whole = _seconds(
            lambda: package(
                model,
                name="cancer",
                reference=rows,
                replay=False,
                progress=lambda line: print(f"  {line}"),
            )
        )
    print(
        f"conversion {conversion:.2f} s, whylogs.log {theirs:.2f} s, package() with its Bento {whole:.2f} s: "
        f"{whole / (conversion + theirs):.2f} × (with Taxiway's own profile, {ours:.2f} s, in place of "
        f"whylogs.log: {whole / (conversion + ours):.1f} ×)"
    )


def memory(kind: str) -> None:
    """Measure the peak of one model's packaging, and of its conversion and its session alone."""
    import numpy as np
    import onnxruntime
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neural_network import MLPClassifier

    from taxiway.packaging import package

    inputs, target = load_digits(return_X_y=True, as_frame=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["TAXIWAY_HOME"] = home
        small = RandomForestClassifier(3, random_state=0).fit(inputs, target)
        package(small, name="small", reference=inputs, replay=False, waive=("parity",), progress=_silent)
        models: dict[str, Any] = {
            "forest": RandomForestClassifier(1500, random_state=0),
            "network": MLPClassifier((2048, 2048), max_iter=2, random_state=0),
        }
        with np.errstate(all="ignore"):
            model = models[kind].fit(inputs, target)
        whole, packaged = _peak(
            lambda: package(model, name=kind, reference=inputs, replay=False, progress=_silent)
        )
        file = packaged.path / "model.onnx"
        size = file.stat().st_size / 2**20
        converting, _ = _peak(lambda: to_onnx(model, inputs.head(1).to_numpy(dtype=np.float32)) and None)
        session, _ = _peak(lambda: onnxruntime.InferenceSession(str(file)) and None)
    print(
        f"{kind}: file {size:.0f} MB, package() {whole:.0f} MB beyond model and data: {whole / size:.1f} × "
        f"(skl2onnx alone {converting / size:.1f} ×, an ONNX Runtime session alone {session / size:.1f} ×)"
    )


def _peak(work: Callable[[], Any]) -> tuple[float, Any]:
    """Give the most memory, in MB, that the process took while it worked beyond what it had; Linux only."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS")
    result = work()
    return _status("VmHWM") - before, result


def _status(field: str) -> float:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"{field}:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) / 1024


def _seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _silent(_: object) -> None:
    return None


if __name__ == "__main__":
    main()
