"""A model that lies on the disk: what it is, is told by its files, and none that holds a pickle is opened."""

from __future__ import annotations

import zipfile
from pathlib import Path

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Adapter, Options, made

_PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pt", ".pth", ".bin", ".ckpt")
#: The first bytes of a pickle of protocol 2 and later: PROTO, and the protocol's number.
_PROTOCOLS = tuple(b"\x80" + bytes([number]) for number in range(2, 6))
_IN_NOTEBOOK = (
    "Load it in a notebook that trusts it, and package the object: taxiway.package(model, ...). "
    "Taxiway never opens a pickle."
)


def adapter_for(path: Path, options: Options) -> Adapter:
    """Choose the adapter of what lies at ``path``.

    Raises
    ------
    PackagingError
        Nothing is there, it is a pickle, or it is no model Taxiway knows.
    """
    if not path.exists():
        raise PackagingError(f"There is no model at {path}.", hint="Give the path of a file or folder.")
    if (path / "MLmodel").is_file():
        from taxiway.packaging.frameworks import mlflow_saved

        return mlflow_saved.adapter_for(path, options)
    if (path / "saved_model.pb").is_file():
        return made("keras", "KerasAdapter", path, options)
    if (path / "config.json").is_file():
        return made("huggingface", "adapter_for", path, options)
    if path.is_file() and path.suffix == ".onnx":
        from taxiway.packaging.frameworks.onnx_file import OnnxFileAdapter

        return OnnxFileAdapter(path, options)
    if path.is_file() and is_pickle(path):
        raise PackagingError(f"{path} is a pickle, which runs code when it is opened.", hint=_IN_NOTEBOOK)
    raise PackagingError(
        f"{path} is no model that Taxiway can open.",
        hint="It opens ONNX files (.onnx), and folders written by MLflow, transformers or as a SavedModel.",
    )


def refuse_pickle(path: Path, what: str) -> PackagingError:
    """Give the error that says which file is a pickle."""
    return PackagingError(
        f"{what} is a pickle ({path.name}), which runs code when opened.", hint=_IN_NOTEBOOK
    )


def is_pickle(path: Path) -> bool:
    """Whether a file is, or has, a pickle: by its first bytes, in an archive too, or else by its name."""
    with path.open("rb") as file:
        if file.read(2) in _PROTOCOLS:
            return True
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    if member.read(2) in _PROTOCOLS or name.endswith(".pkl"):
                        return True
    return path.suffix in _PICKLE_SUFFIXES
