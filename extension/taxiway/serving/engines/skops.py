"""A scikit-learn estimator in ``model.skops``: an archive of arrays and names of types, none of it a pickle.

Only types that skops trusts itself, and those that the user has named, are ever made from it.
"""

from __future__ import annotations

import contextlib
import sys
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.serving.block import Tensor
from taxiway.serving.engines import EngineError
from taxiway.serving.engines.estimator import ask
from taxiway.serving.engines.hardware import only_on_cpu

if TYPE_CHECKING:
    import pandas as pd

FILE = "model.skops"
SCHEMA = "schema.json"
_MAGIC = {".npy": b"\x93NUMPY", ".npz": b"PK\x03\x04"}
#: Of Python's own types: they hold, or call, only what must be trusted itself.
_HARMLESS = frozenset(("collections.OrderedDict", "collections.defaultdict", "functools.partial"))
#: Folders of what is installed.
_PACKAGES = frozenset(("site-packages", "dist-packages"))
_PICKLERS = frozenset(("cloudpickle", "dill", "joblib"))


def refused(name: str) -> bool:
    """Whether a type may not be trusted, whoever says so: Python's own modules, and what loads pickles."""
    root = name.partition(".")[0]
    own = root in sys.stdlib_module_names or root == "builtins"
    return (own and name not in _HARMLESS) or root in _PICKLERS or "pickle" in name.lower()


