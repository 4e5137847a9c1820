"""The figures as tables, as JSON, and beside what was promised."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tests.benchmarks.serving.load import Sample
from tests.benchmarks.serving.peers import LIMIT, OURS

Rounds = Sequence[Mapping[str, Sample]]
#: Megabytes that a serving process may hold beyond the limit's.
MOST_MEMORY = 60.0


@dataclass(frozen=True)
class Row:
    """One server's line: the median over the rounds of each figure.

    Attributes
    ----------
    ratio
        Requests a second divided by the limit's in the same round, the median of it.
    rate, p50, p99, cpu, memory
        As of ``Sample``.
    start
        Seconds from the start to the first answer.
    """

    server: str
    ratio: float
    rate: float
    p50: float
    p99: float
    cpu: float
    memory: float
    start: float | None = None


@dataclass(frozen=True)
class Promise:
    """One of the issue's numbers: what was measured, and the bound that it keeps or not."""

    text: str
    measured: float
    bound: float
    at_most: bool = True

    @property
    def kept(self) -> bool:
        """Whether the bound holds."""
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound


def rows_of(rounds: Rounds, starts: Mapping[str, Sequence[float]] | None = None) -> list[Row]:
    """Give one row a server, in the order of the first round."""
    found = []
    for name in rounds[0]:
        here = [one for one in rounds if name in one and LIMIT in one]
        medians = {
            field.name: statistics.median(getattr(one[name], field.name) for one in here)
            for field in fields(Sample)
        }
        start = statistics.median(starts[name]) if starts else None
        found.append(Row(name, ratio(here, name, LIMIT, "rate"), **medians, start=start))
    return found


def ratio(rounds: Rounds, name: str, other: str, figure: str) -> float:
    """Give the median over the rounds of one server's figure divided by another's in that round."""
    return statistics.median(getattr(one[name], figure) / getattr(one[other], figure) for one in rounds)


def promises(one_row: Sequence[Row], arrow: Sequence[Row], log_microseconds: float) -> list[Promise]:
    """Compare with the numbers of the issue, as far as the servers in question were measured."""
    rows = {row.server: row for row in one_row}
    ours, limit = rows[OURS], rows[LIMIT]
    found = [
        Promise("one row: requests/s, of the limit", ours.ratio, 0.80, at_most=False),
        Promise("one row: p99, of the limit's", ours.p99 / limit.p99, 1.5),
    ]
    for peer in ("BentoML, async API", "LitServe"):
        if peer in rows:
            times = ours.rate / rows[peer].rate
            found.append(Promise(f"one row: times {peer}", times, 10, at_most=False))
    found.append(
        Promise("1,000 rows as Arrow: requests/s, of the limit", arrow[-1].ratio, 0.85, at_most=False)
    )
    if ours.start and limit.start:
        found.append(Promise("start to first answer, s", ours.start, 1.5 * limit.start + 0.3))
    found.append(Promise("resident memory beyond the limit's, MB", ours.memory - limit.memory, MOST_MEMORY))
    return [*found, Promise("the log's cost a row, µs", log_microseconds, 8)]


def table(rows: Sequence[Row]) -> str:
    """Write rows as Markdown."""
    whole = rows[0].start is not None
    heads = ["server", "requests/s", "of the limit", "p50 ms", "p99 ms", "CPU µs"]
    heads += ["start s", "memory MB"] if whole else []
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for row in rows:
        cells = [
            row.server,
            f"{row.rate:,.0f}",
            f"{row.ratio:.3f}" if row.ratio < 0.1 else f"{row.ratio:.2f}",
        ]
        cells += [f"{row.p50:.2f}", f"{row.p99:.2f}", f"{row.cpu:,.0f}"]
        cells += [f"{row.start:.2f}", f"{row.memory:.0f}"] if whole else []
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def into(document: Path, text: str) -> None:
    """Put a table in the place of the one between the two marks of a document."""
    before, start, rest = document.read_text().partition("<!-- make bench-serving -->\n")
    _, end, after = rest.partition("<!-- end -->\n")
    if not (start and end):
        raise ValueError(f"{document} lacks the marks that say where the table stands")
    document.write_text(f"{before}{start}{text}\n{end}{after}")


def verdict(found: Sequence[Promise]) -> str:
    """Write the promises, one a line."""
    return "\n".join(
        f"{'kept  ' if one.kept else 'MISSED'} {one.text}: {one.measured:.2f} "
        f"({'at most' if one.at_most else 'at least'} {one.bound:.2f})"
        for one in found
    )


def plain(found: Sequence[Row] | Sequence[Promise]) -> list[dict[str, object]]:
    """Give rows or promises as plain objects."""
    return [asdict(one) | ({"kept": one.kept} if isinstance(one, Promise) else {}) for one in found]
