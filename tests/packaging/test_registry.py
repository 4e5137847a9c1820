"""The registry gives back what was packaged, or says what is wrong with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taxiway.errors import CorruptionError, InputError, NotFoundError
from taxiway.packaging import registry
from taxiway.packaging.bento import environment

from .conftest import Packaged


@pytest.fixture
def copied(packaged: Packaged, taxiway_home: Path) -> Path:
    """The folder of the Model in a home of this test."""
    shutil.copytree(packaged.home / "store", taxiway_home / "store")
    return registry.folder_of(packaged.model.name, packaged.model.version)


def test_a_model_is_loaded_by_name_by_version_and_by_latest(packaged_home: Packaged) -> None:
    model = packaged_home.model
    assert registry.load("rain") == registry.load("rain:latest") == registry.load(model.tag) == model
    assert registry.list_models() == registry.list_models("rain") == [model]
    assert registry.list_models("snow") == []
    assert model.reference() is not None


def test_what_is_not_there_is_named_with_what_is(packaged_home: Packaged) -> None:
    with pytest.raises(NotFoundError) as caught:
        registry.load("snow")
    assert "rain" in caught.value.hint
    with pytest.raises(NotFoundError) as caught:
        registry.load("rain:000000000000")
    assert packaged_home.model.tag in caught.value.hint


@pytest.mark.parametrize(
    "tag", ["../rain", "rain/..", "/etc", "rain:../../x", "", ".", "a..b", "rain:1234", "rain\n", "-rain"]
)
def test_no_tag_leads_out_of_the_store(taxiway_home: Path, tag: str) -> None:
    with pytest.raises(InputError):
        registry.load(tag)


@pytest.mark.parametrize(
    "name", ["model.onnx", "signature.json", "reference.bin", "parity.json", "sample.json"]
)
def test_an_altered_file_is_found_on_load(copied: Path, name: str) -> None:
    data = bytearray((copied / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / name).write_bytes(data)
    with pytest.raises(CorruptionError, match=name):
        registry.load("rain")


def test_a_missing_an_added_and_a_linked_file_are_found_on_load(copied: Path, tmp_path: Path) -> None:
    (copied / "extra.txt").write_text("x")
    with pytest.raises(CorruptionError, match=r"extra\.txt"):
        registry.load("rain")
    (copied / "extra.txt").unlink()
    (copied / "model.onnx").rename(tmp_path / "elsewhere.onnx")
    with pytest.raises(CorruptionError, match=r"model\.onnx"):
        registry.load("rain")
    (copied / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(CorruptionError, match=r"model\.onnx"):
        registry.load("rain")


def test_an_altered_manifest_is_not_believed(copied: Path) -> None:
    manifest = json.loads((copied / "model.json").read_text())
    for body in ({**manifest, "target": "snow"}, {**manifest, "format": 99}, [], "x"):
        (copied / "model.json").write_text(json.dumps(body))
        with pytest.raises(CorruptionError):
            registry.load(f"rain:{copied.name}")
        assert registry.list_models() == []


def test_a_model_moved_under_another_name_is_not_believed(copied: Path) -> None:
    other = copied.parent.parent / "snow" / copied.name
    other.parent.mkdir()
    shutil.move(copied, other)
    with pytest.raises(CorruptionError):
        registry.load(f"snow:{copied.name}")


def test_a_damaged_model_is_mended_by_saving_it_again(
    copied: Path, packaged: Packaged, tmp_path: Path
) -> None:
    (copied / "model.onnx").unlink()
    staged = tmp_path / "staged"
    shutil.copytree(packaged.model.path, staged)
    registry.save(staged)
    assert registry.load("rain").manifest == packaged.model.manifest
    assert not staged.exists()


def test_listing_imports_nothing_heavy(packaged_home: Packaged) -> None:
    code = """
import sys
from taxiway.packaging import registry
print([model.to_summary()["tag"] for model in registry.list_models()])
heavy = {"numpy", "pandas", "onnx", "onnxruntime", "bentoml", "whylogs", "sklearn"}
print(sorted(heavy & sys.modules.keys()))
"""
    variables = {**environment(), "TAXIWAY_HOME": os.environ["TAXIWAY_HOME"]}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [str([packaged_home.model.tag]), "[]"]
