"""Models that answer their sample rightly and then do badly: on some rows, or always late."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from taxiway.backends import ModelRef
from tests.models import BuiltModel

FAILS_ABOVE = 7.0
_SIZE, _ROUNDS = 320, 3


def failing(model: BuiltModel, folder: Path) -> ModelRef:
    """Fail each row whose ``sepal_length`` is above ``FAILS_ABOVE``: an index is out of its range then."""
    sample = json.loads((model.path / "sample.json").read_text())
    kept = [row["sepal_length"] <= FAILS_ABOVE for row in sample["records"]]
    for key, values in (("records", sample["records"]), *sample["outputs"].items()):
        chosen = [value for value, keep in zip(values, kept, strict=True) if keep]
        (sample if key == "records" else sample["outputs"])[key] = chosen
    nodes = [
        helper.make_node("Greater", ["sepal_length", "flaw_limit"], ["flaw_above"]),
        helper.make_node("Cast", ["flaw_above"], ["flaw_index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["flaw_zero", "flaw_index"], ["flaw_term"], axis=0),
    ]
    constants = {"flaw_limit": np.array([FAILS_ABOVE]), "flaw_zero": np.zeros(1, np.float32)}
    return _flawed(model, folder, nodes, constants, json.dumps(sample))


def slow(model: BuiltModel, folder: Path) -> ModelRef:
    """Compute much for nothing on every request."""
    nodes = [
        helper.make_node("ReduceMax", ["sepal_length"], ["flaw_seed"], keepdims=0),
        helper.make_node("Cast", ["flaw_seed"], ["flaw_number"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["flaw_number", "flaw_zeros"], ["flaw_0"]),
        *(helper.make_node("MatMul", [f"flaw_{n}", "flaw_zeros"], [f"flaw_{n + 1}"]) for n in range(_ROUNDS)),
        helper.make_node("ReduceMax", [f"flaw_{_ROUNDS}"], ["flaw_term"], keepdims=0),
    ]
    constants = {"flaw_zeros": np.zeros((_SIZE, _SIZE), np.float32)}
    return _flawed(model, folder, nodes, constants, (model.path / "sample.json").read_text())


def _flawed(
    model: BuiltModel,
    folder: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    sample: str,
) -> ModelRef:
    """Add ``flaw_term``, which is zero, to the probabilities."""
    version = folder.name.ljust(12, "0")[:12]
    path = folder / model.name / version
    shutil.copytree(model.path, path)
    graph = onnx.load(path / "model.onnx")
    for node in graph.graph.node:
        for number, name in enumerate(node.output):
            if name == "probabilities":
                node.output[number] = "flaw_clean"
    graph.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    added = [
        helper.make_node("Cast", ["flaw_term"], ["flaw_double"], to=TensorProto.DOUBLE),
        helper.make_node("Add", ["flaw_clean", "flaw_double"], ["probabilities"]),
    ]
    graph.graph.node.extend([*nodes, *added])
    (path / "model.onnx").write_bytes(graph.SerializeToString())
    (path / "sample.json").write_text(sample)
    manifest = json.loads((path / "model.json").read_text())
    digest = hashlib.sha256((path / "model.onnx").read_bytes()).hexdigest()
    manifest |= {"version": version, "digest": digest, "files": {"model.onnx": digest}}
    (path / "model.json").write_text(json.dumps(manifest))
    return ModelRef(model.name, version, path)
