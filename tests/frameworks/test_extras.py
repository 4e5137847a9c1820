"""What is not installed is named, with the extra of Taxiway that brings it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from sklearn.datasets import load_diabetes

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import adapter_for

from .conftest import Package


@pytest.mark.parametrize(
    ("root", "absent", "extra"),
    [
        ("keras", "tf2onnx", "tensorflow"),
        ("torch", "onnxscript", "torch"),
        ("xgboost", "onnxmltools", "xgboost"),
    ],
)
def test_a_missing_converter_is_named_with_its_extra(
    root: str, absent: str, extra: str, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    framework = pytest.importorskip(root)
    inputs, target = load_diabetes(return_X_y=True, as_frame=True)
    if root == "keras":
        model = framework.Sequential([framework.Input((10,)), framework.layers.Dense(1)])
    elif root == "torch":
        model = framework.nn.Linear(10, 1)
    else:
        model = framework.XGBRegressor(n_estimators=2).fit(inputs, target)
    for name in [name for name in sys.modules if name.partition(".")[0] == absent]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(PackagingError, match=absent) as raised:
        package(model, inputs, format="onnx" if root == "keras" else None)
    assert raised.value.hint == f"pip install 'taxiway[{extra}]'"


def test_a_folder_of_an_absent_framework_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    for name in [
        name for name in sys.modules if name.startswith(("tensorflow", "taxiway.packaging.frameworks.k"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "taxiway.serving.engines.savedmodel", raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(PackagingError, match="tensorflow must be installed") as raised:
        adapter_for(tmp_path)
    assert "taxiway[tensorflow]" in raised.value.hint
