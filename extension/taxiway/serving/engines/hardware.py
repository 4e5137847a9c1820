"""What a model runs on: the processors that this process may use, and CUDA devices with their free memory.

The driver is asked through its own library, so that a device is counted here as it is by what runs the
model, whatever ``CUDA_VISIBLE_DEVICES`` says, and no package has to be installed for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from pathlib import Path
from typing import Literal, NamedTuple

from taxiway.serving.engines import EngineError

DEVICES = "auto, cpu, cuda, cuda:N, tensorrt or tensorrt:N"

#: What CUDA's own code, its libraries and the values between two operations take, beside the weights.
WORKING_BYTES = 512 * 2**20
_DRIVER = "libcuda.so.1"
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class Device(NamedTuple):
    """A kind of device, and which of them."""

    kind: Literal["cpu", "cuda", "tensorrt"]
    number: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.number}"


CPU = Device("cpu")


def parse_device(text: str) -> Device | None:
    """Read what ``--device`` says; None is ``auto``.

    Raises
    ------
    EngineError
        It says something else than ``DEVICES``.
    """
    if text == "auto":
        return None
    if text == "cpu":
        return CPU
    found = re.fullmatch(r"(cuda|tensorrt)(?::(\d{1,4}))?", text)
    if found is None:
        raise EngineError(f"there is no device {text!r}: name {DEVICES}")
    return Device("cuda" if found[1] == "cuda" else "tensorrt", int(found[2] or 0))


def only_on_cpu(text: str, what: str) -> None:
    """Raise EngineError if another device is asked for than what this kind of model can run on."""
    device = parse_device(text)
    if device not in (None, CPU):
        raise EngineError(f"{what} run on the CPU alone, not on {device}: name --device cpu")


def need_memory(device: Device, weights: int) -> None:
    """Refuse a model for which a CUDA device has no room.

    Parameters
    ----------
    device
        The device.
    weights
        Bytes of the model's file.

    Raises
    ------
    EngineError
        There is no such device, or too little of its memory is free.
    """
    free, total = memory(device.number)
    needed = weights + WORKING_BYTES
    if free < needed:
        raise EngineError(
            f"the model needs about {_gigabytes(needed)} of {device}, of which {_gigabytes(free)} of "
            f"{_gigabytes(total)} are free: end what holds the rest, name another device, or --device cpu"
        )


def memory(number: int) -> tuple[int, int]:
    """Give the free and all bytes of a CUDA device.

    Raises
    ------
    EngineError
        There is no driver, or no such device.
    """
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError as error:
        raise EngineError(f"there is no CUDA driver here ({error}): name --device cpu") from error
    count, device, context = ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _call(driver, "cuInit", 0)
    _call(driver, "cuDeviceGetCount", ctypes.byref(count))
    if number >= count.value:
        raise EngineError(f"there is no device cuda:{number}: the driver shows {count.value} to this process")
    _call(driver, "cuDeviceGet", ctypes.byref(device), number)
    _call(driver, "cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    try:
        _call(driver, "cuCtxPushCurrent_v2", context)
        try:
            _call(driver, "cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        finally:
            _call(driver, "cuCtxPopCurrent_v2", ctypes.byref(context))
    finally:
        _call(driver, "cuDevicePrimaryCtxRelease_v2", device)
    return free.value, total.value


def processors() -> int:
    """Count the processors that this process may use, by its affinity and by its container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # there is no quota, or none that is a number
        quota, period = _QUOTA.read_text().split()
        count = min(count, max(1, int(quota) // int(period)))
    return count


def _call(driver: ctypes.CDLL, name: str, *arguments: object) -> None:
    status = getattr(driver, name)(*arguments)
    if status:
        raise EngineError(f"the CUDA driver refuses {name} with status {status}: see nvidia-smi")


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
