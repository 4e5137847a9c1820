"""An ONNX file is packaged as it is, proven against ONNX Runtime on the file, and served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from taxiway.errors import PackagingError

from .conftest import Ask, Package, assert_alike

load_file = pytest.importorskip("safetensors.numpy").load_file
IRIS, SPECIES = load_iris(return_X_y=True, as_frame=True)
DIABETES, PROGRESS = load_diabetes(return_X_y=True, as_frame=True)
OPSETS = {"": 15, "ai.onnx.ml": 3}
KINDS = np.array(["setosa", "versicolor", "virginica"])


def exported(model: Any, **options: Any) -> Any:
    width = model.n_features_in_
    return to_onnx(
        model, initial_types=[("X", FloatTensorType([None, width]))], target_opset=OPSETS, **options
    )


def classifier() -> Any:
    return RandomForestClassifier(10, random_state=0).fit(IRIS.to_numpy(), KINDS[SPECIES])


def own_answers(proto: Any, inputs: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    answers: list[Any] = session.run(None, {"X": inputs.to_numpy(dtype=np.float32)})
    return answers


@pytest.mark.parametrize("zipmap", [True, False], ids=["dictionaries", "tensor"])
def test_a_file_of_a_classifier_answers_over_http_as_the_file_does(
    package: Package, ask: Ask, tmp_path: Path, zipmap: bool
) -> None:
    proto = exported(classifier(), options=None if zipmap else {"zipmap": False})
    path = tmp_path / "forest.onnx"
    onnx.save(proto, path)
    model = package(path if zipmap else str(path), IRIS, target=KINDS[SPECIES])
    assert (model.framework, model.task, model.classes) == ("onnx", "classification", tuple(KINDS))
    label, table = own_answers(proto, IRIS)
    if zipmap:
        table = np.array([[row[kind] for kind in KINDS] for row in table])
    else:
        assert (model.path / "model.onnx").read_bytes() == path.read_bytes()
    expected: dict[str, Any] = {"label": label}
    expected |= {f"probability_{kind}": table[:, index] for index, kind in enumerate(KINDS)}
    assert_alike(ask(model, IRIS), expected)


def test_a_proto_with_one_input_per_column_is_a_regression(package: Package, ask: Ask) -> None:
    types = [(name, FloatTensorType([None, 1])) for name in DIABETES.columns]
    from sklearn.compose import ColumnTransformer

    every = ColumnTransformer([("every", StandardScaler(), list(DIABETES.columns))])
    original = make_pipeline(every, LinearRegression()).fit(DIABETES, PROGRESS)
    proto = to_onnx(original, initial_types=types, target_opset=OPSETS)
    shuffled = DIABETES[DIABETES.columns[::-1]]
    model = package(proto, shuffled, target=PROGRESS)
    assert model.task == "regression"
    assert model.signature.names == tuple(DIABETES.columns)
    assert_alike(ask(model, DIABETES), {"prediction": original.predict(DIABETES)})


def probabilities_only() -> Any:
    """A network's head: iris's columns to three probabilities, in one output."""
    fitted = LogisticRegression(max_iter=1000).fit(IRIS, SPECIES)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["X", "weights", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probs"], axis=1),
        ],
        "head",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["rows", 3])],
        [
            numpy_helper.from_array(fitted.coef_.T.astype(np.float32), "weights"),
            numpy_helper.from_array(fitted.intercept_.astype(np.float32), "bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def test_probabilities_alone_become_a_classifier_when_their_classes_are_named(
    package: Package, ask: Ask
) -> None:
    proto = probabilities_only()
    model = package(proto, IRIS, task="classification", classes=KINDS.tolist())
    [table] = own_answers(proto, IRIS)
    expected: dict[str, Any] = {"label": KINDS[table.argmax(axis=1)]}
    expected |= {f"probability_{kind}": table[:, index] for index, kind in enumerate(KINDS)}
    assert_alike(ask(model, IRIS)[list(expected)], expected)


def test_an_outlier_detector_is_one_when_it_is_said(package: Package) -> None:
    proto = exported(IsolationForest(n_estimators=10, random_state=0).fit(IRIS.to_numpy()))
    model = package(proto, IRIS, task="outliers")
    assert [output.name for output in model.outputs] == ["label", "score"]


def kept_outside(folder: Path) -> Path:
    path = folder / "head.onnx"
    proto = probabilities_only()
    onnx.save_model(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_weights_beside_a_file_of_others_become_safetensors(
    package: Package, ask: Ask, tmp_path: Path
) -> None:
    path = kept_outside(tmp_path)
    model = package(path, IRIS, task="classification", classes=KINDS.tolist())
    assert load_file(model.path / "weights.safetensors").keys() == {"weights", "bias"}
    [table] = own_answers(probabilities_only(), IRIS)
    given = ask(model, IRIS)
    assert_alike(given[["probability_setosa"]], {"probability_setosa": table[:, 0]})
    assert given["label"].tolist() == KINDS[table.argmax(axis=1)].tolist()


def that_leads_away(tmp_path: Path) -> Any:
    return referring(tmp_path, location="../weights.bin")


def that_follows_a_link(tmp_path: Path) -> Any:
    path = kept_outside(tmp_path)
    (tmp_path / "weights.bin").rename(tmp_path / "elsewhere")
    (tmp_path / "weights.bin").symlink_to(tmp_path / "elsewhere")
    return path


def that_reads_too_far(tmp_path: Path) -> Any:
    return referring(tmp_path, offset="1000000")


def that_was_loaded_without_them(tmp_path: Path) -> Any:
    return onnx.load(kept_outside(tmp_path), load_external_data=False)


def referring(tmp_path: Path, **said: str) -> Path:
    path = kept_outside(tmp_path)
    proto = onnx.load(path, load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        entry.value = said.get(entry.key, entry.value)
    path.write_bytes(proto.SerializeToString())
    return path


def with_own_operators(tmp_path: Path) -> Any:
    proto = probabilities_only()
    proto.graph.node[1].domain = "com.example"
    proto.opset_import.append(helper.make_opsetid("com.example", 1))
    return proto


def with_a_fixed_batch(tmp_path: Path) -> Any:
    proto = probabilities_only()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return proto


def with_images(tmp_path: Path) -> Any:
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["X"], ["Y"])],
        "image",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["rows", 2, 2])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["rows", 4])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def that_is_none(tmp_path: Path) -> Any:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"This is no graph.")
    return path


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (that_leads_away, r"'\.\./weights.bin', which is no file beside head.onnx"),
        (that_follows_a_link, "'weights.bin', which is no file beside head.onnx"),
        (that_reads_too_far, "byte 1000000 of 'weights.bin'"),
        (that_was_loaded_without_them, "lie in another file"),
        (with_own_operators, "com.example"),
        (with_a_fixed_batch, "exactly 1 rows"),
        (with_images, "a table has rows and columns"),
        (that_is_none, "no ONNX model"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_be_served_is_refused(package: Package, tmp_path: Path, made: Any, why: str) -> None:
    with pytest.raises(PackagingError, match=why) as refused:
        package(made(tmp_path), IRIS)
    assert refused.value.hint


def test_what_the_outputs_mean_must_be_clear(package: Package) -> None:
    with pytest.raises(PackagingError, match="Which class each"):
        package(probabilities_only(), IRIS, task="classification")
    with pytest.raises(PackagingError, match="Which class each"):
        package(probabilities_only(), IRIS, classes=["a", "b"])


def test_nothing_is_packaged_that_is_not_there(package: Package, tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="There is no model at"):
        package(tmp_path / "nowhere.onnx", IRIS)
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(PackagingError, match="no model that Taxiway can open"):
        package(tmp_path / "notes.txt", IRIS)
