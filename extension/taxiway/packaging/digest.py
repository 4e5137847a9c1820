"""SHA-256 digests of files, of values and of data frames."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def of_bytes(data: bytes) -> str:
    """Give the SHA-256 of ``data``, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    """Give the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_files(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Give relative path → SHA-256 for files of ``folder``, in name order."""
    return {name: of_file(folder / name) for name in sorted(names)}


def of_value(value: Mapping[str, Any]) -> str:
    """Give the SHA-256 of a JSON value in its canonical form (sorted keys, no spaces)."""
    return of_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def of_frame(frame: pd.DataFrame, *more: pd.Series[Any] | None) -> str:
    """Give the SHA-256 of the values, column names and dtypes of a frame and of further columns.

    The index does not count. Values are hashed by ``pandas.util.hash_pandas_object``.
    """
    import pandas as pd

    state = hashlib.sha256()
    columns = [frame[name] for name in frame.columns] + [series for series in more if series is not None]
    for column in columns:
        state.update(f"{column.name}\0{column.dtype}\0".encode())
        state.update(pd.util.hash_pandas_object(column, index=False).to_numpy().tobytes())
    return state.hexdigest()
