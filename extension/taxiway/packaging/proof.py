"""The proof of a Model: it is exported in each precision until one answers as the original does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from taxiway.errors import PackagingError
from taxiway.packaging import parity as parities
from taxiway.packaging.frameworks import Adapter, Answers, Export
from taxiway.packaging.frameworks.extras import missing
from taxiway.packaging.parity import Parity
from taxiway.packaging.session import Session
from taxiway.signature import Column

if TYPE_CHECKING:
    import pandas as pd


def prove(
    adapter: Adapter,
    columns: tuple[Column, ...],
    frame: pd.DataFrame,
    sample: pd.DataFrame | None,
    folder: Path,
    *,
    waive: bool,
) -> tuple[Export, Parity]:
    """Export into ``folder``, in double precision if float32 does not answer as the original does.

    Raises
    ------
    PackagingError
        The model cannot be exported, or cannot predict its reference.
    ParityError
        No precision answers as the original does, and that is not waived.
    """
    rows = parities.chosen_rows(frame, sample)
    original = _asked(adapter, rows)
    tried: list[tuple[Export, Parity]] = []
    for precision in adapter.precisions:
        (folder / precision).mkdir()
        try:
            export = adapter.export(columns, frame, precision, folder / precision)
        except ImportError as error:
            raise missing(error) from error
        except PackagingError:
            if not tried:
                raise
            break  # some steps have no form in double precision; the figures of float32 stand
        report = parities.compare(original, Session(export).answers(rows), rows, precision)
        if report.passed:
            return export, report.after(*(earlier for _, earlier in tried))
        tried.append((export, report))
    if not waive:
        raise parities.refusal([report for _, report in tried])
    export, best = min(tried, key=lambda one: parities.rank(one[1]))
    others = (report for _, report in tried if report is not best)
    return export, replace(best.after(*others), waived=True)


def _asked(adapter: Adapter, rows: pd.DataFrame) -> Answers:
    try:
        return adapter.answers(rows)
    except PackagingError:
        raise
    except Exception as error:
        # whatever a model raises on its own training data, it is no model to package
        reason = str(error).partition("\n")[0]
        raise PackagingError(
            f"The model cannot predict the reference: {type(error).__name__}: {reason}",
            hint="Pass the very data it was fitted on, with the same dtypes.",
        ) from error
