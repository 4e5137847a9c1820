"""Weights in ``weights.safetensors``: read from there and from nowhere else, whatever a graph says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, onnx_ml_pb2

from taxiway.packaging.frameworks import graph as packaging
from taxiway.serving.engines import EngineError, open_engine, weights

Array = np.ndarray[Any, Any]
SECRET = np.arange(8, dtype=np.float32)


def save(path: Path, tensors: dict[str, Array]) -> None:
    """Write a safetensors file by the letter of its format, which is a few lines."""
    header, data = {}, b""
    for name, values in tensors.items():
        offsets = [len(data), len(data) + values.nbytes]
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": offsets}
        data += values.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def refer(tensor: TensorProto, **said: object) -> TensorProto:
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in said.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def outside(**said: object) -> TensorProto:
    return refer(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 4]), **said)


def network(tensor: TensorProto) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(*one) for one in (("x", 1, ["rows", 2]), ("y", 1, ["rows", 4])))
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", [x], [y], [tensor])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Model's folder with weights, and beside it what a hostile graph would like to read."""
    (tmp_path / "model").mkdir()
    save(tmp_path / "model" / weights.FILE, {"first": np.zeros(3, np.float32), "w": SECRET})
    (tmp_path / "secret").write_bytes(SECRET.tobytes())
    (tmp_path / "model" / "other.bin").write_bytes(SECRET.tobytes())
    return tmp_path / "model"


