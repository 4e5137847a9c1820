"""What a Model keeps for monitoring: rows of its reference, and how much its columns matter."""

from __future__ import annotations

from dataclasses import asdict, replace

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import taxiway
from taxiway.errors import CorruptionError, InputError
from taxiway.packaging import digest, reference_rows
from taxiway.packaging.manifest import _CIRCUMSTANCES, _REPORTS
from tests.monitoring.weather import of_year, seattle

LATER = {*_CIRCUMSTANCES, "importances", "weighed", "reference_rows"}


@pytest.fixture(scope="module")
def year():
    return of_year(seattle(), 2012)


def test_a_model_keeps_rows_and_importances_unless_told_otherwise(year, tmp_path, monkeypatch):
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path))
    inputs, rain = year[["temp_max", "wind"]], year["weather"] == "rain"
    model = LogisticRegression().fit(inputs, rain)
    kept = taxiway.package(
        model, name="rain", reference=inputs, target=rain, replay=False, sensitive=["wind"]
    )
    assert list(kept.reference_rows().columns) == ["temp_max"], "sensitive columns are not kept"
    assert len(kept.reference_rows()) == len(inputs)
    assert set(kept.importances) == {"temp_max", "wind"}
    archive = kept.export(tmp_path / "rain.taxiway")
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path / "other"))
    there = taxiway.import_model(archive).model
    assert there.importances == kept.importances
    pd.testing.assert_frame_equal(there.reference_rows(), kept.reference_rows())
    given = {"temp_max": 3, "wind": 1}
    none = taxiway.package(
        model,
        name="rain",
        reference=inputs,
        target=rain,
        replay=False,
        importances=given,
        keep_reference=False,
    )
    assert none.reference_rows() is None
    assert not (none.path / reference_rows.FILE).exists()
    assert none.importances == {"temp_max": 0.75, "wind": 0.25}
    told = {change.name for change in there.diff(none).changes if change.about == "model"}
    assert {"importances", "reference_rows"} <= told
    with pytest.raises(InputError, match="no column of reference"):
        taxiway.package(model, name="rain", reference=inputs, importances={"moon": 1})
    manifest = there.manifest
    assert replace(manifest, importances={"wind": 1.0}).identity() == manifest.identity(), "asked, not given"
    assert replace(manifest, reference_rows=0).identity() != manifest.identity()
    older = digest.of_value(  # what a Taxiway without these fields says of a Model that has none of them
        {
            **{name: value for name, value in asdict(manifest).items() if name not in LATER},
            "data_digest": manifest.lineage.data_digest,
            "files": {name: manifest.files[name] for name in manifest.files if name not in _REPORTS},
        }
    )
    assert replace(manifest, importances={}, weighed=False, reference_rows=0).identity() == older


def test_mixed_columns_are_kept_as_text_and_a_damaged_file_is_told(tmp_path):
    frame = pd.DataFrame(
        {"mixed": [1, "a", None], "x": [1.0, 2.0, None], "c": pd.Categorical(["a", "b", "a"])}
    )
    reference_rows.write(reference_rows.drawn(frame, ()), tmp_path)
    found = reference_rows.read(tmp_path)
    assert found["mixed"].tolist()[:2] == ["1", "a"]
    assert found["x"].isna().tolist() == [False, False, True]
    assert len(reference_rows.drawn(pd.DataFrame({"x": range(5000)}), ())) == reference_rows.MOST_ROWS
    assert reference_rows.drawn(frame[["x"]], {"x"}) is None
    (tmp_path / reference_rows.FILE).write_bytes(b"PAR1 broken")
    with pytest.raises(CorruptionError, match="cannot be read"):
        reference_rows.read(tmp_path)
