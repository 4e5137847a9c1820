"""Where a Model comes from: the notebook, a digest of its cells and never their text, git, and the data."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

import taxiway
from taxiway.packaging import lineage, notebook

from .conftest import Packaged

SECRET = "the text of a cell that nobody may keep"
CELLS = [
    f"note = {SECRET!r}",
    "%config InlineBackend.figure_format = 'svg'",
    """
from tests.packaging.conftest import columns_of_weather
from sklearn.tree import DecisionTreeClassifier
import taxiway
inputs = columns_of_weather()[["wind", "month"]]
model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(inputs, inputs["wind"] > 3)
packaged = taxiway.package(model, name="windy", reference=inputs, replay=False)
""".strip(),
]


def written(folder: Path, cells: list[str]) -> Path:
    body = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    body.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / "windy.ipynb"
    nbformat.write(body, path)
    return path


def executed(path: Path, monkeypatch: pytest.MonkeyPatch, **environment: str) -> Any:
    """Run a notebook in a kernel of this Python by papermill; give the Model that it packaged."""
    root = Path(__file__).parents[2]
    paths = [str(root / "extension"), str(root / "backends"), str(root)]
    monkeypatch.setenv("PYTHONPATH", ":".join(paths))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    papermill.execute_notebook(
        str(path), str(path.with_name("out.ipynb")), cwd=str(path.parent), progress_bar=False
    )
    return taxiway.models("windy")[0]


@pytest.mark.filterwarnings("default")
def test_a_notebook_run_by_papermill_leaves_a_digest_of_its_cells_and_not_their_text(
    taxiway_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    path = written(tmp_path, CELLS)
    run = tmp_path / "run-7"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"notebook": str(path), "parameters": {}}))
    model = executed(path, monkeypatch, TAXIWAY_RUN_DIR=str(run))
    content = json.dumps(CELLS, separators=(",", ":")).encode()
    assert model.lineage.cells == len(CELLS)
    assert model.lineage.cells_digest == hashlib.sha256(content).hexdigest()
    assert model.lineage.notebook == str(path)
    assert (model.lineage.git_commit, model.lineage.git_dirty) == (None, True)
    assert len(model.lineage.data_digest) == 64
    assert model.lineage.run == "run-7"
    assert "windy" in (run / "packaged.jsonl").read_text()
    kept = [file for file in taxiway_home.rglob("*") if file.is_file()]
    assert len(kept) > 20
    assert [file for file in kept if SECRET.encode() in file.read_bytes()] == []


def test_a_program_has_no_cells(packaged_home: Packaged) -> None:
    assert packaged_home.model.lineage.cells is None
    assert packaged_home.model.lineage.cells_digest is None
    assert json.loads(json.dumps(packaged_home.model.to_detail()))["lineage"]["cells"] is None


def test_the_notebook_is_the_one_that_jupyter_or_vs_code_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("JPY_SESSION_NAME", "TAXIWAY_RUN_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert notebook.path() is None
    file = tmp_path / "a.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", str(file))
    assert notebook.path() is None, "it is not there"
    file.write_text("{}")
    assert notebook.path() == file
    other = tmp_path / "b.ipynb"
    other.write_text("{}")
    monkeypatch.setattr(sys.modules["__main__"], "__vsc_ipynb_file__", str(other), raising=False)
    assert notebook.path() == other


@pytest.mark.parametrize("content", [b"not json", b"{}", b'{"notebook": 3}', b"[]"])
def test_a_run_that_names_no_notebook_is_no_error(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setenv("TAXIWAY_RUN_DIR", str(tmp_path))
    (tmp_path / "run.json").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    found = lineage.trace("0" * 64)
    assert (found.notebook, found.git_commit, found.git_dirty) == (None, None, None)
    assert (found.run, found.data_digest) == (tmp_path.name, "0" * 64)
