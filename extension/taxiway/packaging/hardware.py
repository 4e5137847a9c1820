"""What this machine has: CPU flags, GPUs and CUDA. Nothing is imported and no GPU is woken to find out."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

#: What ONNX Runtime's kernels (MLAS) choose by: with other ones the last digits of an answer may differ.
KERNEL_FLAGS = frozenset(
    (
        "sse4_1",
        "avx",
        "f16c",
        "fma",
        "avx2",
        "avx_vnni",
        "avx512f",
        "avx512bw",
        "avx512dq",
        "avx512vl",
        "avx512_vnni",
        "avx512_bf16",
        "avx512_fp16",
        "amx_tile",
        "amx_int8",
        "amx_bf16",
        "asimd",
        "asimdhp",
        "asimddp",
        "bf16",
        "i8mm",
        "sve",
        "sve2",
    )
)
_CPUINFO = Path("/proc/cpuinfo")
_SECONDS = 5.0


@cache
def cpu_flags() -> tuple[str, ...]:
    """Give the first CPU's flags as Linux names them, sorted; empty on other systems."""
    try:
        with _CPUINFO.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() in ("flags", "Features"):
                    return tuple(sorted(set(value.split())))
    except OSError:
        pass
    return ()


def gpus() -> tuple[str, ...]:
    """Give name and memory of each NVIDIA GPU, as nvidia-smi says."""
    return tuple(
        ", ".join(filter(None, (_tag("product_name", gpu), _tag("total", _tag("fb_memory_usage", gpu)))))
        for gpu in re.findall(r"<gpu\b.*?</gpu>", _nvidia(), re.DOTALL)
    )


def cuda() -> dict[str, str]:
    """Give the versions of driver and CUDA, and what PyTorch and ONNX Runtime were built with if imported."""
    found = {"driver": _tag("driver_version", _nvidia()), "CUDA": _tag("cuda_version", _nvidia())}
    torch, onnxruntime = sys.modules.get("torch"), sys.modules.get("onnxruntime")
    if torch is not None:
        found["CUDA of torch"] = getattr(getattr(torch, "version", None), "cuda", None) or "none"
    if onnxruntime is not None:
        found["providers of onnxruntime"] = ", ".join(onnxruntime.get_available_providers())
    return {name: value for name, value in found.items() if value}


@cache
def _nvidia() -> str:
    """Give nvidia-smi's whole answer, once: the hardware stays as it is."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    try:
        return subprocess.run(
            [tool, "-q", "-x"], capture_output=True, text=True, timeout=_SECONDS, check=True
        ).stdout
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""


def _tag(name: str, text: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return found.group(1).strip() if found else ""
