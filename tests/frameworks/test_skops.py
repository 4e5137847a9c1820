"""What has no ONNX form is kept as it is with skops: its types are named, confirmed, and served."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import Birch
from sklearn.compose import ColumnTransformer
from sklearn.covariance import EllipticEnvelope
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import ClassifierChain, RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from vega_datasets import local_data

from taxiway.errors import PackagingError
from taxiway.serving.engines import EngineError, open_engine

from .conftest import Ask, Package, assert_alike

skops_io = pytest.importorskip("skops.io")

# vega_datasets reads its JSON with an argument that pandas 3 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:The 'convert_dates'")

IRIS, SPECIES = load_iris(return_X_y=True, as_frame=True)
PREDICTOR = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
WITH_CATEGORIES = [PREDICTOR, "functools.partial", "sklearn.utils.validation.check_array"]


@pytest.fixture
def own_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The user's own module, in a folder that only the notebook's process has on its path."""
    folder = tmp_path / "notebook"
    folder.mkdir()
    source = Path(__file__).with_name("own_steps.py").read_text()
    (folder / "own_steps.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    yield pytest.importorskip("own_steps")
    sys.modules.pop("own_steps", None)


def test_a_step_without_an_onnx_form_is_named_with_the_types_and_the_call(
    package: Package, own_steps: Any
) -> None:
    original = make_pipeline(own_steps.Ratio(), StandardScaler(), LogisticRegression()).fit(IRIS, SPECIES)
    with pytest.raises(PackagingError, match="Step 'ratio' is a Ratio") as refused:
        package(original, IRIS)
    assert "taxiway.package(model, ..., format='skops', trust=['own_steps.Ratio'])" in refused.value.hint
    with pytest.raises(PackagingError, match=r"own_steps\.Ratio") as refused:
        package(original, IRIS, format="skops")
    assert "trust=['own_steps.Ratio']" in refused.value.hint


def test_trusted_types_are_served_over_http_with_their_own_source(
    package: Package, ask: Ask, own_steps: Any
) -> None:
    steps = [own_steps.Ratio(), FunctionTransformer(own_steps.doubled), LogisticRegression(max_iter=9000)]
    original = make_pipeline(*steps).fit(IRIS, SPECIES)
    trust = ["own_steps.Ratio", "own_steps.doubled"]
    model = package(original, IRIS, format="skops", trust=[*trust, "never.Needed"], target=SPECIES)
    assert model.manifest.runtime == "skops"
    assert model.manifest.engine["trusted"] == trust
    assert (model.path / "sources" / "own_steps.py").is_file()
    table = original.predict_proba(IRIS)
    expected = {"label": original.predict(IRIS)}
    expected |= {f"probability_{one}": table[:, one] for one in original.classes_}
    assert_alike(ask(model, IRIS), expected)


def test_texts_categories_booleans_and_missing_values_reach_the_model_as_in_the_notebook(
    package: Package, ask: Ask
) -> None:
    """Histogram gradient boosting takes categories as pandas has them, which no ONNX graph does."""
    cars = local_data.cars()
    inputs = cars[["Displacement", "Horsepower", "Cylinders"]].assign(
        maker=cars.Name.str.split().str[0].where(lambda name: name != "amc").astype("category"),
        heavy=cars.Weight_in_lbs > 3000,
    )
    original = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=20, max_bins=50)
    original.fit(inputs, cars.Origin)
    model = package(original, inputs, format="skops", trust=WITH_CATEGORIES)
    assert model.signature["Horsepower"].nullable
    assert model.signature["maker"].nullable
    table = original.predict_proba(inputs)
    expected = {"label": original.predict(inputs)}
    expected |= {f"probability_{kind}": table[:, index] for index, kind in enumerate(original.classes_)}
    assert_alike(ask(model, inputs), expected)


