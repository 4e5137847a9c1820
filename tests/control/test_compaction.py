"""The prediction log on disk stays in few files, whatever the number of cycles that wrote it."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

import pandas as pd
import pytest

from taxiway.control import compaction, parts
from taxiway.control.compaction import FEW, LARGEST_ROWS, choose_run
from taxiway.control.ledger import Ledger, ledger
from taxiway.control.tables import PartRow

WINDOW = datetime(2026, 1, 1, tzinfo=UTC)
GROUP = ("prediction", WINDOW, "rain:1", "live")


@pytest.fixture
def book(ledger_url: str) -> Ledger:
    return ledger()


def add(book: Ledger, numbers: range, **more: object) -> None:
    frame = pd.DataFrame({"id": [str(one) for one in numbers], "in.x": list(numbers)}).assign(**more)
    with book.transaction() as session:
        session.add(
            parts.write("rain", "prediction", frame, window_start=WINDOW, model="rain:1", role="live")
        )


def rows(book: Ledger) -> list[PartRow]:
    with book.reading() as session:
        return parts.select_parts(session, "rain", "prediction")


def test_a_hundred_cycles_leave_a_few_files_with_every_row_once_and_in_order(book: Ledger) -> None:
    written = 0
    for cycle in range(100):
        size = 1 + cycle % 3
        add(book, range(written, written + size), **({"in.late": 1.0} if cycle > 50 else {}))
        written += size
        compaction.compact(book, "rain", {GROUP})
        assert len(rows(book)) < 2 * FEW
    frame = parts.read(rows(book))
    assert frame["in.x"].tolist() == list(range(written))
    assert frame["in.late"].isna().sum() == sum(1 + cycle % 3 for cycle in range(51))
    assert sum(row.rows for row in rows(book)) == written


def test_a_reader_that_has_the_old_names_can_still_read_them(book: Ledger) -> None:
    for cycle in range(FEW):
        add(book, range(cycle, cycle + 1))
    before = rows(book)
    assert compaction.compact(book, "rain", {GROUP}) == FEW - 1
    assert parts.read(before)["in.x"].tolist() == parts.read(rows(book))["in.x"].tolist() == list(range(FEW))


def test_a_column_that_is_of_another_type_in_the_next_file_becomes_text(book: Ledger) -> None:
    for cycle in range(FEW):
        add(book, range(cycle, cycle + 1), odd=["x", [1], 2, None][cycle % 4 : cycle % 4 + 1])
    assert compaction.compact(book, "rain", {GROUP}) == FEW - 1
    frame = parts.read(rows(book))
    assert (
        frame["odd"].astype(object).where(frame["odd"].notna(), None).tolist() == ["x", "[1]", "2", None] * 2
    )
    assert frame["in.x"].tolist() == list(range(FEW))


def test_a_day_of_cycles_keeps_logarithmically_many_files_and_writes_a_row_as_often() -> None:
    """The choice alone, on sizes: the files of a day need not be written for it."""
    generator = random.Random(1)
    group: list[PartRow] = []
    total = rewritten = most = 0
    for number in range(20_000):
        group.append(PartRow(id=number, rows=generator.choice([1, 5, 40, 400])))
        total += group[-1].rows
        if run := choose_run(group):
            assert group[-len(run) :] == run
            size = sum(part.rows for part in run)
            assert size < (FEW + 4) * LARGEST_ROWS
            rewritten += size
            group[-len(run) :] = [PartRow(id=run[0].id, rows=size)]
        if number % 100 == 0:
            most = max(most, sum(part.rows < LARGEST_ROWS for part in group))
    assert sum(part.rows for part in group) == total
    levels = math.log(LARGEST_ROWS / 256, FEW) + 2
    assert most <= FEW * levels
    assert rewritten <= levels * total
    assert len(group) - most <= total / LARGEST_ROWS
