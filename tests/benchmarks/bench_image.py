"""What an image for SageMaker costs: to make, in size, and from a container's start to its first answer.

Downloads are not measured: they are made before. Starts are measured in turn, container and local serving
process, because only their ratio means anything.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from taxiway_backends.sagemaker import image
from taxiway_backends.sagemaker.image.engine import find_engine
from tests.models import BuiltModel, build_model

ROUNDS = 5
ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("TAXIWAY_IMAGE_CACHE") or ROOT / ".make" / "images")


def local_start(model: BuiltModel, folder: Path) -> float:
    """Start ``python -m taxiway.serving``; give the seconds to the first answer to the Model's sample."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sample = json.loads((model.path / "sample.json").read_text())["records"]
    command = [sys.executable, "-P", "-m", "taxiway.serving", "--model", str(model.path)]
    started = time.monotonic()
    process = subprocess.Popen(
        [*command, "--spool", str(folder / "spool"), "--port", str(port)], stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            while True:
                try:
                    client.get("/ping").raise_for_status()
                    client.post("/invocations", json={"dataframe_records": sample}).raise_for_status()
                except httpx.HTTPError:
                    time.sleep(0.02)
                else:
                    return time.monotonic() - started
    finally:
        process.kill()
        process.wait()


def timed_build(model: BuiltModel, cache: Path) -> tuple[float, image.LocalImage]:
    """Give the seconds that a build takes, and the image."""
    started = time.monotonic()
    built = image.build(model.path, cache=cache)
    return time.monotonic() - started, built


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="taxiway-bench-") as name:
        folder = Path(name)
        model = build_model(folder / "models")
        image.build(model.path, cache=CACHE)  # downloads
        cold = folder / "cold"
        for kept in ("debian", "locks"):
            shutil.copytree(CACHE / kept, cold / kept)
        seconds, built = timed_build(model, cold)
        print(f"built with nothing but downloads  {seconds:6.1f} s")
        for path in (cold / "layers").glob("packages-*"):
            path.unlink()
        print(f"built for another lock            {timed_build(model, cold)[0]:6.1f} s")
        print(f"built from a warm cache           {timed_build(model, cold)[0]:6.2f} s")
        size, packed = built.size_bytes / 1e6, sum(layer.size for layer in built.layers) / 1e6
        print(f"size                              {size:6.0f} MB, {packed:.0f} MB to push")
        engine = find_engine()
        starts: list[float] = []
        locals_: list[float] = []
        for _ in range(ROUNDS):
            starts.append(image.try_out(built, model.path, engine=engine).seconds)
            locals_.append(local_start(model, folder))
        container, local = statistics.median(starts), statistics.median(locals_)
        how = engine.name if engine else "unpacked"
        print(f"a local serving process answers   {local:6.2f} s after its start")
        print(
            f"a container ({how}) answers       {container:6.2f} s after its start, {container / local:.2f} ×"
        )


if __name__ == "__main__":
    main()
