"""Tables from where they lie: CSV, JSON or Parquet at any place that fsspec reaches, or a database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from taxiway.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_COMPRESSED = (".gz", ".bz2", ".xz", ".zip", ".zst")


def read_table(
    source: str,
    *,
    table: str | None = None,
    query: str | None = None,
    columns: Sequence[str] | None = None,
    texts: Sequence[str] = (),
) -> pd.DataFrame:
    """Read a table.

    Parameters
    ----------
    source
        A path or URL of a ``.csv``, ``.json`` (records), ``.jsonl`` or ``.parquet`` file, or the SQLAlchemy
        URL of a database.
    table, query
        Of a database, what to read: a table's name (``schema.name``), or a SELECT.
    columns
        Only these are read, of those there are; all if not given.
    texts
        Columns of a CSV that are texts even where they look like numbers: ``007`` is not 7.

    Raises
    ------
    InputError
        There is nothing to read, or not in a form that is known.
    """
    if table or query:
        if table and query:
            raise InputError("A table and a query were given.", hint="Give one of them.")
        return _read_database(source, table, query, columns)
    if "://" in source and _is_database(source):
        raise InputError(
            "It is a database.", hint="Say what to read of it: --table NAME or --query 'SELECT …'."
        )
    return _read_file(source, columns, texts)


def _is_database(source: str) -> bool:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        make_url(source).get_dialect()
    except (ArgumentError, NoSuchModuleError):
        return False
    except ImportError:  # a database whose driver is not installed
        return True
    return True


def _read_database(
    source: str, table: str | None, query: str | None, columns: Sequence[str] | None
) -> pd.DataFrame:
    import pandas as pd
    import sqlalchemy as sa

    try:
        url = sa.make_url(source)
        shown = url.render_as_string(hide_password=True)
        engine = sa.create_engine(url)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError) as error:
        raise InputError(
            "The source is no database's URL.", hint="Give one such as postgresql://user@host/name."
        ) from error
    except ImportError as error:
        raise InputError(
            f"The driver of this database is not installed: {error.name}.", hint=f"pip install {error.name}"
        ) from error
    try:
        with engine.connect() as connection:
            statement: Any = sa.text(query) if query else _selected(connection, str(table), columns)
            result = connection.execute(statement)
            return pd.DataFrame(result.fetchall(), columns=list(result.keys()))
    except sa.exc.NoSuchTableError as error:
        raise InputError(f"{shown} has no table {table!r}.", hint="Name one as schema.table.") from error
    except sa.exc.SQLAlchemyError as error:
        first = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise InputError(f"{shown} cannot be read: {first}.", hint="Check the URL and the query.") from error
    finally:
        engine.dispose()


def _selected(connection: Any, name: str, columns: Sequence[str] | None) -> Any:
    import sqlalchemy as sa

    schema, _, own = name.rpartition(".")
    table = sa.Table(own, sa.MetaData(), schema=schema or None, autoload_with=connection)
    chosen = [column for column in table.columns if columns is None or column.name in columns]
    return sa.select(*(chosen or table.columns))


def _read_file(source: str, columns: Sequence[str] | None, texts: Sequence[str]) -> pd.DataFrame:
    import fsspec
    import pandas as pd
    import pyarrow as pa

    name = source.lower().partition("?")[0]
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    kind = name.rpartition(".")[2]
    if kind not in ("csv", "json", "jsonl", "parquet"):
        raise InputError(
            f"{source} is not a table that can be read.", hint="Use .csv, .json, .jsonl or .parquet."
        )
    chosen = None if columns is None else set(columns)
    try:
        with fsspec.open(source, "rb", compression="infer") as file:
            if kind == "parquet":
                frame = pd.read_parquet(file)
            elif kind == "csv":
                frame = pd.read_csv(file, dtype=dict.fromkeys(texts, "string"))
            else:
                frame = pd.DataFrame(map(json.loads, file) if kind == "jsonl" else json.load(file))
    except FileNotFoundError as error:
        raise InputError(f"There is no file at {source}.", hint="Give its path or URL.") from error
    except ImportError as error:
        raise InputError(f"{source} needs another package: {error}.", hint="Install it.") from error
    except (ValueError, TypeError, AttributeError, OSError, pa.ArrowException) as error:
        first = str(error).partition("\n")[0]
        raise InputError(f"{source} cannot be read: {first}.", hint="Check the file's form.") from error
    wanted = [column for column in frame.columns if chosen is None or column in chosen]
    return frame[wanted] if wanted else frame