def check_archive(path: Path) -> None:
    """Raise EngineError if the file is anything but a skops archive of arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if SCHEMA not in names or len(set(names)) != len(names):
                raise EngineError(f"{path.name} is no skops file")
            for name in names:
                magic = _MAGIC.get(Path(name).suffix, b"")
                with archive.open(name) as member:
                    if name != SCHEMA and (not magic or member.read(len(magic)) != magic):
                        raise EngineError(f"{path.name} holds {name!r}, which is no array")
    except (OSError, zipfile.BadZipFile) as error:
        raise EngineError(f"{path.name} is no skops file: {error}") from error


class SkopsEngine:
    """An estimator asked with a DataFrame as it was fitted on.

    Parameters
    ----------
    directory
        Where ``model.skops`` lies; ``sources`` beside it holds the modules of the user's own types.
    options
        ``trusted``: names of types; ``named``: whether it was fitted on a DataFrame; ``columns``: name,
        tensor dtype and pandas dtype of each column.
    threads
        Not used: an estimator has its own parameter for that.
    device
        The CPU, whatever it is called.
    """

    def __init__(
        self, directory: Path, options: Mapping[str, Any], threads: int, device: str = "cpu"
    ) -> None:
        del threads
        only_on_cpu(device, "scikit-learn's own models")
        try:
            import skops.io
        except ImportError as error:
            raise EngineError(f"{FILE} needs {error.name}, which is missing here") from error
        trusted = [str(name) for name in options.get("trusted", ())]
        for name in filter(refused, trusted):
            raise EngineError(f"{FILE} asks to trust {name}, which could run any program")
        check_archive(directory / FILE)
        try:
            with _reachable(directory / "sources", trusted):
                self._model = skops.io.load(directory / FILE, trusted=trusted)
        except EngineError:
            raise
        except Exception as error:
            # skops raises many unrelated classes, each of which means the same here.
            raise EngineError(f"{FILE} cannot be loaded: {error}") from error
        self._named = bool(options.get("named", True))
        self._columns = [Reading(**column) for column in options["columns"]]
        self.inputs: dict[str, np.dtype[Any]] = {one.name: np.dtype(one.tensor) for one in self._columns}

    def run(self, tensors: Mapping[str, Tensor], wanted: Sequence[str]) -> list[Tensor]:
        """Ask the estimator; see ``Engine``."""
        import pandas as pd

        frame = pd.DataFrame({one.name: one.series(tensors[one.name].reshape(-1)) for one in self._columns})
        answers = ask(self._model, frame if self._named else frame.to_numpy(), wanted)
        return [answers[name] for name in wanted]


class Reading:
    """How one tensor becomes a column of the DataFrame.

    Parameters
    ----------
    tensor
        The NumPy dtype of the tensor.
    dtype
        The pandas dtype of the column; ``category`` has ``categories``.
    missing
        What the empty text stands for: ``none``, ``nan``, or itself if that is None.
    """

    __slots__ = ("categories", "dtype", "missing", "name", "tensor")

    def __init__(
        self, name: str, tensor: str, dtype: str, categories: list[Any] | None, missing: str | None
    ) -> None:
        self.name, self.tensor, self.dtype = name, tensor, dtype
        self.categories, self.missing = categories, missing

    def series(self, values: Tensor) -> pd.Series[Any]:
        """Make the column."""
        import pandas as pd

        if self.missing is not None:
            values = np.where(
                values == "", np.array(None if self.missing == "none" else np.nan, object), values
            )
        if self.categories is not None:
            return pd.Series(pd.Categorical(values, categories=self.categories))
        series: pd.Series[Any] = pd.Series(values).astype(self.dtype)  # type: ignore[call-overload]
        return series


@contextlib.contextmanager
def _reachable(sources: Path, trusted: Sequence[str]) -> Iterator[None]:
    """Let the Model's own modules be imported from its sources while it is loaded, and no longer.

    Nothing is reachable unless a type of one of them is trusted, and never what would hide a module that is
    installed. All are imported, for one may ask for another only when it is called.

    Raises
    ------
    EngineError
        This process has a module of that name with other content.
    """
    there = sorted({path.stem for path in sources.glob("*") if path.is_dir() or path.suffix == ".py"})
    own = [name for name in there if name.isidentifier() and not _is_installed(name)]
    if not set(own) & {name.partition(".")[0] for name in trusted}:
        yield
        return
    for name in own:
        _check_same(sources, name)
    finder = _Own(sources, own)
    sys.meta_path.insert(0, finder)
    try:
        yield
        for name in own:
            with contextlib.suppress(ImportError):
                import_module(name)
    finally:
        sys.meta_path.remove(finder)


class _Own(MetaPathFinder):
    """Finds the named top-level modules in one folder; what lies in them is found by their own paths."""

    def __init__(self, folder: Path, names: Collection[str]) -> None:
        self._folder, self._names = str(folder), frozenset(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one; see ``importlib.abc.MetaPathFinder``."""
        if path is not None or fullname not in self._names:
            return None
        return PathFinder.find_spec(fullname, [self._folder], target)


def _is_installed(name: str) -> bool:
    """Whether a top-level module is Python's own or comes from a distribution."""
    if name in sys.stdlib_module_names:
        return True
    return any(_PACKAGES & set(place.parts) for place in _places(name))


def _places(name: str) -> list[Path]:
    """Give the file or folders that a top-level module was, or would be, imported from."""
    module = sys.modules.get(name)
    spec = PathFinder.find_spec(name) if module is None else None
    file = spec.origin if spec is not None else getattr(module, "__file__", None)
    if file is not None:
        return [Path(file)]
    inside = spec.submodule_search_locations if spec is not None else getattr(module, "__path__", None)
    return [Path(entry) for entry in inside or ()]


def _check_same(sources: Path, name: str) -> None:
    if name not in sys.modules:
        return
    for place in _places(name):
        package = (sources / name).is_dir()
        folder = place if place.is_dir() else place.parent
        theirs = sorted((sources / name).rglob("*.py")) if package else [sources / f"{name}.py"]
        for path in theirs:
            other = folder / path.relative_to(sources / name if package else sources)
            if not other.is_file() or other.read_bytes() != path.read_bytes():
                raise EngineError(
                    f"{FILE} needs its own {path.relative_to(sources)}, but this process has imported "
                    f"{name!r} from {place}, which differs: open the model in a new process"
                )
