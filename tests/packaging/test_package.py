"""package(): the same thing twice is one version, and a failure leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import taxiway
from taxiway.errors import InputError, PackagingError, ParityError
from taxiway.packaging import digest, parity
from taxiway.packaging.frameworks import adapter_for
from taxiway.packaging.inference import columns_of
from taxiway.packaging.model import Model

from .conftest import NUMERIC, Packaged, Weather, columns, columns_of_weather

package = partial(taxiway.package, replay=False)  # the replay has tests of its own


def files_of(home: Path) -> dict[str, int]:
    return {
        str(path.relative_to(home)): path.stat().st_mtime_ns
        for path in home.rglob("*")
        if path.is_file() and path.name != "lock"
    }


def test_a_packaged_model_answers_as_the_original(
    packaged_home: Packaged, weather: Weather, classifier: Pipeline
) -> None:
    model = packaged_home.model
    answers = model.predict(weather.inputs)
    assert answers["label"].tolist() == classifier.predict(weather.inputs).tolist()
    assert answers["probability_True"].to_numpy() == pytest.approx(
        classifier.predict_proba(weather.inputs)[:, 1], abs=1e-5
    )
    assert answers.index.equals(weather.inputs.index)
    assert list(answers) == ["label", "probability_False", "probability_True"]


def test_a_model_says_what_it_is(packaged_home: Packaged) -> None:
    model = packaged_home.model
    assert (model.name, model.task, model.framework, model.target) == (
        "rain",
        "classification",
        "sklearn",
        "rain",
    )
    assert model.classes == (False, True)
    assert model.digest.startswith(model.version)
    assert model.metrics == {"accuracy": 0.7}
    assert model.signature.names == ("temp_max", "temp_min", "wind", "month", "season", "weekend")
    season = model.signature.inputs[4]
    assert (season.dtype, season.categories) == ("string", ("autumn", "spring", "summer", "winter"))
    assert (model.signature.inputs[3].minimum, model.signature.inputs[3].maximum) == (1, 12)
    assert [output.dtype for output in model.signature.outputs] == ["bool", "float32", "float32"]
    assert len(model.sample()["records"]) == 20
    assert model.parity.passed
    assert model.parity.worst.inputs.keys() == set(model.signature.names)
    assert len(model.lineage.data_digest) == 64
    assert model.checks.ok
    assert json.loads(json.dumps(model.to_detail()))["preflight"]["ok"] is True
    assert model.to_summary()["tag"] == str(model) == model.tag
    bundle = model._repr_mimebundle_()
    assert "application/vnd.taxiway.model+json" in bundle
    assert model.tag in bundle["text/html"]


def test_the_reference_profile_has_inputs_outputs_and_target(
    packaged_home: Packaged, weather: Weather
) -> None:
    from taxiway.monitoring.profiles import summary

    columns = summary(packaged_home.model.reference())
    outputs = {"label", "probability_False", "probability_True"}
    assert columns.keys() == {*weather.inputs.columns, *outputs, "target"}
    assert columns["wind"].rows == len(weather.inputs)


def test_packaging_the_same_twice_gives_the_same_version_and_writes_nothing(
    packaged_home: Packaged, weather: Weather, classifier: Pipeline
) -> None:
    before = files_of(packaged_home.home)
    again = package(
        classifier, name="rain", reference=weather.inputs, target=weather.rain, metrics={"accuracy": 0.7}
    )
    assert again == packaged_home.model
    assert files_of(packaged_home.home) == before


def exported() -> list[str]:
    """Digests of the exports of models whose fitting has nothing random or inexact about it."""
    data = columns_of_weather().assign(rain=range(366))
    inputs, rain = data.drop(columns="rain"), data["rain"] % 3
    models = (
        Pipeline([("columns", columns()), ("model", DecisionTreeClassifier(random_state=0))]),
        Pipeline([("columns", columns(MinMaxScaler())), ("model", KNeighborsClassifier())]),
        Pipeline([("columns", columns(SimpleImputer())), ("model", DecisionTreeRegressor(random_state=0))]),
    )
    found = []
    for model in models:
        adapter = adapter_for(model.fit(inputs, rain))
        with tempfile.TemporaryDirectory() as folder:
            export = adapter.export(columns_of(inputs), inputs, "float32", Path(folder))
            found.append(digest.of_file(export.folder / "model.onnx"))
    return found


@pytest.mark.parametrize("seed", ["1", "2"])
def test_an_export_is_the_same_in_another_process_with_another_hash_seed(seed: str) -> None:
    root = Path(__file__).parents[2]
    path = os.pathsep.join(str(root / folder) for folder in ("extension", "backends", ""))
    code = "import tests.packaging.test_package as t; print(*t.exported())"
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == exported()


def test_another_description_is_another_version(
    taxiway_home: Path, weather: Weather, classifier: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = taxiway_home / "store" / "runs" / "run-1"
    run.mkdir(parents=True)
    monkeypatch.setenv("TAXIWAY_RUN_DIR", str(run))
    lines: list[str] = []
    one = package(classifier, name="rain", reference=weather.inputs, progress=lines.append)
    two = package(classifier, name="rain", reference=weather.inputs, description="for the harbour")
    assert one.version != two.version
    assert two.description == "for the harbour"
    assert [model.tag for model in taxiway.models("rain")] == [two.tag, one.tag]
    assert taxiway.load("rain") == two
    assert (one.lineage.run, one.target) == ("run-1", None)
    told = [json.loads(line) for line in (run / "packaged.jsonl").read_text().splitlines()]
    assert told == [{"model": one.tag}, {"model": two.tag}]
    assert len(lines) == 4


def test_two_packagings_of_one_name_at_once_give_one_sound_model(
    taxiway_home: Path, weather: Weather, classifier: Pipeline
) -> None:
    made: list[Model] = []
    threads = [
        threading.Thread(
            target=lambda: made.append(package(classifier, name="rain", reference=weather.inputs))
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2
    assert made[0] == made[1] == taxiway.load("rain")
    assert not list((taxiway_home / "store" / ".staging").glob("*/stage-*"))


def test_a_killed_packaging_leaves_no_model_and_the_next_one_succeeds(
    taxiway_home: Path, weather: Weather, classifier: Pipeline
) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from taxiway.packaging.staging import stage
with stage(Path(sys.argv[1]), "rain") as folder:
    (folder / "model.onnx").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    from taxiway.packaging.bento import environment

    store = taxiway_home / "store"
    done = subprocess.run([sys.executable, "-c", code, str(store)], env=environment(), check=False)
    assert done.returncode == -9
    assert len(list(store.glob(".staging/rain/stage-*"))) == 1
    assert taxiway.models() == []
    model = package(classifier, name="other", reference=weather.inputs)
    assert taxiway.models() == [model]
    assert not list(store.glob(".staging/*/stage-*"))


class Squares(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer that no converter knows."""

    def fit(self, X: Any, y: Any = None) -> Squares:
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:
        return np.asarray(X) ** 2


