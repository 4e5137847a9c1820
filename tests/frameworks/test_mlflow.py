"""What MLflow really saved is opened without MLflow and without a pickle, and answers over HTTP alike."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import numpy_helper
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from taxiway.errors import PackagingError

from .conftest import Ask, Package, assert_alike

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, while it saves
mlflow = pytest.importorskip("mlflow")

IRIS, SPECIES = load_iris(return_X_y=True, as_frame=True)
Save = Callable[[str, Any], Path]


@pytest.fixture
def save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Save:
    """Save a model with MLflow, and give its folder."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")

    def save(flavor: str, model: Any, **more: Any) -> Path:
        path = tmp_path / "saved"
        getattr(mlflow, flavor).save_model(model, path, pip_requirements=[], **more)
        return path

    return save


def expected_of(original: Any) -> dict[str, Any]:
    table = original.predict_proba(IRIS)
    expected = {"label": np.ravel(original.predict(IRIS))}
    return expected | {f"probability_{one}": table[:, one] for one in (0, 1, 2)}


def sklearn() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(IRIS, SPECIES)


def xgboost() -> Any:
    return pytest.importorskip("xgboost").XGBClassifier(n_estimators=10).fit(IRIS, SPECIES)


def lightgbm() -> Any:
    return pytest.importorskip("lightgbm").LGBMClassifier(n_estimators=10, verbose=-1).fit(IRIS, SPECIES)


def catboost() -> Any:
    library = pytest.importorskip("catboost")
    return library.CatBoostClassifier(iterations=10, verbose=0, allow_writing_files=False).fit(IRIS, SPECIES)


@pytest.mark.parametrize("made", [sklearn, xgboost, lightgbm, catboost], ids=lambda made: made.__name__)
def test_a_folder_that_mlflow_wrote_answers_over_http_as_in_the_notebook(
    package: Package, ask: Ask, save: Save, made: Any
) -> None:
    original = made()
    folder = save(made.__name__, original)
    model = package(folder, IRIS, target=SPECIES)
    assert model.framework == made.__name__
    assert_alike(ask(model, IRIS), expected_of(original))


def test_boosters_of_their_own_and_onnx_files_are_opened(
    package: Package, save: Save, tmp_path: Path
) -> None:
    from skl2onnx import to_onnx

    fitted = MLPClassifier((200,), random_state=0).fit(IRIS, SPECIES)
    network = to_onnx(fitted, IRIS[:1].to_numpy(dtype=np.float32), target_opset=15)
    for tensor in network.graph.initializer:  # as other converters write them: what is large goes beside it
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    saved = {
        "xgboost": (xgboost().get_booster(), {"model_format": "json"}),
        "lightgbm": (lightgbm().booster_, {}),
        "onnx": (network, {}),
    }
    for flavor, (original, more) in saved.items():
        folder = save(flavor, original, **more)
        model = package(str(folder), IRIS)
        assert model.framework == flavor
        assert model.parity.passed
        shutil.rmtree(folder)
    assert "weights.safetensors" in model.manifest.files


