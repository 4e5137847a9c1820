"""A Model goes out as one file and comes in as it was, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from taxiway.errors import PackagingError, PreflightError, TaxiwayError
from taxiway.packaging import archive, registry, transfer
from taxiway.packaging.bento import environment
from taxiway.packaging.manifest import FILE
from taxiway.packaging.origin import Origin, path_of
from taxiway.packaging.packing import package

from .conftest import Packaged, Weather
from .forging import Forgery, tree


def test_an_imported_model_is_the_exported_one_and_is_told_as_imported(
    elsewhere: Path, packaged: Packaged, taxiway_home: Path
) -> None:
    imported = transfer.import_model(elsewhere, by="ann (cli)")
    assert imported.new
    assert imported.model.path.is_relative_to(taxiway_home)
    assert imported.model.manifest == packaged.model.manifest
    assert registry.load("rain").manifest == packaged.model.manifest
    theirs = {path.name: path.read_bytes() for path in packaged.model.path.iterdir()}
    assert {path.name: path.read_bytes() for path in imported.model.path.iterdir()} == theirs
    origin = Origin.of("rain", imported.model.version)
    assert origin is not None
    assert (origin.source, origin.by) == (str(elsewhere), "ann (cli)")
    assert Origin.of("rain", "0" * 12) is None


def test_an_imported_model_predicts_as_the_original(elsewhere: Path, weather: Any, classifier: Any) -> None:
    model = transfer.import_model(elsewhere).model
    rows = weather.inputs.iloc[::25]
    assert model.predict(rows)["label"].tolist() == classifier.predict(rows).tolist()


def test_an_imported_model_is_not_ready_until_it_was_tried_here(elsewhere: Path) -> None:
    """Its own word that all checks passed is not taken for it."""
    model = transfer.import_model(elsewhere).model
    assert model.checks["clean_replay"].result == "failed"
    assert [check.name for check in model.checks.blocking] == ["clean_replay"]
    assert model.tag in model.checks["clean_replay"].remedy
    with pytest.raises(PreflightError, match="imported"):
        model.checks.require(model.tag)
    path_of(model.name, model.version).write_text("damaged")
    assert not model.checks.ok


def test_importing_what_is_there_writes_nothing(elsewhere: Path, taxiway_home: Path) -> None:
    transfer.import_model(elsewhere)
    before = tree(taxiway_home)
    again = transfer.import_model(elsewhere)
    assert not again.new
    assert tree(taxiway_home) == before


def test_a_model_packaged_here_does_not_become_an_imported_one(exported: Path, packaged: Packaged) -> None:
    assert not transfer.import_model(exported).new
    assert Origin.of(packaged.model.name, packaged.model.version) is None


def test_a_damaged_model_is_mended_by_importing_it(elsewhere: Path) -> None:
    model = transfer.import_model(elsewhere).model
    (model.path / "model.onnx").write_bytes(b"")
    assert transfer.import_model(elsewhere).new
    registry.load("rain")


def test_an_import_brings_no_preflight_of_this_place(
    elsewhere: Path, taxiway_home: Path, packaged: Packaged
) -> None:
    record = taxiway_home / "store" / "preflights" / "rain" / f"{packaged.model.version}.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"ok": true, "checks": []}')  # of one that was here before
    transfer.import_model(elsewhere)
    assert not record.exists()


def test_the_same_model_gives_the_same_bytes_in_any_process(exported: Path, tmp_path: Path) -> None:
    code = "import sys; from taxiway.packaging import transfer; transfer.export('rain', sys.argv[1])"
    written = []
    for seed in ("1", "2"):
        target = tmp_path / f"{seed}.taxiway"
        variables = {**environment(), "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, str(target)], env=variables, check=True)
        written.append(target.read_bytes())
    assert written[0] == written[1] == exported.read_bytes()


def test_any_tar_reads_it(exported: Path, packaged: Packaged, tmp_path: Path) -> None:
    folder = tmp_path / "read"
    folder.mkdir()
    subprocess.run(["tar", "-xf", str(exported), "-C", str(folder)], check=True)
    packaged.model.manifest.verify(folder)


def test_what_no_import_would_read_is_not_exported(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = transfer.import_model(elsewhere).model
    monkeypatch.setattr(archive, "MANIFEST_LIMIT", 100)
    with pytest.raises(PackagingError, match=r"its \S+\.json takes .*B, and an import reads 100 B"):
        transfer.export(model, tmp_path)
    assert not any(tmp_path.glob("*taxiway*"))


def test_every_extra_that_a_message_names_exists() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert set(transfer.EXTRAS.values()) <= project["project"]["optional-dependencies"].keys()
    assert any(name.startswith("fsspec") for name in project["project"]["dependencies"])


def test_what_is_packaged_here_takes_the_place_of_an_import(
    elsewhere: Path, packaged: Packaged, weather: Weather, classifier: Any, tmp_path: Path
) -> None:
    """What an archive reports of itself, here false answers to the sample, is not covered by its version."""
    forgery = Forgery.of(packaged.model)
    sample = json.loads(forgery.files["sample.json"])
    sample["outputs"] = sample["original"] = {name: [0] * 20 for name in sample["outputs"]}
    forgery.put("sample.json", json.dumps(sample).encode())
    given = tmp_path / "forged.taxiway"
    given.write_bytes(forgery.packed())
    imported = transfer.import_model(given).model
    assert imported.version == packaged.model.version
    own = package(
        classifier,
        name="rain",
        reference=weather.inputs,
        target=weather.rain,
        metrics={"accuracy": 0.7},
        replay=False,
    )
    assert own.version == imported.version
    assert own.origin is None
    assert own.sample() == packaged.model.sample()
    assert [model.tag for model in registry.list_models()] == [own.tag]


def test_an_import_for_which_there_is_no_room_is_refused_before_it_is_read(
    elsewhere: Path, taxiway_home: Path, packaged: Packaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=packaged.model.size_bytes - 1))
    with pytest.raises(PackagingError, match="free"):
        transfer.import_model(elsewhere)
    assert registry.list_models() == []


@pytest.mark.parametrize("moment", [0.1, 0.5, 1.0])
def test_a_killed_import_leaves_no_model_and_the_next_succeeds(
    elsewhere: Path, taxiway_home: Path, moment: float
) -> None:
    code = (
        "import os, signal, sys; from taxiway.packaging import transfer\n"
        "def at(done, total):\n"
        "    if done >= total * float(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "transfer.import_model(sys.argv[1], progress=at)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(elsewhere), str(moment)],
        env=dict(os.environ) | environment(),
        check=False,
    )
    assert done.returncode == -9
    assert registry.list_models() == []
    assert transfer.import_model(elsewhere).new
    assert list((taxiway_home / "store" / ".staging").rglob("stage-*")) == []


def test_a_name_too_long_for_an_archive_is_said(
    packaged: Packaged, taxiway_home: Path, tmp_path: Path
) -> None:
    folder = registry.folder_of("rain", packaged.model.version)
    shutil.copytree(packaged.model.path, folder)
    (folder / "sources").mkdir()
    (folder / "sources" / ("a" * 200)).write_text("x")
    forgery = Forgery.of(packaged.model)
    forgery.put(f"sources/{'a' * 200}", b"x")
    (folder / FILE).write_bytes(forgery.sealed())
    with pytest.raises(TaxiwayError, match="too long"):
        transfer.export("rain", tmp_path / "x.taxiway")
    assert not (tmp_path / "x.taxiway").exists()
