"""Where a serving process computes: on a GPU with room for its Model, or on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from taxiway_backends.local.gpu import VISIBLE, Gpu, GpuError, Library, inventory, library, needed, place
from taxiway_backends.local.spec import ModelEntry


@dataclass(frozen=True, slots=True)
class Place:
    """What one process is started with.

    Attributes
    ----------
    device
        For ``--device``.
    environment
        Variables to set.
    gpu, need
        The GPU, and the bytes that it will take of it.
    """

    device: str
    environment: Mapping[str, str] = field(default_factory=dict)
    gpu: Gpu | None = None
    need: int = 0

    @property
    def words(self) -> str:
        """One sentence; empty on the CPU."""
        return f"It runs on GPU {self.gpu.number} ({self.gpu.name})." if self.gpu else ""


_CPU = Place("cpu", {VISIBLE: "-1"})


def find_place(
    model: ModelEntry, device: str, promised: Mapping[str, int], nvml: Library | None = None
) -> Place:
    """Choose where a Model runs.

    Parameters
    ----------
    device
        As in ``EndpointSpec``.
    promised
        See ``gpu.place``.
    nvml
        Instead of the machine's own.

    Raises
    ------
    GpuError
        A GPU is demanded, and none has room.
    """
    if device == "cpu":
        return _CPU
    need = needed(model)
    try:
        nvml = nvml or library()
    except GpuError:
        if device == "gpu":
            raise
        # The serving process looks for itself, but at the first GPU only.
        return Place("auto")
    try:
        gpu = place(need, inventory(nvml), promised)
    except GpuError:
        if device == "gpu":
            raise
        return _CPU
    return Place("cuda" if device == "gpu" else "auto", {VISIBLE: gpu.uuid}, gpu, need)
