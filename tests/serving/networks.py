"""Models of ONNX operations alone, for what scikit-learn's do not show: cost, failures, rows that depend."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from taxiway.serving.runtime import Runtime
from taxiway.signature import Column, Output, Signature

ITEMS = 100
_OPSET = 18


def embedding(folder: Path, width: int = 2048) -> Path:
    """Write a recommender: an embedding of the item, three dense layers, a score.

    A run costs reading the weights, so more rows in it cost little; an item that has no embedding fails it.
    """
    draw = np.random.default_rng(7)
    weights = {
        "table": draw.normal(size=(ITEMS, 256)),
        "first": draw.normal(size=(257, width)) / 16,
        "second": draw.normal(size=(width, width)) / width**0.5,
        "third": draw.normal(size=(width, 1)) / width**0.5,
        "flat": np.array([-1, 256]),
    }
    nodes = [
        helper.make_node("Gather", ["table", "item"], ["looked_up"]),
        helper.make_node("Reshape", ["looked_up", "flat"], ["vector"]),
        helper.make_node("Concat", ["vector", "amount"], ["wide"], axis=1),
        helper.make_node("MatMul", ["wide", "first"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "second"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "third"], ["score"]),
    ]
    columns = (Column("item", "int64"), Column("amount", "float32"))
    rows = [{"item": row * 7 % ITEMS, "amount": row / 10} for row in range(8)]
    return _write(folder, nodes, weights, columns, rows)


def centred(folder: Path) -> Path:
    """Write a model that subtracts the mean of the rows beside it, as no model that is served should."""
    nodes = [
        helper.make_node("ReduceMean", ["amount", "rows"], ["mean"]),
        helper.make_node("Sub", ["amount", "mean"], ["score"]),
    ]
    rows = [{"amount": float(row)} for row in range(4)]
    return _write(folder, nodes, {"rows": np.array([0])}, (Column("amount", "float32"),), rows)


def _write(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    weights: dict[str, np.ndarray[Any, Any]],
    columns: tuple[Column, ...],
    rows: list[dict[str, Any]],
) -> Path:
    kinds = {"int64": TensorProto.INT64, "float32": TensorProto.FLOAT}
    graph = helper.make_graph(
        nodes,
        folder.name,
        [helper.make_tensor_value_info(one.name, kinds[one.dtype], [None, 1]) for one in columns],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [
            numpy_helper.from_array(array if array.dtype.kind == "i" else array.astype(np.float32), name)
            for name, array in weights.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    for name, content in (
        (
            "model.json",
            {
                "name": folder.name,
                "version": digest[:12],
                "outputs": [{"name": "score", "tensor": "score", "index": None}],
                "files": {"model.onnx": digest},
            },
        ),
        ("signature.json", Signature(columns, (Output("score", "float64"),)).to_dict()),
        ("sample.json", {"records": rows, "outputs": {}}),
    ):
        (folder / name).write_text(json.dumps(content))
    answers = Runtime(folder).predict({one.name: [row[one.name] for row in rows] for one in columns})
    (folder / "sample.json").write_text(json.dumps({"records": rows, "outputs": answers}))
    return folder
