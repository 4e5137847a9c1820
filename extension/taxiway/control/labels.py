"""What outcomes are joined to: which outputs are judged, and a Model's predictions whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from taxiway.control import parts
from taxiway.control.ledger import Ledger
from taxiway.control.tables import PartRow
from taxiway.errors import InputError
from taxiway.monitoring.log import INPUT, OUTPUT
from taxiway.monitoring.metrics import spell
from taxiway.monitoring.performance import Outputs, join_outcomes

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from taxiway.packaging.model import Model

#: Outcomes that are held in memory while windows are judged; more are read again for each window.
MOST_HELD = 2_000_000
#: Predictions that are looked through for those with an outcome, the newest.
MOST_SCANNED = 500_000
_MOST_SLICED = 10


def outputs_of(model: Model, options: Mapping[str, Any] | None = None) -> Outputs | None:
    """Say which outputs of a Model are judged against outcomes; None if its task has no metrics here.

    Parameters
    ----------
    options
        The endpoint's: with a ``group`` its Models rank, by the probability of the positive of two classes,
        or else by their first output.
    """
    manifest = model.manifest
    names = [output.name for output in manifest.outputs]
    if not names:
        return None
    classes = tuple(spell(value) for value in manifest.classes or ())
    probabilities = _probabilities(model, names)
    if group := (options or {}).get("group"):
        column = group if group == "request" else INPUT + group
        is_binary = len(classes) == 2 and len(probabilities) == 2
        score = probabilities[1] if is_binary else OUTPUT + names[0]
        return Outputs("ranking", score, group=column)
    if manifest.task not in ("classification", "regression"):
        return None
    return Outputs(manifest.task, OUTPUT + names[0], probabilities, classes if probabilities else ())


def _probabilities(model: Model, names: Sequence[str]) -> tuple[str, ...]:
    """Find one output a class, or one whose rows hold a value for each."""
    classes = model.manifest.classes or ()
    mine = [f"probability_{value}" for value in classes]
    if mine and set(mine) <= set(names):
        return tuple(OUTPUT + name for name in mine)
    whole = [output.name for output in model.signature.outputs if output.shape == (len(classes),)]
    return (OUTPUT + whole[0],) if classes and whole else ()


def slice_columns(model: Model) -> list[str]:
    """Name the input columns that performance is told apart by: those declared, else those of few values."""
    named = model.slices or [column.name for column in model.signature.inputs if column.categories]
    return list(named)[:_MOST_SLICED]


def check_group(model: Model, group: str) -> None:
    """Refuse a group column that is not logged.

    Raises
    ------
    InputError
        It is neither ``request`` nor an input of the Model.
    """
    if group != "request" and group not in model.signature.names:
        raise InputError(
            f"{model.tag} has no input column {group!r} to group by.",
            hint="Name an input, or 'request' where each request holds the rows of one group.",
        )


class Labels:
    """The outcomes of an endpoint, by the ids of their predictions.

    Parameters
    ----------
    ledger
        Where the files of predictions and outcomes are listed.
    """

    def __init__(self, ledger: Ledger, endpoint: str) -> None:
        self._ledger = ledger
        self.endpoint = endpoint

    @cached_property
    def _files(self) -> list[PartRow]:
        with self._ledger.reading() as session:
            return parts.select_parts(session, self.endpoint, "outcome")

    @property
    def count(self) -> int:
        """How many outcomes there are, those that were told again among them."""
        return sum(row.rows for row in self._files)

    @cached_property
    def _held(self) -> list[pa.Table]:
        return [table for row in self._files if (table := _outcomes(row)) is not None]

    def _tables(self) -> Iterable[pa.Table]:
        if self.count <= MOST_HELD:
            return self._held
        return (table for row in self._files if (table := _outcomes(row)) is not None)

    def join(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Add ``outcome`` to predictions, as ``performance.join_outcomes`` does."""
        import pandas as pd
        import pyarrow as pa
        import pyarrow.compute as pc

        ids = pa.array(predictions["id"], pa.string())
        found = [table.filter(pc.is_in(table["id"], ids)).to_pandas() for table in self._tables()]
        kept = [frame for frame in found if len(frame)]
        if not kept:
            return predictions.drop(columns="outcome", errors="ignore").assign(outcome=None)
        outcomes = pd.concat(kept, ignore_index=True)
        values = {text: json.loads(text) for text in outcomes["outcome"].unique()}
        return join_outcomes(
            predictions, outcomes.assign(outcome=outcomes["outcome"].map(values).astype(object))
        )

    def history(
        self,
        model: str,
        columns: Sequence[str],
        *,
        most: int,
        role: str = "live",
        before: datetime | None = None,
    ) -> pd.DataFrame:
        """Give a Model's predictions whose outcome is known, with these columns and ``time`` and ``outcome``.

        Parameters
        ----------
        most
            How many at least, where there are so many: whole files are read, the newest first, until there
            are, or until ``MOST_SCANNED`` predictions have been looked at.
        before
            Only those of windows that start before.
        """
        import pandas as pd

        wanted = list(dict.fromkeys(["id", "time", *columns]))
        found: list[pd.DataFrame] = []
        n = scanned = 0
        for row in self._newest(model, role, before) if self.count else ():
            rows = self.join(parts.read([row], wanted))
            known = rows[rows["outcome"].notna()]
            scanned += len(rows)
            if len(known):
                found.append(known)
                n += len(known)
            if n >= most or scanned >= MOST_SCANNED:
                break
        if not found:
            return pd.DataFrame({name: pd.Series([], dtype=object) for name in [*wanted, "outcome"]})
        joined = pd.concat(found, ignore_index=True).drop_duplicates("id", keep="first")
        return joined.sort_values("time", kind="stable").tail(most).reset_index(drop=True)

    def _newest(self, model: str, role: str, before: datetime | None) -> list[PartRow]:
        query = (
            select(PartRow)
            .where(PartRow.endpoint == self.endpoint, PartRow.kind == "prediction")
            .where(PartRow.model == model, PartRow.role == role)
            .order_by(PartRow.window_start.desc(), PartRow.id.desc())
        )
        if before is not None:
            query = query.where(PartRow.window_start < before)
        with self._ledger.reading() as session:
            return list(session.scalars(query))


def _outcomes(row: PartRow) -> pa.Table | None:
    import pyarrow as pa

    table = parts.read_table([row], ["id", "outcome", "received"])
    if table is None:
        return None
    schema = pa.schema(
        [("id", pa.string()), ("outcome", pa.string()), ("received", pa.timestamp("us", tz="UTC"))]
    )
    return table.select(schema.names).cast(schema)
