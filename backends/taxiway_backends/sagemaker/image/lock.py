"""From a Model's environment contract to the hashes of all that its image installs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from taxiway.errors import BackendError
from taxiway.serving.stores import REQUIREMENT
from taxiway_backends.sagemaker.image.base import PYTHON

#: Wheels for every Linux since glibc 2.28; the base has 2.36.
PLATFORM = "x86_64-manylinux_2_28"
#: What computes on a GPU in the place of ONNX Runtime, with NVIDIA's libraries; the driver is the machine's.
_ON_GPU = {"onnxruntime": "onnxruntime-gpu[cuda,cudnn]"}
_SERVING = ("numpy", "onnxruntime", "orjson", "uvicorn", "uvloop", "httptools")
_SECONDS = 600.0
_PIN = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!_-]+")


def environment_lock(model: Path, cache: Path, *, gpu: bool = False) -> str:
    """Give the requirements, with hashes, of what serves a Model.

    They are its pins, what these require, and what ships its log. Of what they require, the versions are
    those of the environment that the Model was made in, where it had them. The outcome is kept, so that one
    environment has one lock on one machine for as long as the cache lasts.

    Parameters
    ----------
    model
        The Model's folder.
    cache
        Where locks are kept.
    gpu
        Whether it is to compute on a GPU: ONNX Runtime is the one for CUDA then, of the same version.

    Raises
    ------
    BackendError
        The pins contradict each other, have no wheel for the image, or no index could be reached.
    """
    pins = [*_pins(model), REQUIREMENT]
    known = _constraints(model, {pin.partition("==")[0].lower() for pin in pins})
    if gpu:
        pins = [_for_gpu(pin) for pin in pins]
    what = json.dumps([pins, known, PYTHON, PLATFORM])
    path = cache / "locks" / f"{hashlib.sha256(what.encode()).hexdigest()[:32]}.txt"
    if path.exists():
        return path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="taxiway-lock-") as name:
        folder = Path(name)
        (folder / "pins.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
        (folder / "known.txt").write_text("\n".join(known) + "\n", encoding="utf-8")
        uv(
            folder,
            *("pip", "compile", "pins.txt", "--constraints", "known.txt", "--generate-hashes"),
            *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
            *("--output-file", "lock.txt", *target()),
            failed="The packages of the Model's image could not be resolved",
        )
        text = (folder / "lock.txt").read_text(encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.rename(path)
    return text


def cuda_of(lock: str) -> str:
    """Give the major version of CUDA that a lock's packages are for; empty where none is for CUDA."""
    found = re.search(r"^nvidia-cudnn-cu(\d+)==", lock, re.MULTILINE)
    return found[1] if found else ""


def target() -> Sequence[str]:
    """Give uv's options for what the image is, whatever this machine is."""
    return ("--python-version", PYTHON, "--python-platform", PLATFORM, "--only-binary", ":all:")


def uv(folder: Path, *words: str, failed: str) -> None:
    """Run uv in a folder of its own, with the user's variables for indexes, proxies and certificates.

    Raises
    ------
    BackendError
        ``failed``, with uv's own reason.
    """
    try:
        from uv import find_uv_bin

        tool = find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        raise BackendError(f"{failed}: uv is not installed here.", hint="pip install uv") from error
    # uv looks for settings from where it runs upwards: it finds these, and not those of a project.
    (folder / "uv.toml").touch()
    own = {**os.environ, "COLUMNS": "9999"}
    own.pop("VIRTUAL_ENV", None)
    try:
        ran = subprocess.run(
            [tool, *words, "--quiet"], cwd=folder, env=own, capture_output=True, text=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(
            f"{failed} within {_SECONDS / 60:g} minutes.", hint="See that the package index can be reached."
        ) from error
    if ran.returncode:
        lines = [re.sub(r"^[\s│├╰─▶×╭]+", "", line).strip() for line in ran.stderr.splitlines()]
        said = [line for line in lines if line and not line.startswith("hint:")]
        raise BackendError(
            f"{failed}: {(said[-1] if said else 'uv gave no reason').rstrip('.')}.",
            hint="See that the package index can be reached, and that each pin in the Model's"
            f" requirements.txt has a wheel for Linux and Python {PYTHON}.",
        )


def _pins(model: Path) -> list[str]:
    try:
        lines = (model / "requirements.txt").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return sorted(f"{name}=={metadata.version(name)}" for name in _SERVING)
    return sorted(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _for_gpu(pin: str) -> str:
    name, _, version = pin.partition("==")
    return f"{_ON_GPU[name]}=={version}" if name in _ON_GPU else pin


def _constraints(model: Path, pinned: set[str]) -> list[str]:
    """Give the other versions of the Model's environment."""
    try:
        environment = json.loads((model / "environment.json").read_text(encoding="utf-8"))
        versions = {**environment["imported"], **environment["needed"]}
    except (OSError, ValueError, KeyError, TypeError):
        return []
    lines = (f"{name}=={version}" for name, version in versions.items() if name.lower() not in pinned)
    return sorted(line for line in lines if _PIN.fullmatch(line))