def test_words_cut_by_letters_are_served_over_http(package: Package, ask: Ask) -> None:
    cars = local_data.cars()[["Name", "Displacement", "Origin"]]
    inputs = cars[["Name", "Displacement"]]
    columns = ColumnTransformer(
        [("name", TfidfVectorizer(analyzer="char", ngram_range=(1, 2)), "Name")], remainder=StandardScaler()
    )
    original = make_pipeline(columns, LogisticRegression(max_iter=500)).fit(inputs, cars.Origin)
    with pytest.raises(PackagingError, match="analyzer='char'"):
        package(original, inputs)
    given = ask(package(original, inputs, format="skops"), inputs)
    assert list(given["label"]) == list(original.predict(inputs))


@pytest.mark.parametrize(
    ("original", "outputs"),
    [
        (lambda: EllipticEnvelope(random_state=0).fit(IRIS), ["label", "score"]),
        (
            lambda: RegressorChain(LinearRegression()).fit(IRIS, IRIS.iloc[:, :2]),
            ["prediction_0", "prediction_1"],
        ),
        (
            lambda: ClassifierChain(LogisticRegression(max_iter=1000)).fit(
                IRIS.to_numpy(), np.c_[SPECIES == 0, IRIS.iloc[:, 0] > 5.8].astype(int)
            ),
            ["label_0", "label_1", "probability_0_1", "probability_1_1"],
        ),
    ],
    ids=["outliers", "chain of regressors", "chain of classifiers"],
)
def test_other_estimators_are_proven(package: Package, original: Any, outputs: list[str]) -> None:
    model = package(original(), IRIS, format="skops")
    assert [output.name for output in model.outputs] == outputs
    assert model.parity.passed


def test_packaging_twice_gives_the_same_version(package: Package) -> None:
    original = HistGradientBoostingClassifier(max_iter=5).fit(IRIS, SPECIES)
    one, other = (package(original, IRIS, format="skops", trust=[PREDICTOR]) for _ in range(2))
    assert one.version == other.version


class Cell(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Stands for a class of a notebook's cell."""

    def fit(self, inputs: Any, target: Any = None) -> Cell:
        self.n_features_in_ = inputs.shape[1]
        return self

    def transform(self, inputs: Any) -> Any:
        return inputs


def test_types_of_a_notebooks_cell_are_refused_with_what_to_do(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cell, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "Cell", Cell, raising=False)
    original = make_pipeline(Cell(), LogisticRegression(max_iter=1000)).fit(IRIS, SPECIES)
    for more in ({}, {"format": "skops", "trust": ["__main__.Cell"]}):
        with pytest.raises(PackagingError) as refused:
            package(original, IRIS, **more)
        assert "Cell" in refused.value.message
        assert "module file" in refused.value.hint


def test_a_function_without_a_name_and_what_skops_cannot_write_are_refused(package: Package) -> None:
    nameless = make_pipeline(FunctionTransformer(lambda values: values), LogisticRegression(max_iter=1000))
    with pytest.raises(PackagingError, match=r"defined in the notebook itself|no name"):
        package(nameless.fit(IRIS, SPECIES), IRIS, format="skops", trust=["anything"])
    with pytest.raises(PackagingError, match="Birch") as refused:
        package(Birch(n_clusters=3).fit(IRIS), IRIS)
    assert "skops cannot write" in refused.value.hint


def test_what_could_run_any_program_is_never_trusted(package: Package) -> None:
    original = make_pipeline(FunctionTransformer(), LogisticRegression(max_iter=1000)).fit(IRIS, SPECIES)
    original.steps[0][1].func = os.system
    with pytest.raises(PackagingError, match="could run any program"):
        package(original, IRIS, format="skops", trust=["posix.system", "os.system"])


def test_empty_and_missing_texts_in_one_column_are_refused(package: Package) -> None:
    inputs = pd.DataFrame({"kind": ["", None, "a"] * 50, "size": IRIS.iloc[:, 0]})
    original = HistGradientBoostingClassifier(max_iter=5, categorical_features=["kind"])
    original.fit(inputs.astype({"kind": "category"}), SPECIES)
    with pytest.raises(PackagingError, match="both empty and missing"):
        package(original, inputs.astype({"kind": "category"}), format="skops", trust=WITH_CATEGORIES)


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("hidden", ["extra.pkl", "extra.npy", "array.npy", "objects.npy"])
def test_a_pickle_inside_the_archive_is_refused_and_does_not_run(tmp_path: Path, hidden: str) -> None:
    """As a member of its own, under an array's name, and in place of an array's content."""
    original = LogisticRegression(max_iter=1000).fit(IRIS, SPECIES)
    path = tmp_path / "model.skops"
    skops_io.dump(original, path)
    content = pickle.dumps(Payload(tmp_path / "it-ran"))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    array = next(name for name in members if name.endswith(".npy"))
    if hidden == "objects.npy":
        buffer = io.BytesIO()
        np.save(buffer, np.array([Payload(tmp_path / "it-ran")], dtype=object), allow_pickle=True)
        members[array] = buffer.getvalue()
    else:
        members[array if hidden == "array.npy" else hidden] = content
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(EngineError):
        open_engine(tmp_path, "skops", {"columns": []})
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    "trusted", ["posix.system", "builtins.eval", "joblib.load", "pandas.read_pickle", "subprocess.Popen"]
)
def test_a_model_that_asks_to_trust_what_could_run_any_program_is_not_opened(
    tmp_path: Path, trusted: str
) -> None:
    skops_io.dump(LogisticRegression(max_iter=1000).fit(IRIS, SPECIES), tmp_path / "model.skops")
    with pytest.raises(EngineError, match="could run any program"):
        open_engine(tmp_path, "skops", {"columns": [], "trusted": [trusted]})


