"""No product code pickles, or loads a pickle: a model file never runs code.

What is looked at is the wheel, as hatchling would build it, beside the sources.
"""

from __future__ import annotations

import ast
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_iris

import taxiway
from taxiway.errors import PackagingError, TaxiwayError
from taxiway.packaging.model import Model
from taxiway.serving.engines import EngineError, open_engine
from taxiway.serving.runtime import ModelError, Runtime

from .conftest import Packaged

ROOT = Path(__file__).parents[2]
#: Modules that pickle, or whose loaders do.
FORBIDDEN = {
    *("pickle", "cPickle", "_pickle", "pickletools", "marshal", "shelve", "copyreg", "_compat_pickle"),
    *("joblib", "cloudpickle", "dill", "jsonpickle", "mlflow"),
}
#: Functions that pickle, or open a pickle, under other names.
CALLS = {"read_pickle", "to_pickle", "pickle_load", "unsafe_load", "full_load", "Unpickler", "Pickler"}


def in_the_wheel() -> list[Path]:
    """Every file that hatchling would put into the wheel."""
    from hatchling.builders.wheel import WheelBuilder

    builder = WheelBuilder(str(ROOT))
    return sorted(Path(file.path) for file in builder.recurse_included_files())


def sources() -> list[Path]:
    return sorted(path for folder in ("extension", "backends") for path in (ROOT / folder).rglob("*.py"))


def offences(source: str) -> list[str]:
    """Everything in a module that pickles, or could."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            own = (node.module or "taxiway").startswith("taxiway")
            names = [node.module or "", *(alias.name for alias in node.names if not own)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value] if _is_imported_by_name(node.value) else []
        elif isinstance(node, ast.Attribute):
            names = [node.attr] if node.attr in CALLS | FORBIDDEN else []
        elif isinstance(node, ast.Name):
            names = [node.id] if node.id in CALLS else []
        elif isinstance(node, ast.keyword) and _is_unsafe(node):
            found.append(f"line {node.value.lineno}: {node.arg}")
        for name in names:
            if name.partition(".")[0] in FORBIDDEN or name in CALLS:
                found.append(f"line {node.lineno}: {name}")
    return found


def _is_imported_by_name(text: str) -> bool:
    """Whether a text is a module's name with a part of it: ``joblib.load``, but not the word alone."""
    root, dot, rest = text.partition(".")
    return bool(dot) and root in FORBIDDEN and rest.replace(".", "").isidentifier()


def _is_unsafe(node: ast.keyword) -> bool:
    """``allow_pickle`` and ``weights_only`` and ``safe_mode`` have one safe value each."""
    safe = {"allow_pickle": False, "weights_only": True, "safe_mode": True}
    if node.arg not in safe:
        return False
    return not isinstance(node.value, ast.Constant) or node.value.value is not safe[node.arg]


def test_no_module_of_the_wheel_pickles() -> None:
    modules = [path for path in in_the_wheel() if path.suffix == ".py"]
    assert {path for path in sources() if "labextension" not in path.parts} <= set(modules)
    guilty = {
        str(path.relative_to(ROOT)): found
        for path in modules
        if (found := offences(path.read_text(encoding="utf-8")))
    }
    assert guilty == {}


def test_no_file_of_the_wheel_is_a_pickle() -> None:
    from taxiway.packaging.frameworks.saved import is_pickle

    suffixes = {
        ".py",
        ".json",
        ".js",
        ".map",
        ".txt",
        ".css",
        ".typed",
        ".mako",
        ".svg",
        ".ts",
        ".tsx",
        ".md",
        ".lock",
    }
    for path in in_the_wheel():
        assert not is_pickle(path), path
        assert path.suffix in suffixes or path.name in ("LICENSE", "Dockerfile"), (
            f"{path} is of no kind that is looked at"
        )


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import cloudpickle as c",
        "import_module('dill._dill')",
        "numpy.load(path, allow_pickle=True)",
        "numpy.load(path, allow_pickle=flag)",
        "torch.load(path, weights_only=False)",
        "keras.models.load_model(path, safe_mode=False)",
        "pandas.read_pickle(path)",
        "sklearn.utils.joblib",
        "yaml.unsafe_load(text)",
        "from mlflow.sklearn import load_model",
    ],
)
def test_what_is_looked_for_would_be_found(source: str) -> None:
    assert offences(source)


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.fixture(params=[0, 2, 5], ids="protocol {}".format)
def smuggled(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    """A pickle that would leave ``it-ran`` in the test's folder."""
    ran = tmp_path / "it-ran"
    content = pickle.dumps(Payload(ran), protocol=request.param)
    pickle.loads(content)  # so that the payload is known to work
    ran.rmdir()
    return content


def assert_it_did_not_run(tmp_path: Path) -> None:
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("name", ["model.onnx", "model.pkl", "model.joblib", "model", "model.skops"])
def test_a_pickle_of_any_name_is_not_packaged(
    taxiway_home: Path, tmp_path: Path, smuggled: bytes, name: str
) -> None:
    (tmp_path / name).write_bytes(smuggled)
    inputs, _ = load_iris(return_X_y=True, as_frame=True)
    with pytest.raises(PackagingError) as refused:
        taxiway.package(tmp_path / name, name="smuggled", reference=inputs)
    assert refused.value.hint
    assert_it_did_not_run(tmp_path)
    assert taxiway.models() == []


@pytest.mark.parametrize("runtime", ["onnx", "skops"])
def test_no_engine_opens_a_pickle(tmp_path: Path, smuggled: bytes, runtime: str) -> None:
    (tmp_path / f"model.{runtime}").write_bytes(smuggled)
    with pytest.raises(EngineError):
        open_engine(tmp_path, runtime, {"columns": []})
    assert_it_did_not_run(tmp_path)


@pytest.mark.parametrize("how", ["altered", "added"])
def test_a_pickle_in_a_models_folder_is_found(
    packaged: Packaged, tmp_path: Path, smuggled: bytes, how: str
) -> None:
    import shutil

    folder = tmp_path / "rain"
    shutil.copytree(packaged.model.path, folder)
    name = "model.onnx" if how == "altered" else "extra.pkl"
    (folder / name).chmod(0o644) if how == "altered" else None
    (folder / name).write_bytes(smuggled)
    with pytest.raises(TaxiwayError, match=name):
        Model(packaged.model.manifest, folder).manifest.verify(folder)
    if how == "altered":
        with pytest.raises(ModelError):
            Runtime(folder)
    assert_it_did_not_run(tmp_path)
