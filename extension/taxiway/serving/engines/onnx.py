"""ONNX Runtime, for ``model.onnx``: on the CPU, or on a GPU through its CUDA or TensorRT provider.

The weights lie in it or in ``weights.safetensors``, and it may name no other file.

A device that is asked for serves, or the model is not opened: ONNX Runtime itself goes on with the CPU when
a GPU's libraries are missing, when no operation fits it, and when a run fails.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from taxiway.serving.block import Tensor
from taxiway.serving.engines import EngineError, weights
from taxiway.serving.engines.hardware import CPU, Device, need_memory, parse_device

FILE = "model.onnx"

DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(double)": np.dtype(np.float64),
    "tensor(float)": np.dtype(np.float32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(string)": np.dtype(object),
}

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_log = logging.getLogger(__name__)


class OnnxEngine:
    """An ONNX graph whose tensors are numbers, booleans or text.

    Parameters
    ----------
    directory
        Where ``model.onnx`` lies.
    options
        None are known.
    threads
        Threads within one run; more than one costs a small model more than it gives.
    device
        Where it runs; ``auto`` is a GPU if ONNX Runtime can use one here for this very model.
    """

    def __init__(
        self, directory: Path, options: Mapping[str, Any], threads: int, device: str = "cpu"
    ) -> None:
        del options
        size = weights.check(directory / FILE)
        self._session, chosen = _opened(directory / FILE, size, threads, parse_device(device))
        self.device = str(chosen)
        unknown = sorted({one.type for one in self._session.get_inputs()} - DTYPES.keys())
        if unknown:
            raise EngineError(f"{FILE} has inputs of types that are not served: {', '.join(unknown)}")
        self.inputs: dict[str, np.dtype[Any]] = {
            one.name: DTYPES[one.type] for one in self._session.get_inputs()
        }
        self.outputs: dict[str, np.dtype[Any]] = {
            one.name: DTYPES[one.type] for one in self._session.get_outputs() if one.type in DTYPES
        }
        # The session's own run() looks at every tensor, which with many of them takes longer than a small
        # model does, and repeats on the CPU what fails on a GPU.
        self._run = self._session._sess.run
        self._run_options = onnxruntime.RunOptions()
        self._bound: list[Mapping[str, Tensor]] = []

    def run(self, tensors: Mapping[str, Tensor], wanted: Sequence[str]) -> list[Tensor]:
        """Run the graph; see ``Engine``."""
        results: list[Tensor] = self._run(wanted, tensors, self._run_options)
        return results

    def bind(
        self, tensors: Mapping[str, Tensor], wanted: Sequence[str]
    ) -> Callable[[], Sequence[Tensor]] | None:
        """Give what runs the graph on tensors that stay where they are and are filled anew for every run.

        Nothing is made or converted for such a run, which for a small model takes most of the time of
        ``run``. What it gives is overwritten by the next; it is for one thread.

        Parameters
        ----------
        tensors
            Every input, contiguous, with values that can be run.
        wanted
            As of ``run``.

        Returns
        -------
        callable or None
            None where it cannot be done: on a GPU, with text for an input, or where shapes depend on values.
        """
        if self.device != str(CPU) or any(one.dtype.kind == "O" for one in tensors.values()):
            return None
        declared = {one.name: one.shape for one in self._session.get_outputs()}
        binding = self._session.io_binding()
        results = [np.ascontiguousarray(one) for one in self.run(tensors, wanted)]
        texts = []
        for place, (name, result) in enumerate(zip(wanted, results, strict=True)):
            static = all(type(one) is int for one in declared[name][1:])
            if len(declared[name]) != result.ndim or not static or result.dtype.kind not in "fiubO":
                return None
            if result.dtype.kind == "O":
                texts.append(place)
                binding.bind_output(name)
            else:
                _place(binding.bind_output, name, result)
        for name, tensor in tensors.items():
            _place(binding.bind_input, name, tensor)
        # What is bound are addresses: the memory must be there as long as they may be used.
        self._bound.append(tensors)
        run, bound, options = self._session._sess.run_with_iobinding, binding._iobinding, self._run_options

        def run_bound() -> Sequence[Tensor]:
            run(bound, options)
            if texts:
                given = bound.get_outputs()
                for place in texts:
                    results[place] = given[place].numpy()
            return results

        return run_bound


def _place(bind: Callable[..., None], name: str, tensor: Tensor) -> None:
    bind(name, "cpu", 0, tensor.dtype.type, tensor.shape, tensor.ctypes.data)


def _opened(path: Path, size: int, threads: int, device: Device | None) -> tuple[Any, Device]:
    if device is not None:
        return _session(path, size, threads, device), device
    if _PROVIDERS["cuda"] in onnxruntime.get_available_providers():
        try:
            return _session(path, size, threads, Device("cuda")), Device("cuda")
        except EngineError as error:
            _log.info("no GPU is used: %s", error)
    return _session(path, size, threads, CPU), CPU


def _session(path: Path, size: int, threads: int, device: Device) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    # Its own words on an error quote values of the request; what it raises tells the client as much.
    settings.log_severity_level = 4
    if threads > 1:
        # Threads that spin between two requests take the processors that answer them.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if device != CPU:
        _require(device, size)
        settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        session = onnxruntime.InferenceSession(
            str(path), settings, providers=_providers(device), enable_fallback=0
        )
    except Exception as error:
        # onnxruntime raises many unrelated classes, each of which means the same here.
        raise EngineError(f"{FILE} cannot be loaded: {error}") from error
    if device != CPU:
        _check_used(session, device)
    return session


def _require(device: Device, size: int) -> None:
    """Raise EngineError if ONNX Runtime has no provider for a device, or the device no room for the model."""
    if _PROVIDERS[device.kind] not in onnxruntime.get_available_providers():
        raise EngineError(
            f"the installed onnxruntime {onnxruntime.__version__} cannot use {device}: "
            "install onnxruntime-gpu in its place, or name --device cpu"
        )
    need_memory(device, size)
    # what NVIDIA's packages hold is found only by being loaded; what is missing is printed
    with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(AttributeError):  # new in 1.21
        onnxruntime.preload_dlls()


def _providers(device: Device) -> list[str | tuple[str, dict[str, str]]]:
    """List the providers in the order in which they are offered the operations."""
    cuda = (
        _PROVIDERS["cuda"],
        {
            "device_id": str(device.number),
            # as exact as the CPU, on which the model's answers were recorded
            "use_tf32": "0",
            # a search anew for each number of rows would take longer than it gives
            "cudnn_conv_algo_search": "HEURISTIC",
            "arena_extend_strategy": "kSameAsRequested",
        },
    )
    tensorrt = (_PROVIDERS["tensorrt"], {"device_id": str(device.number)})
    cpu = _PROVIDERS["cpu"]
    if device == CPU:
        return [cpu]
    return [cuda, cpu] if device.kind == "cuda" else [tensorrt, cuda, cpu]


def _check_used(session: Any, device: Device) -> None:
    """Raise EngineError if the device that was asked for runs none of the model."""
    wanted = _PROVIDERS[device.kind]
    if wanted not in session.get_providers():
        raise EngineError(
            f"ONNX Runtime could not start its {wanted} for {device}, for the reason that it logged: "
            "install the CUDA libraries that it names, or name --device cpu"
        )
    if not hasattr(session, "get_provider_graph_assignment_info"):  # older ones do not say
        return
    placed = {part.ep_name: len(part.get_nodes()) for part in session.get_provider_graph_assignment_info()}
    if wanted not in placed:
        raise EngineError(f"none of the model's operations can run on {device}: name --device cpu")
    _log.info("%s runs %d of the model's %d operations", device, placed[wanted], sum(placed.values()))
