"""A request's columns, checked against the signature.

The check is exact and cheap: types, bounds and categories of a whole column are compared at once, and
only a column that fails is looked at value by value, to name the row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

import numpy as np

from taxiway.serving.block import Tensor, float_columns, read_block
from taxiway.serving.findings import (
    MAX_NAME_LENGTH,
    Finding,
    Kind,
    complete_policies,
    describe,
    finding,
    redact,
    type_name,
)
from taxiway.serving.requests import ABSENT, Batch
from taxiway.signature import Column, Signature

_ACCEPTED: dict[str, frozenset[type]] = {
    "float64": frozenset((float, int)),
    "float32": frozenset((float, int)),
    "int64": frozenset((int,)),
    "int32": frozenset((int,)),
    "bool": frozenset((bool,)),
    "string": frozenset((str,)),
}
_LARGEST_EXACT = 2.0**53
_MAX_EXTRA = 50
_MAX_NAMED_CATEGORIES = 10

Bounds = tuple[float, float]


@dataclass(slots=True)
class Verdict:
    """What was found in a request, whether it is refused, and the block of its float columns if any."""

    findings: list[Finding]
    rejected: bool
    block: Tensor | None = None

    def sentence(self) -> str:
        """Say the first finding that is to blame, and how many more there are."""
        more = f" {len(self.findings) - 1} more finding(s) follow." if len(self.findings) > 1 else ""
        return describe(self.findings[0]) + more


class Validator:
    """Checks batches against one signature.

    Parameters
    ----------
    signature
        The Model's inputs.
    bounds
        The least and the greatest number that each numeric column's tensor can hold.
    holds_null
        The columns whose tensor can hold a missing value.
    policies
        Finding kind → ``reject``, ``warn`` or ``ignore``.
    """

    def __init__(
        self,
        signature: Signature,
        bounds: dict[str, Bounds],
        holds_null: frozenset[str],
        policies: dict[str, str] | None = None,
    ) -> None:
        self.policies = complete_policies(policies)
        self.columns = [
            ColumnCheck(column, bounds.get(column.name), column.name in holds_null)
            for column in signature.inputs
        ]
        self._float_names = float_columns(signature)
        self._names = frozenset(column.name for column in self.columns)
        self._sensitive = frozenset(name[:MAX_NAME_LENGTH] for name in signature.sensitive)
        self._floats = [column for column in self.columns if column.name in self._float_names]
        self._others = [column for column in self.columns if column.name not in self._float_names]
        self._least = np.array([[column.comfort[0]] for column in self._floats])
        self._greatest = np.array([[column.comfort[1]] for column in self._floats])

    def check(self, batch: Batch) -> Verdict:
        """Check a batch; where a policy lets a bad value pass, it is replaced by what the model can take."""
        findings: list[Finding] = []
        blocked = False
        block = read_block(batch, self._float_names)
        suspects = self.columns if block is None else self._suspects(block)
        for column in suspects:
            values = batch.columns.get(column.name)
            if values is None:
                values = batch.columns[column.name] = [ABSENT] * batch.rows
            if not column.passes(values):
                before = len(findings)
                blocked |= column.sift(values, findings)
                if len(findings) > before:
                    # Values may have been replaced, and the block holds the old ones.
                    block = None
            column.compare(values, findings)
        if batch.extra:
            findings.extend(_extras(batch))
        if not findings:
            return Verdict(findings, blocked, block)
        if self._sensitive:
            findings = [redact(one) if one["column"] in self._sensitive else one for one in findings]
        kept = [one for one in findings if self.policies[one["kind"]] != "ignore" or blocked]
        kept.sort(key=lambda one: self.policies[one["kind"]] != "reject")
        return Verdict(kept, blocked or any(self.policies[one["kind"]] == "reject" for one in kept), block)

    def check_arrays(self, arrays: Mapping[str, Tensor]) -> Verdict | None:
        """Check columns of numbers at once; None where there is something to find, which ``check`` names."""
        if arrays.keys() != self._names:
            return None
        for column in self._others:
            array = arrays[column.name]
            if array.dtype.kind != "i" or not column.dtype.startswith("int"):
                return None
            least, greatest = column.comfort
            if not (least <= array.min() and array.max() <= greatest):
                return None
        if not self._floats:
            return Verdict([], rejected=False)
        floats = [arrays[name] for name in self._float_names]
        if any(array.dtype.kind != "f" for array in floats):
            return None
        block = np.stack(floats).astype(np.float64, copy=False)
        if not ((block >= self._least) & (block <= self._greatest)).all():
            return None
        return Verdict([], rejected=False, block=block)

    def _suspects(self, block: Tensor) -> list[ColumnCheck]:
        """Give the columns to look at one by one: all but the float ones that lie within their range."""
        inside: Tensor = (block >= self._least) & (block <= self._greatest)
        if inside.all():
            return self._others
        outside = np.flatnonzero(~inside.all(axis=1))
        return [*(self._floats[index] for index in outside), *self._others]


class ColumnCheck:
    """Checks the values of one column."""

    __slots__ = ("accepted", "bounds", "categories", "column", "dtype", "holds_null", "name", "numeric")

    def __init__(self, column: Column, bounds: Bounds | None, holds_null: bool) -> None:
        self.column = column
        self.name = column.name
        self.dtype = column.dtype
        self.accepted = _ACCEPTED[column.dtype]
        self.numeric = column.dtype not in ("bool", "string")
        self.bounds = bounds or (-math.inf, math.inf)
        self.holds_null = holds_null
        self.categories = None if column.categories is None else frozenset((*column.categories, None))

    @property
    def comfort(self) -> Bounds:
        """The numbers that are neither out of bounds nor out of range."""
        least, greatest = self.bounds
        if self.column.minimum is None or self.column.maximum is None:
            return least, greatest
        return max(least, self.column.minimum), min(greatest, self.column.maximum)

    def passes(self, values: list[Any]) -> bool:
        """Whether every value is of the right type and can be held by the tensor."""
        types = set(map(type, values))
        if not types <= self.accepted:
            return False
        if self.numeric:
            least, greatest = self.bounds
            return bool(least <= min(values) and max(values) <= greatest)
        return True

    def sift(self, values: list[Any], findings: list[Finding]) -> bool:
        """Go through a column that does not pass, value by value, and mend it in place.

        Returns
        -------
        bool
            Whether the request is to be refused whatever the policies: no tensor holds the value.
        """
        wrong: dict[Kind, list[int]] = {}
        original: dict[Kind, Any] = {}
        unusable = False
        for row, value in enumerate(values):
            kind, mended = self._judge(value)
            values[row] = mended
            if kind is None:
                continue
            if kind not in wrong:
                wrong[kind], original[kind] = [], value
            wrong[kind].append(row)
            unusable |= mended is None and not self.holds_null
        for kind, rows in wrong.items():
            findings.append(self._finding(kind, rows, original[kind], len(values)))
        return unusable

    def _judge(self, value: Any) -> tuple[Kind | None, Any]:
        """Say what is wrong with a value, and what stands for it where it is let pass (None: missing)."""
        if value is ABSENT:
            return "missing", None
        if value is None:
            return (None if self.column.nullable and self.holds_null else "null"), None
        if type(value) in self.accepted:
            if not self.numeric or self.bounds[0] <= value <= self.bounds[1]:
                return None, value
            return "retyped", None
        if self.numeric and type(value) is float and value.is_integer() and abs(value) <= _LARGEST_EXACT:
            # JSON has one kind of number: 3.0 is an integer there, and pandas writes it so.
            return (None, int(value)) if self.bounds[0] <= value <= self.bounds[1] else ("retyped", None)
        return "retyped", self._convert(value)

    def _convert(self, value: Any) -> Any:
        if self.dtype == "string":
            return None if isinstance(value, dict | list) else str(value)
        if not self.numeric:
            return None
        try:
            number = float(value)
        except (TypeError, ValueError):
            return None
        if not self.bounds[0] <= number <= self.bounds[1]:
            return None
        if self.dtype in ("int64", "int32"):
            return int(number) if number.is_integer() else None
        return number

    def _finding(self, kind: Kind, rows: list[int], value: Any, total: int) -> Finding:
        if kind == "missing":
            row = None if len(rows) == total else rows[0]
            return finding(
                kind, self.name, row=row, count=len(rows), expected=self.dtype, found="absent", example=None
            )
        found = type_name(value)
        if kind == "retyped" and type(value) in self.accepted:
            found = "infinity" if math.isinf(value) else f"{found} out of bounds"
            value = str(value)
        return finding(
            kind, self.name, row=rows[0], count=len(rows), expected=self.dtype, found=found, example=value
        )

    def compare(self, values: list[Any], findings: list[Finding]) -> None:
        """Compare sound values with what the reference data had."""
        column = self.column
        if self.categories is not None:
            if not self.categories.issuperset(values):
                new = [row for row, value in enumerate(values) if value not in self.categories]
                self._compared("new_category", new, values, _one_of(column.categories or ()), findings)
        elif column.minimum is not None and column.maximum is not None and self.numeric:
            least, greatest = column.minimum, column.maximum
            try:
                if least <= min(values) and max(values) <= greatest:
                    return
            except TypeError:
                pass
            outside = [
                row
                for row, value in enumerate(values)
                if value is not None and not least <= value <= greatest
            ]
            self._compared("out_of_range", outside, values, f"{least:g} to {greatest:g}", findings)

    def _compared(
        self, kind: Kind, rows: list[int], values: list[Any], expected: str, findings: list[Finding]
    ) -> None:
        if rows:
            value = values[rows[0]]
            findings.append(
                finding(
                    kind,
                    self.name,
                    row=rows[0],
                    count=len(rows),
                    expected=expected,
                    found=_written(value),
                    example=value,
                )
            )


def _written(value: Any) -> str:
    """Write a value as a finding shows it."""
    return f"{value:g}" if isinstance(value, float) else str(value)[:100]


def _one_of(categories: tuple[str, ...]) -> str:
    named = ", ".join(categories[:_MAX_NAMED_CATEGORIES])
    more = len(categories) - _MAX_NAMED_CATEGORIES
    return f"one of: {named}" + (f" and {more} more" if more > 0 else "")


def _extras(batch: Batch) -> list[Finding]:
    return [
        finding(
            "extra",
            name,
            row=None if extra.count == batch.rows else extra.row,
            count=extra.count,
            expected="absent",
            found=type_name(extra.example),
            example=extra.example,
        )
        for name, extra in ((name, batch.extra[name]) for name in nsmallest(_MAX_EXTRA, batch.extra))
    ]
