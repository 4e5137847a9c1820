"""Two Models are compared by name, and what is the same is not mentioned."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import taxiway
from taxiway.packaging import difference
from taxiway.packaging.difference import Change
from taxiway.packaging.model import Model

from .conftest import Packaged, Weather


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory, weather: Weather) -> Model:
    """The weather model again, of data whose columns an upstream team has changed."""
    inputs = weather.inputs.drop(columns="weekend").assign(account_type="basic")
    inputs["season"] = inputs["season"].replace("winter", "monsoon")
    inputs["month"] = inputs["month"].astype("float64")
    inputs["wind"] = inputs["wind"] * 2
    inputs = inputs[["wind", "temp_max", "temp_min", "month", "season", "account_type"]]
    encode = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer(
        [
            ("numeric", StandardScaler(), ["temp_max", "temp_min", "wind", "month"]),
            ("text", encode, ["season", "account_type"]),
        ]
    )
    fitted = Pipeline([("columns", columns), ("model", LogisticRegression())]).fit(inputs, weather.rain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAXIWAY_HOME", str(tmp_path_factory.mktemp("changed")))
        patch.delenv("BENTOML_HOME", raising=False)
        return taxiway.package(
            fitted,
            replay=False,
            name="rain",
            reference=inputs,
            target=weather.rain,
            description="of the new table",
            metrics={"accuracy": 0.75, "f1": 0.5},
        )


def by_name(found: difference.Difference) -> dict[tuple[str, str, str], Change]:
    return {(change.about, change.name, change.kind): change for change in found.changes}


def test_a_model_does_not_differ_from_itself(packaged: Packaged) -> None:
    found = packaged.model.diff(packaged.model)
    assert found.same
    assert str(found) == f"Nothing differs between {packaged.model} and {packaged.model}."
    assert list(found.to_dict()["changes"]) == []


def test_what_an_upstream_team_changed_is_told_by_name(packaged: Packaged, changed: Model) -> None:
    found = by_name(difference.between(packaged.model, changed))
    assert found["input", "account_type", "added"].after == "string, basic"
    assert found["input", "weekend", "removed"].before == "bool"
    assert found["input", "season, categories", "added"].after == "monsoon"
    assert found["input", "season, categories", "removed"].before == "winter"
    retyped = found["input", "month, dtype", "changed"]
    assert (retyped.before, retyped.after) == ("int64", "float64")
    wider = found["input", "wind, range", "changed"]
    assert [one.partition(" to ")[2] for one in (wider.before, wider.after)] == ["9.5", "19"]
    assert ("input", "order", "changed") in found
    assert not any(name.startswith("temp_max") for about, name, _ in found if about == "input")


def test_figures_are_told_with_their_difference(packaged: Packaged, changed: Model) -> None:
    found = by_name(difference.between(packaged.model, changed))
    assert found["metric", "accuracy", "changed"].difference == pytest.approx(0.05)
    assert found["metric", "f1", "added"].after == "0.5"
    assert found["model", "description", "changed"].after == "of the new table"
    assert (
        found["model", "size_bytes", "changed"].difference == changed.size_bytes - packaged.model.size_bytes
    )
    assert ("lineage", "data_digest", "changed") in found
    assert ("file", "model.onnx", "changed") in found
    assert not [one for one in found if one[0] == "pin"], "the pins are those of this very environment"


def test_the_other_way_round_added_is_removed(packaged: Packaged, changed: Model) -> None:
    there, back = difference.between(packaged.model, changed), difference.between(changed, packaged.model)
    kinds = {"added": "removed", "removed": "added", "changed": "changed"}
    assert {(one.about, one.name, kinds[one.kind], one.after, one.before) for one in there.changes} == {
        (one.about, one.name, one.kind, one.before, one.after) for one in back.changes
    }


def test_environment_and_pins_are_compared(packaged: Packaged, tmp_path: Path) -> None:
    """By the environment's own comparison, and line by line."""
    import shutil

    folder = tmp_path / "rain" / packaged.model.version
    shutil.copytree(packaged.model.path, folder)
    body = json.loads((folder / "environment.json").read_text())
    body["python"] = "3.10.1"
    (folder / "environment.json").write_text(json.dumps(body))
    pins = (folder / "requirements.txt").read_text().replace("orjson==", "orjson==0.")
    (folder / "requirements.txt").write_text(pins + "extra==1.0\n")
    found = by_name(difference.between(packaged.model, Model(packaged.model.manifest, folder)))
    assert found["environment", "python", "changed"].after == "3.10.1"
    assert found["pin", "orjson", "changed"].after.startswith("0.")
    assert found["pin", "extra", "added"].after == "1.0"


def test_it_reads_as_text_and_as_json(packaged: Packaged, changed: Model) -> None:
    found = difference.between(packaged.model, changed)
    lines = str(found).splitlines()
    assert lines[0] == f"{packaged.model} → {changed}"
    assert "input account_type added: string, basic" in lines
    assert "metric accuracy: 0.7 → 0.75" in lines
    body = json.loads(json.dumps(found.to_dict()))
    assert (
        pd.DataFrame(body["changes"])["about"]
        .isin(["model", "input", "output", "metric", "parity", "environment", "pin", "lineage", "file"])
        .all()
    )
    assert body["same"] is False