def test_bad_input_gets_one_clear_error_and_writes_nothing(
    taxiway_home: Path, weather: Weather, classifier: Pipeline
) -> None:
    inputs, rain = weather.inputs, weather.rain
    numbers = inputs[NUMERIC]
    logistic = LogisticRegression(max_iter=1000)
    own = make_pipeline(Squares(), logistic).fit(numbers, rain)
    function = Pipeline([("log", FunctionTransformer(np.log1p)), ("model", Ridge())]).fit(
        numbers[["month"]], rain
    )
    doubled = pd.concat([inputs, inputs[["wind"]]], axis=1)
    dated = inputs.assign(day=pd.date_range("2012-01-01", periods=len(inputs)))
    dated_model = Pipeline([("columns", columns()), ("model", LogisticRegression())]).fit(dated, rain)
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (LogisticRegression(), {"reference": inputs}, "not fitted"),
        (LogisticRegression, {"reference": inputs}, "is a class"),
        (StandardScaler().fit(numbers), {"reference": numbers}, "no predict"),
        (object(), {"reference": inputs}, "cannot be packaged"),
        (classifier, {"reference": inputs.iloc[:0]}, "empty"),
        (classifier, {"reference": inputs.to_numpy()}, "not a pandas DataFrame"),
        (classifier, {"reference": doubled}, "more than one column named 'wind'"),
        (classifier, {"reference": inputs.rename(columns={"wind": 3})}, "Column 3"),
        (classifier, {"reference": inputs.assign(rain=rain), "target": rain}, "'rain' is among the inputs"),
        (classifier, {"reference": inputs.assign(rain=rain)}, "not fitted on: 'rain'"),
        (classifier, {"reference": inputs.drop(columns="wind")}, "lacks: 'wind'"),
        (classifier, {"reference": inputs.assign(wind=np.nan)}, "'wind' of reference has no value"),
        (classifier, {"reference": inputs.assign(wind=np.inf)}, "'wind' of reference holds an infinite"),
        (classifier, {"reference": inputs.assign(season=[1, "a"] * 183)}, "'season' of reference mixes"),
        (classifier, {"reference": inputs, "target": rain[:5]}, "5 rows"),
        (classifier, {"reference": inputs, "sample": inputs[["wind"]]}, "sample lacks"),
        (classifier, {"reference": inputs, "sample": inputs.assign(wind="calm")}, "'wind' of sample"),
        (classifier, {"reference": inputs, "waive": ["parities"]}, "no check named 'parities'"),
        (classifier, {"reference": inputs, "slices": ["region"]}, "slices names 'region'"),
        (classifier, {"reference": inputs, "metrics": {"auc": float("nan")}}, "metric 'auc'"),
        (classifier, {"reference": inputs, "name": "../rain"}, "cannot be a Model's name"),
        (classifier, {"reference": inputs, "name": "Rain"}, "cannot be a Model's name"),
        (own, {"reference": numbers}, "Step 'squares' is a Squares"),
        (function, {"reference": numbers[["month"]]}, "Step 'log' is a FunctionTransformer"),
        (logistic.fit(numbers.to_numpy(), rain), {"reference": inputs}, "fitted on 4 columns"),
        (dated_model, {"reference": dated}, "'day' of reference is of dtype datetime64"),
        (
            Ridge().fit(numbers[["wind"]].set_axis(["prediction"], axis=1), rain),
            {"reference": numbers[["wind"]].set_axis(["prediction"], axis=1)},
            "bears the name of an output",
        ),
    ]
    for model, arguments, message in cases:
        with pytest.raises(InputError) as caught:
            package(model, **{"name": "rain", **arguments})
        assert message in caught.value.message, caught.value
        assert caught.value.hint
    left = [path.name for path in taxiway_home.rglob("*") if path.is_file()]
    assert set(left) <= {"lock"}


