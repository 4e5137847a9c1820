"""The rows of the reference that a Model keeps, for comparing live rows with them as wholes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from taxiway.errors import CorruptionError
from taxiway.packaging.parity import spread

if TYPE_CHECKING:
    import pandas as pd

FILE = "reference.parquet"
MOST_ROWS = 1000


def drawn(frame: pd.DataFrame, hidden: Collection[str]) -> pd.DataFrame | None:
    """Give up to 1,000 rows, evenly spread, without the columns named; None if no column is left."""
    shown = frame[[name for name in frame.columns if name not in hidden]]
    return shown.iloc[spread(len(shown), MOST_ROWS)].reset_index(drop=True) if len(shown.columns) else None


def write(rows: pd.DataFrame, folder: Path) -> None:
    """Write them as Parquet; a column of mixed types as text."""
    import pandas as pd
    import pyarrow as pa

    plain = rows.copy()
    for name in plain.columns:
        try:
            pa.Array.from_pandas(plain[name])
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            plain[name] = pd.Series(plain[name].astype(object)).map(str, na_action="ignore")
    plain.to_parquet(folder / FILE, index=False)


def read(folder: Path) -> pd.DataFrame:
    """Read what ``write`` wrote.

    Raises
    ------
    CorruptionError
        The file cannot be read.
    """
    import pandas as pd
    import pyarrow as pa

    try:
        return pd.read_parquet(folder / FILE)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CorruptionError(
            f"{FILE} of {folder} cannot be read: {error}.", hint="Package the model again."
        ) from error
