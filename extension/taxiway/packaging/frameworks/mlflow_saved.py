"""A folder that MLflow wrote: its ``MLmodel`` says what the model is; MLflow itself is not imported.

What the folder says is not believed where it would run code: classes are looked up among those named
here, types that a skops file asks to trust must be trusted by the caller, and a pickle is never opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from taxiway.errors import PackagingError
from taxiway.packaging import frameworks
from taxiway.packaging.frameworks import Adapter, Options
from taxiway.packaging.frameworks.extras import need
from taxiway.packaging.frameworks.saved import is_pickle, refuse_pickle

_XGBOOST = ("Booster", "XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor", "XGBRanker")
_CATBOOST = ("CatBoost", "CatBoostClassifier", "CatBoostRegressor")
#: Types of the libraries themselves that MLflow writes with skops; loading them runs only their own code.
_LIGHTGBM = frozenset(
    (
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
    )
)


def adapter_for(folder: Path, options: Options) -> Adapter:
    """Open the model of the first flavour that needs no pickle.

    Raises
    ------
    PackagingError
        There is none, or its file is not what it should be.
    """
    flavors = _flavors(folder)
    for name, load in _LOADERS.items():
        if name in flavors:
            return frameworks.adapter_for(load(folder, flavors[name], options), options)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and is_pickle(path):
            raise refuse_pickle(path, f"The model in {folder}")
    raise PackagingError(
        f"The model in {folder} has none of the flavours that Taxiway opens: it has {', '.join(flavors)}.",
        hint=f"Taxiway opens {', '.join(_LOADERS)}.",
    )


def _flavors(folder: Path) -> dict[str, Mapping[str, Any]]:
    import yaml

    try:
        body = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        return {str(name): dict(flavor) for name, flavor in body["flavors"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise PackagingError(
            f"{folder / 'MLmodel'} cannot be read: {error}.", hint="Save the model with MLflow again."
        ) from error


def _file(folder: Path, name: Any) -> Path:
    """Give a file of the folder that is no pickle."""
    path = folder / str(name)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise PackagingError(f"MLmodel names {name}, which lies outside {folder}.", hint="Do not use it.")
    if not path.exists():
        raise PackagingError(f"MLmodel names {name}, which is not there.", hint="Save the model again.")
    for part in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if part.is_file() and is_pickle(part):
            raise refuse_pickle(part, f"The model in {folder}")
    return path


def _onnx(folder: Path, flavor: Mapping[str, Any], options: Options) -> Any:
    del options
    return _file(folder, flavor.get("data"))


def _xgboost(folder: Path, flavor: Mapping[str, Any], options: Options) -> Any:
    del options
    path = _file(folder, flavor.get("data"))
    library = need("xgboost")
    model = _class(library, flavor.get("model_class"), _XGBOOST)()
    if path.suffix not in (".ubj", ".json"):
        raise PackagingError(
            f"{path.name} is neither UBJSON nor JSON.", hint="Save it with model_format='ubj'."
        )
    return _loaded(path, model)


def _lightgbm(folder: Path, flavor: Mapping[str, Any], options: Options) -> Any:
    path = _file(folder, flavor.get("data"))
    library = need("lightgbm")
    if path.suffix == ".skops":
        return _skops(path, _LIGHTGBM, options)
    try:
        return library.Booster(model_file=str(path))
    except library.basic.LightGBMError as error:
        raise _broken(path, error) from error


def _catboost(folder: Path, flavor: Mapping[str, Any], options: Options) -> Any:
    del options
    path = _file(folder, flavor.get("data"))
    library = need("catboost")
    kind = str(flavor.get("save_format"))
    if kind not in ("cbm", "json"):
        raise PackagingError(f"{path.name} is of the format {kind}.", hint="Save it as cbm or json.")
    return _loaded(path, _class(library, flavor.get("model_type"), _CATBOOST)(), format=kind)


def _sklearn(folder: Path, flavor: Mapping[str, Any], options: Options) -> Any:
    return _skops(_file(folder, flavor.get("pickled_model")), frozenset(), options)


def _keras(folder: Path, flavor: Mapping[str, Any], options: Options) -> Any:
    del options
    data = _file(folder, flavor.get("data") or flavor.get("saved_model_dir"))
    for path in (data, data / "model"):
        if (path / "saved_model.pb").is_file():
            return path
    path = data / "model.keras"
    if not path.is_file():
        raise PackagingError(f"There is no Keras model in {data}.", hint="Save the model with MLflow again.")
    try:
        # safe_mode refuses a Lambda layer, whose code would lie in the file
        return need("keras").models.load_model(path, compile=False, safe_mode=True)
    except PackagingError:
        raise
    except Exception as error:
        # Keras raises many unrelated classes, each of which means the same here.
        raise _broken(path, error) from error


_LOADERS: dict[str, Callable[[Path, Mapping[str, Any], Options], Any]] = {
    "onnx": _onnx,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "catboost": _catboost,
    "sklearn": _sklearn,
    "tensorflow": _keras,
    "keras": _keras,
}


def _class(library: Any, given: Any, known: tuple[str, ...]) -> Any:
    name = str(given).rpartition(".")[2]
    if name not in known:
        raise PackagingError(f"MLmodel names the class {given}.", hint=f"Taxiway opens {', '.join(known)}.")
    return getattr(library, name)


def _loaded(path: Path, model: Any, **more: Any) -> Any:
    try:
        model.load_model(str(path), **more)
    except Exception as error:
        # libraries raise many unrelated classes, each of which means the same here.
        raise _broken(path, error) from error
    return model


def _skops(path: Path, known: frozenset[str], options: Options) -> Any:
    from taxiway.serving.engines import EngineError
    from taxiway.serving.engines.skops import check_archive, refused

    if path.suffix != ".skops":
        raise PackagingError(
            f"{path.name} is no skops file.", hint="Save it with serialization_format='skops'."
        )
    skops = need("skops.io")
    try:
        check_archive(path)
        types = sorted(set(skops.get_untrusted_types(file=path)) - known)
        forbidden = [name for name in types if refused(name)]
        missing = [name for name in types if name not in options.trust]
        if not forbidden and not missing:
            return skops.load(path, trusted=[*known, *types])
    except EngineError as error:
        raise PackagingError(f"{error}.", hint="Do not use it.") from error
    except Exception as error:
        # skops raises many unrelated classes, each of which means the same here.
        raise _broken(path, error) from error
    if forbidden:
        raise PackagingError(
            f"{path.name} asks to trust {', '.join(forbidden)}, which could run any program.",
            hint="Do not use it.",
        )
    raise PackagingError(
        f"{path.name} holds types whose code runs when it is loaded: {', '.join(missing)}.",
        hint=f"Read their code, then say so: taxiway.package({str(path.parent)!r}, ..., trust={types}).",
    )


def _broken(path: Path, error: Exception) -> PackagingError:
    reason = str(error).strip().partition("\n")[0][:200]
    return PackagingError(
        f"{path.name} cannot be loaded: {reason}.", hint="Save the model with MLflow again."
    )
