from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from taxiway.serving.runtime import ModelError, Runtime
from taxiway.signature import Column, Output, Signature
from tests.models import BuiltModel
from tests.serving.conftest import Serve


@pytest.fixture
def copy(iris: BuiltModel, tmp_path: Path) -> Path:
    return Path(shutil.copytree(iris.path, tmp_path / "model"))


def test_a_model_that_answers_its_sample_otherwise_is_not_served(
    serve: Serve, copy: Path, iris: BuiltModel
) -> None:
    sample = json.loads((copy / "sample.json").read_text())
    sample["outputs"]["probability_setosa"][2] += 0.01
    (copy / "sample.json").write_text(json.dumps(sample))
    with pytest.raises(ModelError, match="row 2, output 'probability_setosa'"):
        Runtime(copy).self_check()
    served = serve(model=BuiltModel(copy, iris.name, iris.version, iris.pipeline, iris.frame))
    assert served.process.returncode == 3
    assert served.process.stderr is not None
    assert "row 2, output 'probability_setosa'" in served.process.stderr.read()


def test_a_changed_model_file_is_not_loaded(copy: Path) -> None:
    (copy / "model.onnx").write_bytes((copy / "model.onnx").read_bytes() + b"\0")
    with pytest.raises(ModelError, match="not what it was"):
        Runtime(copy)


@pytest.mark.parametrize("name", ["model.json", "model.onnx", "signature.json", "sample.json"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ModelError, match=name):
        Runtime(copy)


def test_a_model_with_one_tensor_gets_the_columns_in_the_signatures_order(tmp_path: Path) -> None:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import LinearRegression

    bunch = load_diabetes(as_frame=True)
    names = list(bunch.data.columns)
    model = LinearRegression().fit(bunch.data.to_numpy(), bunch.target)
    onnx = to_onnx(model, initial_types=[("features", FloatTensorType([None, len(names)]))])
    (tmp_path / "model.onnx").write_bytes(onnx.SerializeToString())
    contents = {
        "model.json": {
            "name": "diabetes",
            "version": "0" * 12,
            "outputs": [{"name": "prediction", "tensor": "variable", "index": None}],
        },
        "signature.json": Signature(
            tuple(Column(name, "float64") for name in names), (Output("prediction", "float64"),)
        ).to_dict(),
        "sample.json": {"records": [], "outputs": {}},
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content))
    runtime = Runtime(tmp_path)
    shuffled = {name: bunch.data[name].tolist() for name in reversed(names)}
    given = runtime.predict(shuffled)["prediction"]
    np.testing.assert_allclose(given, model.predict(bunch.data.to_numpy()), rtol=1e-3)
    assert runtime.bounds["age"][1] == pytest.approx(np.finfo(np.float32).max)