def test_sources_of_a_model_hide_no_installed_module(package: Package, tmp_path: Path) -> None:
    """A file named like a library beside a Model is not what its types are imported from."""
    original = HistGradientBoostingClassifier(max_iter=5).fit(IRIS, SPECIES)
    model = package(original, IRIS, format="skops", trust=[PREDICTOR])
    folder = tmp_path / "altered"
    shutil.copytree(model.path, folder)
    (folder / "sources").mkdir()
    (folder / "sources" / "sklearn.py").write_text("raise SystemExit('it ran')")
    open_engine(folder, "skops", model.manifest.engine)
    assert str(folder / "sources") not in sys.path
    with pytest.raises(EngineError, match="run on the CPU alone, not on cuda:0"):
        open_engine(folder, "skops", model.manifest.engine, device="cuda")


def test_a_models_own_sources_are_importable_only_while_it_is_loaded(
    package: Package, own_steps: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = make_pipeline(own_steps.Ratio(), LogisticRegression(max_iter=9000)).fit(IRIS, SPECIES)
    model = package(original, IRIS, format="skops", trust=["own_steps.Ratio"])
    folder = tmp_path / "copied"
    shutil.copytree(model.path, folder)
    (folder / "sources" / "own_later.py").write_text("ANSWER = 1")
    with (folder / "sources" / "own_steps.py").open("a") as file:
        file.write("\n\nALTERED = True\n")
    with pytest.raises(EngineError, match=r"own_steps\.py.*which differs: open the model in a new process"):
        open_engine(folder, "skops", model.manifest.engine)
    monkeypatch.delitem(sys.modules, "own_steps")  # the notebook's own is on the path, but not imported
    path, finders = list(sys.path), list(sys.meta_path)
    try:
        open_engine(folder, "skops", model.manifest.engine)
        assert sys.modules["own_steps"].ALTERED
        assert sys.modules["own_later"].ANSWER == 1
        assert (path, finders) == (sys.path, sys.meta_path)
        open_engine(folder, "skops", model.manifest.engine)
    finally:
        sys.modules.pop("own_later", None)
