"""TensorFlow, for ``saved_model/``, of which nothing is loaded before its graph was found harmless.

A SavedModel is a program. Most operations only compute; some read or write files, start Python or talk to
other processes. Those that have an effect beyond their outputs are refused unless listed here, and so are
those that TensorFlow does not mark but that touch files. The saver's own may be used by the saver alone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from taxiway.serving.block import Tensor
from taxiway.serving.engines import EngineError
from taxiway.serving.engines.hardware import CPU, Device, need_memory, parse_device

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow greets on standard error otherwise

import tensorflow as tf

_log = logging.getLogger(__name__)

FOLDER = "saved_model"
SIGNATURE = "serving_default"
GRAPH = "saved_model.pb"

#: What the loader may find; it would prefer a saved_model.cpb to the graph that was read here.
_FILES = re.compile(r"saved_model\.pb|fingerprint\.pb|variables/variables\.(index|data-\d{5}-of-\d{5})")
#: Operations with an effect, but none beyond the model's own variables, tables, arrays and random numbers.
_HARMLESS = re.compile(
    "VarHandleOp|VarIsInitializedOp|ReadVariableOp|AssignVariableOp|AssignAddVariableOp|AssignSubVariableOp"
    "|VariableShape|DisableCopyOnRead|ResourceGather(Nd)?|HashTableV2|MutableHashTableV2"
    "|MutableDenseHashTableV2|LookupTable(Find|Import|Export|Insert|Size)V2|InitializeTableV2"
    "|StatefulPartitionedCall|If|While|Case|Assert|Empty|CheckNumerics(V2)?|TensorArray\\w*V3|CudnnRNN(V3)?"
    "|RandomUniform(Int)?|RandomStandardNormal|RandomShuffle|TruncatedNormal|Stateful(Uniform|StandardNormalV2)"
    "|StatelessRandomGetAlg|RngReadAndSkip|RngSkip"
)
#: Operations that touch files, processes, Python or other devices though TensorFlow calls them free of
#: effects: an ImmutableConst is any file, a Copy writes where its debug_ops say, Abort ends the process. What
#: begins with an underscore is TensorFlow's own, and in no graph that it saves.
_HARMFUL = re.compile(
    "File|PyFunc|Dataset|Iterator|Reader|Snapshot|Debug|Proto|CustomCall|Remote|Rpc|Send|Recv|Summary|Host"
    "|TPU|Tpu|^(_|Xla|DTensor|Infeed|Prelinearize|Relayout|Copy|Mlir)"
    "|^(ImmutableConst|GenerateVocabRemapping|Abort)$"
)
_FILE_NAMES = frozenset(("ShardedFilename", "ShardedFilespec"))  # these only put a text together
_SAVER = frozenset(("SaveV2", "RestoreV2", "MergeV2Checkpoints"))


class SavedModelEngine:
    """The signature ``serving_default`` of a SavedModel.

    Parameters
    ----------
    directory
        Where ``saved_model/`` lies.
    options
        ``inputs``: tensor name → the signature's name for it, unless they are the same.
    threads
        Threads within one run, if TensorFlow has not started yet in this process.
    device
        Where it runs, likewise; ``auto`` is the first GPU that TensorFlow has, if it has any.
    """

    def __init__(
        self, directory: Path, options: Mapping[str, Any], threads: int, device: str = "cpu"
    ) -> None:
        path = directory / FOLDER
        check(path)
        self.device = str(_choose(parse_device(device), path))
        with contextlib.suppress(RuntimeError):  # it has started
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        try:
            self._model = tf.saved_model.load(str(path))
            self._function = self._model.signatures[SIGNATURE]
        except Exception as error:
            # TensorFlow raises many unrelated classes, each of which means the same here.
            raise EngineError(f"{FOLDER} cannot be loaded: {str(error).partition(chr(10))[0]}") from error
        specs = self._function.structured_input_signature[1]
        self._keys: dict[str, str] = options.get("inputs") or {name: name for name in specs}
        self.inputs: dict[str, np.dtype[Any]] = {name: _dtype(specs[key]) for name, key in self._keys.items()}
        self.outputs: dict[str, np.dtype[Any]] = {
            name: _dtype(spec) for name, spec in self._function.structured_outputs.items()
        }

    def run(self, tensors: Mapping[str, Tensor], wanted: Sequence[str]) -> list[Tensor]:
        """Run the signature; see ``Engine``."""
        given = {key: tf.constant(tensors[name]) for name, key in self._keys.items()}
        results = self._function(**given)
        return [_array(results[name]) for name in wanted]


def _choose(device: Device | None, path: Path) -> Device:
    """Show TensorFlow the one device that it may use."""
    if device is not None and device.kind == "tensorrt":
        raise EngineError(f"{FOLDER} runs with TensorFlow, which has no TensorRT here: name --device cuda")
    gpus = tf.config.list_physical_devices("GPU")
    if device is None and not gpus:
        device = CPU
    if device != CPU:
        try:
            device = _with_room(device or Device("cuda"), len(gpus), path)
        except EngineError as error:
            if device is not None:
                raise
            _log.info("no GPU is used: %s", error)
            device = CPU
    chosen = gpus[device.number : device.number + 1] if device != CPU else []
    with contextlib.suppress(RuntimeError):  # it has started
        tf.config.set_visible_devices(chosen, "GPU")
        for gpu in chosen:
            tf.config.experimental.set_memory_growth(gpu, True)
    return device


def _with_room(device: Device, found: int, path: Path) -> Device:
    if device.number >= found:
        raise EngineError(f"TensorFlow here finds {found} GPUs, none of them {device}: name --device cpu")
    need_memory(device, sum(file.stat().st_size for file in path.rglob("*") if file.is_file()))
    return device


def check(path: Path) -> None:
    """Read the graph of a SavedModel without loading it.

    Raises
    ------
    EngineError
        It is no SavedModel, or has an operation that could reach beyond it.
    """
    for file in path.rglob("*"):
        name = file.relative_to(path).as_posix()
        if file.is_symlink() or (file.is_file() and not _FILES.fullmatch(name)):
            raise EngineError(f"{FOLDER} holds {name}, which is not loaded from elsewhere")
    from tensorflow.core.protobuf import saved_model_pb2

    graph = saved_model_pb2.SavedModel()
    try:
        graph.ParseFromString((path / GRAPH).read_bytes())
    except Exception as error:
        # the file is missing, or protobuf raises one of its own classes
        raise EngineError(f"{GRAPH} cannot be read: {error}") from error
    refused = sorted({name for meta in graph.meta_graphs for name in _refused(meta)})
    if refused:
        raise EngineError(
            f"{FOLDER} has operations that could touch files, processes or Python: {', '.join(refused)}"
        )


def _refused(meta: Any) -> Iterator[str]:
    functions = {one.signature.name: one.node_def for one in meta.graph_def.library.function}
    saving = {meta.saver_def.save_tensor_name.partition(":")[0], meta.saver_def.restore_op_name}
    nodes = list(meta.graph_def.node)
    saver = _reached(functions, (node for node in nodes if node.name in saving))
    # what is called from elsewhere than the saver, or can be, is not the saver's
    others = _reached(functions, (node for node in nodes if node.name not in saving))
    others |= _reached(functions, (n for name, body in functions.items() if name not in saver for n in body))
    saver -= others | set(meta.object_graph_def.concrete_functions)
    for node in nodes:
        if not _allowed(node.op, functions, of_saver=False):
            yield node.op
    for name, body in functions.items():
        for node in body:
            if not _allowed(node.op, functions, of_saver=name in saver):
                yield node.op


def _reached(functions: Mapping[str, Sequence[Any]], nodes: Iterable[Any]) -> set[str]:
    """Give the functions that the nodes call, and those that these call."""
    reached: set[str] = set()
    todo = [name for node in nodes for name in _called(node)]
    while todo:
        name = todo.pop()
        if name in functions and name not in reached:
            reached.add(name)
            todo.extend(called for node in functions[name] for called in _called(node))
    return reached


def _called(node: Any) -> Iterator[str]:
    yield node.op
    for value in node.attr.values():
        yield value.func.name
        yield from (one.name for one in value.list.func)


def _allowed(operation: str, functions: Mapping[str, Any], *, of_saver: bool) -> bool:
    from tensorflow.python.framework import op_def_registry

    if operation in functions or (of_saver and operation in _SAVER):
        return True
    known = op_def_registry.get(operation)
    if known is None:
        return False
    if known.is_stateful:
        return _HARMLESS.fullmatch(operation) is not None
    return operation in _FILE_NAMES or _HARMFUL.search(operation) is None


def _dtype(spec: Any) -> np.dtype[Any]:
    return np.dtype(object) if spec.dtype == tf.string else np.dtype(spec.dtype.as_numpy_dtype)


def _array(tensor: Any) -> Tensor:
    values: Tensor = tensor.numpy()
    if values.dtype.kind != "O":
        return values
    flat = np.array([one.decode("utf-8", "replace") for one in values.reshape(-1)], dtype=object)
    return flat.reshape(values.shape)