def test_a_model_that_differs_is_refused_with_both_figures_unless_waived(
    taxiway_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, target = load_diabetes(return_X_y=True, as_frame=True)
    model = make_pipeline(StandardScaler(), Ridge()).fit(inputs, target)
    nothing = {"float32": (0.0, 0.0), "float64": (0.0, 0.0)}
    monkeypatch.setattr(parity, "TOLERANCES", nothing)
    with pytest.raises(ParityError) as caught:
        package(model, name="diabetes", reference=inputs, target=target)
    assert "in float32" in caught.value.message
    assert "in float64" in caught.value.message
    assert "Worst is row" in caught.value.message
    assert "waive=('parity',)" in caught.value.hint
    assert taxiway.models() == []
    accepted = package(model, name="diabetes", reference=inputs, target=target, waive=["parity"])
    assert accepted.checks["parity"].result == "waived"
    assert accepted.checks.ok
    assert accepted.parity.waived
    assert [one.precision for one in accepted.parity.tried] == ["float32"]


def test_double_precision_is_taken_where_float32_differs(taxiway_home: Path, weather: Weather) -> None:
    numbers = weather.inputs[NUMERIC]
    forest = make_pipeline(StandardScaler(), RandomForestClassifier(30, random_state=0)).fit(
        numbers, weather.rain
    )
    model = package(forest, name="forest", reference=numbers, target=weather.rain)
    assert model.parity.precision == "float64"
    assert model.parity.passed
    assert model.parity.tried[0].precision == "float32"
    assert model.parity.tried[0].differing > 0
    assert model.predict(numbers)["label"].tolist() == forest.predict(numbers).tolist()


def test_missing_values_are_predicted_as_the_original_does(taxiway_home: Path, weather: Weather) -> None:
    inputs = weather.inputs.copy()
    inputs.loc[inputs.index[::7], "wind"] = np.nan
    inputs.loc[inputs.index[::5], "season"] = None
    original = Pipeline(
        [("columns", columns(SimpleImputer())), ("model", DecisionTreeClassifier(random_state=0))]
    )
    original.fit(inputs, weather.rain)
    model = package(original, name="gaps", reference=inputs, target=weather.rain)
    assert model.predict(inputs)["label"].tolist() == original.predict(inputs).tolist()
    assert model.sample()["records"][0]["season"] is None
    with pytest.raises(InputError, match="lacks: wind"):
        model.predict(inputs.drop(columns="wind"))
    with pytest.raises(InputError, match="cannot take"):
        model.predict(inputs.assign(wind="calm"))


def test_a_full_disk_is_told_and_leaves_nothing(
    taxiway_home: Path, weather: Weather, classifier: Pipeline
) -> None:
    (taxiway_home / "store").write_text("a file where the folder should be")
    with pytest.raises(PackagingError, match="could not be written"):
        package(classifier, name="rain", reference=weather.inputs)
    (taxiway_home / "store").unlink()
    assert taxiway.models() == []


def test_a_damaged_bento_is_built_again(taxiway_home: Path, weather: Weather, classifier: Pipeline) -> None:
    model = package(classifier, name="rain", reference=weather.inputs)
    copy = taxiway_home / "bentoml" / "models" / model.name / model.version / "model.onnx"
    sound = copy.read_bytes()
    copy.write_bytes(b"half")
    assert package(classifier, name="rain", reference=weather.inputs) == model
    assert copy.read_bytes() == sound


def test_a_replay_that_failed_for_want_of_a_network_is_tried_again(
    taxiway_home: Path, weather: Weather, classifier: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as offline:
        offline.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
        offline.setenv("UV_NO_CACHE", "1")
        offline.setenv("UV_HTTP_RETRIES", "0")
        for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_FIND_LINKS", "UV_CONFIG_FILE"):
            offline.delenv(name, raising=False)
        offline.setenv("UV_NO_CONFIG", "1")
        model = taxiway.package(classifier, name="rain", reference=weather.inputs)
    failed = model.checks["clean_replay"]
    assert (failed.level, failed.result) == ("blocking", "failed")
    assert "environment could not be made" in failed.reason
    again = taxiway.package(classifier, name="rain", reference=weather.inputs)
    assert again == model
    assert again.checks["clean_replay"].result == "passed"
