"""The machine's GPUs, as NVIDIA's management library (NVML) shows them, and which of them a Model gets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from taxiway_backends.local.spec import ModelEntry

#: What CUDA's own code, its libraries and the values between two operations take, beside the weights.
WORKING_BYTES = 512 * 2**20
VISIBLE = "CUDA_VISIBLE_DEVICES"
MISSING = "nvidia-ml-py is not installed: pip install 'taxiway[cuda]'"


class Library(Protocol):
    """What is used of ``pynvml``."""

    def nvmlInit(self) -> None: ...  # noqa: N802, D102
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802, D102
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...  # noqa: N802, D102
    def nvmlDeviceGetUUID(self, handle: Any) -> str: ...  # noqa: N802, D102
    def nvmlDeviceGetName(self, handle: Any) -> str: ...  # noqa: N802, D102
    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any: ...  # noqa: N802, D102
    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Any: ...  # noqa: N802, D102


class GpuError(Exception):
    """There is no GPU to be had; says why, with figures."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU now; memory in bytes, ``busy`` in percent of the last moment (None where it is not told)."""

    number: int
    uuid: str
    name: str
    free: int
    total: int
    busy: int | None = None

    def __str__(self) -> str:
        busy = "" if self.busy is None else f", {self.busy} % busy"
        return (
            f"GPU {self.number} {self.name}: {_gigabytes(self.free)} of {_gigabytes(self.total)} free{busy}"
        )


@lru_cache(maxsize=1)
def library() -> Library | None:
    """Give NVML, opened; None where there is no driver.

    Raises
    ------
    GpuError
        Its Python package is not installed.
    """
    try:
        pynvml = import_module("pynvml")
    except ImportError as error:
        raise GpuError(MISSING) from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    opened: Library = pynvml
    return opened


@lru_cache(maxsize=1)
def has_gpu() -> bool:
    """Tell whether a GPU is to be seen."""
    try:
        return bool(inventory(library()))
    except GpuError:
        return False


def inventory(nvml: Library | None, environment: Mapping[str, str] = os.environ) -> list[Gpu]:
    """List the GPUs that ``CUDA_VISIBLE_DEVICES``, if it is set, leaves to this process.

    Raises
    ------
    GpuError
        NVML refuses to tell.
    """
    if nvml is None:
        return []
    try:
        gpus = [_look(nvml, number) for number in range(nvml.nvmlDeviceGetCount())]
    except Exception as error:
        raise GpuError(f"NVML does not tell about the GPUs: {error}") from error
    visible = environment.get(VISIBLE)
    if visible is None:
        return gpus
    named = [name.strip() for name in visible.split(",") if name.strip()]
    return [gpu for gpu in gpus if any(_is(gpu, name) for name in named)]


def place(need: int, gpus: Sequence[Gpu], promised: Mapping[str, int]) -> Gpu:
    """Choose the GPU with the most free memory.

    Parameters
    ----------
    need
        Bytes.
    gpus
        Those that there are.
    promised
        UUID → bytes that are free still, but meant for a process that is starting.

    Raises
    ------
    GpuError
        None has enough.
    """
    if not gpus:
        raise GpuError("there is no GPU here")
    best = max(gpus, key=lambda gpu: (gpu.free - promised.get(gpu.uuid, 0), -gpu.number))
    left = best.free - promised.get(best.uuid, 0)
    if left < need:
        found = "; ".join(map(str, gpus))
        meant = sum(promised.values())
        starting = f"; {_gigabytes(meant)} are meant for processes that are starting" if meant else ""
        raise GpuError(f"the Model needs about {_gigabytes(need)} of a GPU's memory ({found}{starting})")
    return best


def needed(model: ModelEntry) -> int:
    """Estimate the bytes that a Model takes on a GPU: its files, and room to work."""
    folder = Path(model.path)
    return WORKING_BYTES + sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())


def _look(nvml: Library, number: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(number)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    try:
        busy = int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except Exception:  # noqa: BLE001 - some GPUs do not tell, such as a part of one
        busy = None
    name, uuid = nvml.nvmlDeviceGetName(handle), nvml.nvmlDeviceGetUUID(handle)
    return Gpu(number, uuid, name, int(memory.free), int(memory.total), busy)


def _is(gpu: Gpu, name: str) -> bool:
    return gpu.number == int(name) if name.isdigit() else gpu.uuid.startswith(name)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
