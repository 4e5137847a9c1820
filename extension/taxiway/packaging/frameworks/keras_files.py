"""Files of TensorFlow functions: a SavedModel that has the same bytes each time, or an ONNX graph."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Export, Precision
from taxiway.packaging.frameworks.graph import ModelProto
from taxiway.packaging.frameworks.neural import Head
from taxiway.serving.engines import EngineError
from taxiway.serving.engines.savedmodel import FOLDER, GRAPH, SIGNATURE, SavedModelEngine, check

_OPSET = 18
#: A node's attribute for people; of a captured constant it is a counter of the process.
_LABEL = "_user_specified_name"
_DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tensorflow-intel")


def to_savedmodel(
    served: Callable[..., Any],
    tracked: Any,
    specs: Sequence[Any],
    head: Head,
    folder: Path,
    precision: Precision,
    *,
    inputs: Mapping[str, str],
) -> Export:
    """Write ``saved_model/`` with one signature, which ends with the head.

    Parameters
    ----------
    served
        What is called with a tensor per spec.
    tracked
        What holds the variables and tables.
    inputs
        Column → its name in the signature, where each column is an input.

    Raises
    ------
    PackagingError
        The graph could touch files, processes or Python.
    """
    import keras

    with _quiet():
        archive = keras.export.ExportArchive()
        archive.track(tracked)
        archive.add_endpoint(SIGNATURE, _with_head(served, head), input_signature=list(specs))
        archive.write_out(str(folder / FOLDER), verbose=False)
    _make_canonical(folder / FOLDER)
    try:
        check(folder / FOLDER)
    except EngineError as error:
        raise PackagingError(
            f"The model is not packaged: {error}.",
            hint="Do that work before the model; a served graph may only compute.",
        ) from error
    options = {"inputs": dict(inputs)} if inputs else {}
    dtypes = SavedModelEngine(folder, options, 1).outputs
    return Export(folder, "savedmodel", head.columns, head.outputs(dtypes), precision, _tensorflow(), options)


def to_onnx(served: Callable[..., Any], specs: Sequence[Any], kind: str) -> ModelProto:
    """Convert to an ONNX graph with one output, the variables inside.

    Raises
    ------
    PackagingError
        tf2onnx is missing, or has no form for an operation.
    """
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    with _quiet():
        try:
            function = tf.function(served, input_signature=list(specs)).get_concrete_function()
            frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
            proto, _ = tf2onnx.convert.from_graph_def(
                frozen.graph.as_graph_def(),
                input_names=[tensor.name for tensor in frozen.inputs],
                output_names=[tensor.name for tensor in frozen.outputs],
                opset=_OPSET,
            )
        except Exception as error:
            # TensorFlow and tf2onnx raise many unrelated classes, each of which means the same here
            reason = str(error).strip().partition("\n")[0][:300]
            raise _no_onnx(kind, reason) from error
    standard = {"", "ai.onnx", "ai.onnx.ml"}
    foreign = sorted({node.op_type for node in proto.graph.node if node.domain not in standard})
    if len(proto.graph.input) != len(specs) or foreign:
        raise _no_onnx(kind, f"there is no ONNX form of {', '.join(foreign) or 'its tables'}")
    return proto


def _no_onnx(kind: str, reason: str) -> PackagingError:
    return PackagingError(
        f"The {kind} could not be converted to ONNX: {reason}.",
        hint="Leave format out: it is then kept as a SavedModel.",
    )


def _with_head(served: Callable[..., Any], head: Head) -> Callable[..., dict[str, Any]]:
    import tensorflow as tf

    def serve(*tensors: Any) -> dict[str, Any]:
        wide = tf.reshape(served(*tensors), (-1, head.width))
        if head.classes is None:
            return {"prediction": wide}
        if head.ending == "logits":
            wide = tf.nn.softmax(wide) if head.width > 1 else tf.sigmoid(wide)
        if head.width == 1:
            wide = tf.concat([1 - wide, wide], axis=1)
        return {"label": tf.gather(tf.constant(head.labels), tf.argmax(wide, axis=1)), "probabilities": wide}

    return serve


def _make_canonical(path: Path) -> None:
    """Number TensorFlow's functions in their order, not by a counter of the process; drop the fingerprint.

    TensorFlow names them ``__inference_call_123``, and writes a random number into fingerprint.pb.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    graph = saved_model_pb2.SavedModel()
    graph.ParseFromString((path / GRAPH).read_bytes())
    for meta in graph.meta_graphs:
        functions = sorted(meta.graph_def.library.function, key=lambda one: _counted(one.signature.name)[1])
        names = {}
        for index, function in enumerate(functions):
            name = function.signature.name
            names[name] = f"{_counted(name)[0]}_{index}"
        copies = [type(one).FromString(one.SerializeToString()) for one in functions]
        del meta.graph_def.library.function[:]
        meta.graph_def.library.function.extend(copies)
        _rename(meta, names)
    (path / GRAPH).write_bytes(graph.SerializeToString(deterministic=True))
    (path / "fingerprint.pb").unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it is not empty: the check refuses what is in it
        (path / "assets").rmdir()


def _counted(name: str) -> tuple[str, int]:
    """Split a function's name into what it is and the counter behind it."""
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if number.isdigit() else (name, -1)


def _rename(message: Any, names: Mapping[str, str]) -> None:
    """Replace names wherever they stand as a text, or as a key, in a message."""
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _rename_map(value, names, field.message_type.fields_by_name["value"].message_type is not None)
        elif field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                _rename(inner, names)
        elif field.cpp_type == field.CPPTYPE_STRING and field.is_repeated:
            value[:] = [names.get(one, one) for one in value]
        elif field.cpp_type == field.CPPTYPE_STRING and value in names:
            setattr(message, field.name, names[value])


def _rename_map(entries: Any, names: Mapping[str, str], of_messages: bool) -> None:
    if not of_messages:
        kept = [(names.get(key, key), names.get(value, value)) for key, value in entries.items()]
        entries.clear()
        entries.update(dict(kept))
        return
    copies = [
        (names.get(key, key), type(value).FromString(value.SerializeToString()))
        for key, value in entries.items()
        if not (key == _LABEL and value.s.isdigit())
    ]
    entries.clear()
    for key, copied in copies:
        _rename(copied, names)
        entries[key].CopyFrom(copied)


def _tensorflow() -> tuple[str, ...]:
    """Give the name under which TensorFlow is installed here."""
    from importlib import metadata

    for name in _DISTRIBUTIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            metadata.version(name)
            return (name,)
    return (_DISTRIBUTIONS[0],)


@contextmanager
def _quiet() -> Iterator[None]:
    """Let TensorFlow and tf2onnx say nothing of their own deprecations and progress."""
    logs = [logging.getLogger(name) for name in ("tensorflow", "tf2onnx", "absl")]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)