def test_mlflow_itself_is_not_imported(package: Package, save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save("sklearn", sklearn())
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mlflow", None)  # whoever imports it fails
    assert package(folder, IRIS).framework == "sklearn"


def test_a_keras_model_is_handed_over(package: Package, save: Save) -> None:
    keras = pytest.importorskip("keras")
    network = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model = package(save("tensorflow", network), IRIS, task="classification", classes=[0, 1, 2])
    assert model.framework == "keras"


@pytest.mark.parametrize("flavor", ["sklearn", "python_function", "pytorch"])
def test_a_pickle_is_named_and_not_opened(package: Package, save: Save, flavor: str, tmp_path: Path) -> None:
    if flavor == "sklearn":
        folder, name = save("sklearn", sklearn(), serialization_format="cloudpickle"), "model.pkl"
    elif flavor == "pytorch":
        torch = pytest.importorskip("torch")
        folder = save("pytorch", torch.nn.Linear(4, 3), serialization_format="pickle")
        name = "model.pth"
    else:
        folder, name = tmp_path / "python", "python_model.pkl"

        class Model(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
            def predict(self, context: Any, model_input: Any) -> Any:
                return model_input

        mlflow.pyfunc.save_model(folder, python_model=Model(), pip_requirements=[])
    with pytest.raises(PackagingError, match=f"is a pickle .*{name}") as refused:
        package(folder, IRIS)
    assert "notebook that trusts it" in refused.value.hint


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("flavor", "made", "file"),
    [
        ("sklearn", sklearn, "model.skops"),
        ("xgboost", xgboost, "model.ubj"),
        ("lightgbm", lightgbm, "model.skops"),
        ("catboost", catboost, "model.cb"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_pickle_under_the_models_own_name_is_refused_and_does_not_run(
    package: Package, save: Save, tmp_path: Path, flavor: str, made: Any, file: str
) -> None:
    import pickle

    folder = save(flavor, made())
    (folder / file).write_bytes(pickle.dumps(Payload(tmp_path / "it-ran")))
    with pytest.raises(PackagingError, match="is a pickle"):
        package(folder, IRIS)
    (folder / file).write_bytes(pickle.dumps(Payload(tmp_path / "it-ran"), protocol=0))  # no magic bytes
    with pytest.raises(PackagingError):
        package(folder, IRIS)
    assert not (tmp_path / "it-ran").exists()


def test_what_the_folder_asks_to_trust_is_not_trusted(package: Package, save: Save, tmp_path: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    folder = save("sklearn", sklearn())
    body = yaml.safe_load((folder / "MLmodel").read_text())
    body["flavors"]["sklearn"]["skops_trusted_types"] = ["posix.system", "numpy.log1p"]
    (folder / "MLmodel").write_text(yaml.safe_dump(body))
    evil = make_pipeline(FunctionTransformer(os.system), LogisticRegression(max_iter=1000))
    evil.steps[0][1].fit(IRIS)
    evil.steps[1][1].fit(IRIS, SPECIES)
    skops.io.dump(evil, folder / "model.skops")
    for trust in ((), ("posix.system",)):
        with pytest.raises(PackagingError, match="could run any program"):
            package(folder, IRIS, trust=trust)


def test_types_that_the_folder_trusts_must_be_trusted_by_the_caller(package: Package, save: Save) -> None:
    predictor = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
    original = HistGradientBoostingClassifier(max_iter=5).fit(IRIS, SPECIES)
    folder = save("sklearn", original, skops_trusted_types=[predictor])
    with pytest.raises(PackagingError, match="TreePredictor") as refused:
        package(folder, IRIS)
    assert f"taxiway.package({str(folder)!r}, ..., trust=[{predictor!r}])" in refused.value.hint
    assert package(folder, IRIS, trust=[predictor]).parity.passed


def test_a_folder_that_names_files_elsewhere_or_unknown_classes_is_refused(
    package: Package, save: Save, tmp_path: Path
) -> None:
    folder = save("xgboost", xgboost())
    body = yaml.safe_load((folder / "MLmodel").read_text())
    shutil.copy(folder / "model.ubj", tmp_path / "model.ubj")
    for key, value, why in (
        ("data", "../model.ubj", "outside"),
        ("data", "gone.ubj", "not there"),
        ("model_class", "os.system", "names the class"),
    ):
        changed = yaml.safe_load(yaml.safe_dump(body))
        changed["flavors"]["xgboost"][key] = value
        (folder / "MLmodel").write_text(yaml.safe_dump(changed))
        with pytest.raises(PackagingError, match=why):
            package(folder, IRIS)
    (folder / "MLmodel").write_text(f"!!python/object/apply:os.mkdir ['{tmp_path}/it-ran']")
    with pytest.raises(PackagingError, match="cannot be read"):
        package(folder, IRIS)
    assert not (tmp_path / "it-ran").exists()