def write(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def own(folder: Path) -> dict[str, object]:
    offset, length = weights.places(folder / weights.FILE)["w"]
    return {"location": weights.FILE, "offset": offset, "length": length}


def test_weights_beside_the_graph_are_served_as_those_within_it(folder: Path) -> None:
    x = np.array([[1, 2], [3, 4]], np.float32)
    path = write(folder, network(outside(**own(folder))))
    assert weights.check(path) == path.stat().st_size + (folder / weights.FILE).stat().st_size
    [apart] = open_engine(folder, "onnx").run({"x": x}, ["y"])
    path = write(folder, network(helper.make_tensor("w", TensorProto.FLOAT, [2, 4], SECRET)))
    assert weights.check(path) == path.stat().st_size
    [within] = open_engine(folder, "onnx").run({"x": x}, ["y"])
    np.testing.assert_array_equal(apart, within)


def test_a_column_that_is_called_as_the_key_costs_no_look_at_each_number(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forest's numbers are fields, of which a file of 100 MB has tens of millions."""
    model = network(outside(**own(folder)))
    model.graph.input.append(helper.make_tensor_value_info("location", 1, ["rows", 1]))
    model.graph.node.append(helper.make_node("Forest", ["location"], ["f"], nodes=list(range(10_000))))
    read, looks = weights._varint, []

    def counted(data: Any, at: int, end: int) -> tuple[int, int]:
        looks.append(at)
        return read(data, at, end)

    monkeypatch.setattr(weights, "_varint", counted)
    weights.check(write(folder, model))
    assert 10 < len(looks) < 1000


Place = Callable[[onnx.ModelProto, TensorProto], None]


def in_an_initializer(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.initializer.append(tensor)


def in_a_constant(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def in_a_branch(model: onnx.ModelProto, tensor: TensorProto) -> None:
    inner = helper.make_graph([], "inner", [], [], [tensor])
    model.graph.node.append(helper.make_node("If", ["x"], ["c"], then_branch=inner, else_branch=inner))


def in_a_function(model: onnx.ModelProto, tensor: TensorProto) -> None:
    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    model.functions.append(helper.make_function("own", "f", [], ["c"], [constant], []))


def in_a_default_of_a_function(model: onnx.ModelProto, tensor: TensorProto) -> None:
    value = helper.make_attribute("value", tensor)
    model.functions.append(helper.make_function("own", "f", [], [], [], [], attribute_protos=[value]))


def in_a_sparse_constant(model: onnx.ModelProto, tensor: TensorProto) -> None:
    sparse = onnx.SparseTensorProto(values=tensor, dims=[2, 4])
    model.graph.node.append(helper.make_node("Constant", [], ["c"], sparse_value=sparse))


def in_a_sparse_tensor(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.sparse_initializer.add(values=tensor, dims=[2, 4])


def in_a_training_step(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.training_info.add().algorithm.initializer.append(tensor)


PLACES = [
    *(in_an_initializer, in_a_constant, in_a_branch, in_a_function, in_a_default_of_a_function),
    *(in_a_sparse_constant, in_a_sparse_tensor, in_a_training_step),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "location",
    ["../secret", "{parent}/secret", "other.bin", "./weights.safetensors", "", "*/_ORT_MEM_ADDR_/*"],
)
def test_no_other_file_is_read_wherever_the_graph_hides_its_name(
    folder: Path, place: Place, location: str
) -> None:
    model = network(outside(**own(folder)))
    location = location.format(parent=folder.parent)
    place(model, outside(location=location, offset=0, length=SECRET.nbytes))
    named = {entry.value for tensor in packaging.outside(model) for entry in tensor.external_data}
    assert location in named, "packaging reads files of others by the parser of onnx"
    write(folder, model)
    with pytest.raises(EngineError, match=r"may have them in weights\.safetensors alone"):
        open_engine(folder, "onnx")


@pytest.mark.parametrize(
    "said",
    [
        {"offset": 0},
        {"offset": 10**15},
        {"offset": -1},
        {"length": 10**15},
        {"length": 4},
        {"length": ""},
        {"offset": "0x10"},
        {"offset": "9" * 30},
    ],
    ids=str,
)
def test_only_the_bytes_of_a_whole_tensor_are_read(folder: Path, said: dict[str, object]) -> None:
    path = write(folder, network(outside(**(own(folder) | said))))
    with pytest.raises(EngineError, match="are no tensor there"):
        weights.check(path)


def linked(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to(path.with_name("real"))


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def beyond_the_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def header(text: bytes, length: int | None = None) -> Callable[[Path], None]:
    def broken(path: Path) -> None:
        size = len(text) if length is None else length
        path.write_bytes(size.to_bytes(8, "little") + text)

    return broken


@pytest.mark.parametrize(
    "spoil",
    [
        *(linked, a_pipe, beyond_the_end, Path.unlink, lambda path: path.write_bytes(b"")),
        *(header(b"{}", 2**63), header(b"{}", 2), header(b"[]"), header(b"null"), header(b"[" * 10_000)),
        header(b'{"w": {"data_offsets": [0]}}'),
        header(b'{"w": {"data_offsets": [null, 1]}}'),
        header(b'{"w": {"data_offsets": [-8, 0]}}'),
        header(b'{"w": {"data_offsets": [4, 0]}}'),
    ],
)
def test_a_file_of_weights_that_is_none_is_refused_in_a_sentence(
    folder: Path, spoil: Callable[[Path], object]
) -> None:
    path = write(folder, network(outside(**own(folder))))
    spoil(folder / weights.FILE)
    with pytest.raises(EngineError, match=r"^(weights\.safetensors|model\.onnx) .*"):
        weights.check(path)


def test_a_tensor_lies_in_one_place(folder: Path) -> None:
    """Of a key that is given twice, another reader may take the other."""
    path = write(folder, network(refer(outside(**own(folder)), location="../secret")))
    with pytest.raises(EngineError, match="a tensor lies in two places"):
        weights.check(path)


def test_every_field_of_onnx_in_which_a_tensor_can_lie_is_looked_into() -> None:
    messages = onnx_ml_pb2.DESCRIPTOR.message_types_by_name
    holding = {"TensorProto"}
    for _ in messages:
        holding |= {
            name
            for name, message in messages.items()
            if any(field.message_type and field.message_type.name in holding for field in message.fields)
        }
    found = {
        name: {
            field.number: field.message_type.name
            for field in messages[name].fields
            if field.message_type and field.message_type.name in holding
        }
        for name in holding - {"TensorProto"}
    }
    assert found == weights.HOLDS
    assert messages["TensorProto"].fields_by_name["external_data"].number == weights.EXTERNAL_DATA


SEED = network(outside(location=weights.FILE, offset=0, length=32)).SerializeToString()


@given(
    st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), max_size=4), st.integers(0, 40)
)
def test_what_onnx_itself_would_read_elsewhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], cut: int
) -> None:
    """Against the parser of onnx, on graphs of which some bytes are others: refused, or read alike."""
    data = bytearray(SEED[: len(SEED) - cut])
    for place, value in changes:
        data[place % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "model.onnx"
    path.write_bytes(data)
    save(path.with_name(weights.FILE), {"w": SECRET})
    model = onnx.ModelProto()
    try:
        model.ParseFromString(bytes(data))
    except DecodeError:
        return
    refers = {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    try:
        weights.check(path)
    except EngineError:
        return
    assert refers <= {weights.FILE}
