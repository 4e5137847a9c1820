"""What runs a Model's file: one engine per format, imported when a Model of that format is opened.

None of them runs code that a model file brings along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from taxiway.serving.block import Tensor

#: The output that holds the entities of a text, as JSON.
ENTITIES = "entities"


class EngineError(Exception):
    """A model file cannot be opened here, or is not safe to open."""


class Engine(Protocol):
    """An opened model file.

    One that can run elsewhere than on the CPU says as ``device`` where it does; one that can run on tensors
    that stay where they are has a method ``bind``, as ``OnnxEngine``.
    """

    #: Input tensor → dtype, ``object`` for text. One of shape (rows, 1) per column, of the column's name,
    #: or a single one of shape (rows, columns).
    inputs: Mapping[str, np.dtype[Any]]

    def run(self, tensors: Mapping[str, Tensor], wanted: Sequence[str]) -> list[Tensor]:
        """Give the wanted output tensors, in that order, each of shape (rows,) or (rows, n)."""
        ...


#: Format → the module of this package and the class that open it.
_ENGINES = {
    "onnx": ("onnx", "OnnxEngine"),
    "skops": ("skops", "SkopsEngine"),
    "savedmodel": ("savedmodel", "SavedModelEngine"),
    "text": ("text", "TextEngine"),
}

#: Formats of programs that run code from their file while they are loaded, whatever the weights lie in.
_UNSAFE = {
    "torch.export": (
        "a torch.export program is not opened, for torch.export.load runs code that its file brings: package "
        "the module itself, which gives ONNX and weights in safetensors, and serve that with --device cuda"
    )
}


def open_engine(
    directory: Path,
    runtime: str,
    options: Mapping[str, Any] | None = None,
    *,
    threads: int = 1,
    device: str = "cpu",
) -> Engine:
    """Open the model file of a Model's folder.

    Parameters
    ----------
    directory
        The folder.
    runtime
        The format, as the manifest names it.
    options
        What the manifest's ``engine`` says.
    threads
        Threads within one run.
    device
        What it runs on: see ``hardware.DEVICES``.

    Raises
    ------
    EngineError
        There is no such engine here, it refuses the file, or it cannot run it on that device.
    """
    if runtime in _UNSAFE:
        raise EngineError(_UNSAFE[runtime])
    if runtime not in _ENGINES:
        raise EngineError(f"there is no engine for the format {runtime!r}; upgrade taxiway")
    module, name = _ENGINES[runtime]
    try:
        kind = getattr(import_module(f"{__name__}.{module}"), name)
    except ImportError as error:
        # Without a name it is there, and cannot be loaded: its limit of memory may be too low.
        lack = f"need {error.name}, which is missing here" if error.name else f"cannot be run: {error}"
        raise EngineError(f"models of the format {runtime!r} {lack}") from error
    engine: Engine = kind(directory, options or {}, threads, device)
    return engine
