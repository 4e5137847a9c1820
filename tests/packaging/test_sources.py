"""The source of a model's own modules goes along, and nothing else does."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

import taxiway
from taxiway.errors import PackagingError
from taxiway.packaging import environment, sources
from taxiway.packaging.git import Tree, tree_of

from .conftest import NUMERIC, Weather

FILES = {
    "own_rain/__init__.py": "from .model import Rain\n",
    "own_rain/model.py": (
        "from sklearn.pipeline import Pipeline\n"
        "import own_words\n"
        "from .deep.more import FACTOR\n"
        "from own_rain import deep\n"
        "class Rain(Pipeline):\n"
        "    def tell(self):\n"
        "        import httpx\n"
    ),
    "own_rain/deep/__init__.py": "",
    "own_rain/deep/more.py": "import json\nFACTOR = 2\n",
    "own_rain/unused.py": "raise RuntimeError('never imported')\n",
    "own_rain/data.csv": "a,b\n",
    "own_words.py": "try:\n    import own_missing\nexcept ImportError:\n    pass\n",
    "secrets.txt": "password\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a package and a module beside a notebook, imported as the notebook does."""
    folder = tmp_path / "project"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    before = set(sys.modules)
    monkeypatch.syspath_prepend(folder)
    importlib.import_module("own_rain")
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


def test_local_modules_and_what_they_import_are_collected(project: Path) -> None:
    found = sources.collect(["own_rain", "sklearn"])
    assert sorted(found) == [
        "own_rain/__init__.py",
        "own_rain/deep/__init__.py",
        "own_rain/deep/more.py",
        "own_rain/model.py",
        "own_words.py",
    ]
    assert all(found[name] == (project / name).read_bytes() for name in found)
    assert sources.collect(["own_rain.model"]) == found
    assert sources.collect(["own_words"]).keys() == {"own_words.py"}
    assert sources.collect(["sklearn", "json", "taxiway.errors"]) == {}


def test_what_local_modules_import_is_needed_too(project: Path) -> None:
    found = environment.record(["own_rain.model"], {})
    assert {"httpx", "scikit-learn", "httpcore"} <= found.needed.keys()
    assert set(found.local) == {"own_rain", "own_words"}
    assert found.loose == {}


def test_cells_of_the_notebook_and_code_without_source_are_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = type(sys)("own_compiled")
    compiled.__file__ = str(project / "own_compiled.so")
    monkeypatch.setitem(sys.modules, "own_compiled", compiled)
    found = environment.record(["__main__", "own_compiled", "own_gone"], {})
    assert found.loose == {
        "__main__": "it is defined in the notebook's own cells",
        "own_compiled": "it has no source file",
        "own_gone": "it is not imported here",
    }
    assert sources.collect(["__main__", "own_compiled", "own_gone"]) == {}


def test_a_link_that_leads_out_of_the_modules_folder_is_not_followed(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("SECRET = 'do not copy'\n")
    (project / "own_rain" / "linked.py").symlink_to(outside)
    (project / "own_link.py").symlink_to(outside)
    importlib.import_module("own_rain.linked")
    importlib.import_module("own_link")
    assert not any(b"SECRET" in data for data in sources.collect(["own_rain", "own_link"]).values())
    assert set(sources.follow(["own_rain", "own_link"]).loose) == {"own_rain.linked", "own_link"}


def test_a_module_that_names_a_file_elsewhere_is_not_collected(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("SECRET = 'do not copy'\n")
    sys.modules["own_rain.model"].__file__ = str(outside)
    assert not any(b"SECRET" in data for data in sources.collect(["own_rain"]).values())


def test_sources_that_are_too_large_are_refused_by_name(
    project: Path, taxiway_home: Path, weather: Weather
) -> None:
    (project / "own_rain" / "deep" / "more.py").write_text("DATA = '" + "x" * sources.MOST_BYTES + "'\n")
    model = rain(weather)
    with pytest.raises(PackagingError, match=r"too large to go along: 'own_rain'.*5 MB") as caught:
        taxiway.package(model, name="rain", reference=weather.inputs[NUMERIC])
    assert "module of their own" in caught.value.hint
    assert list(taxiway_home.iterdir()) == []


def rain(weather: Weather) -> Pipeline:
    """A Pipeline of a class of the project's own."""
    model = sys.modules["own_rain"].Rain([("model", LogisticRegression(max_iter=1000))])
    return model.fit(weather.inputs[NUMERIC], weather.rain)


def test_the_source_of_a_models_class_is_kept_with_it_and_makes_its_version(
    project: Path, taxiway_home: Path, weather: Weather
) -> None:
    git(project, "init", "-q")
    git(project, "add", "own_rain/__init__.py")
    git(project, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    first, again = (
        taxiway.package(rain(weather), name="rain", reference=weather.inputs[NUMERIC], replay=False)
        for _ in range(2)
    )
    assert first == again
    kept = first.path / "sources"
    assert (kept / "own_rain" / "deep" / "more.py").read_text() == FILES["own_rain/deep/more.py"]
    assert sum(path.is_file() for path in kept.rglob("*")) == 5
    assert "sources/own_words.py" in first.manifest.files
    assert set(first.environment.local) == {"own_rain", "own_words"}
    assert first.environment.trees["own_rain"] == tree_of(project)
    lock = first.checks["environment_locked"]
    assert lock.result == "passed"
    assert "the source of own_rain" in lock.reason
    assert "changed since its last commit" in lock.reason
    assert first.check_environment().verdict == "same"
    taxiway.load(first.tag)
    (project / "own_rain" / "deep" / "more.py").write_text("FACTOR = 3\n")
    other = taxiway.package(rain(weather), name="rain", reference=weather.inputs[NUMERIC], replay=False)
    assert other.version != first.version


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def test_a_work_tree_is_clean_dirty_or_none(tmp_path: Path) -> None:
    assert tree_of(tmp_path) is None
    assert tree_of(tmp_path / "gone") is None
    git(tmp_path, "init", "-q")
    assert tree_of(tmp_path) == Tree(None, dirty=False)
    (tmp_path / "a.py").write_text("1")
    assert tree_of(tmp_path) == Tree(None, dirty=True)
    git(tmp_path, "add", "a.py")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    tree = tree_of(tmp_path)
    assert tree is not None
    assert not tree.dirty
    assert len(tree.commit or "") == 40
    (tmp_path / "a.py").write_text("2")
    assert tree_of(tmp_path) == Tree(tree.commit, dirty=True)
