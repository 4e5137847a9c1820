"""The signature: which columns a Model takes, and which it gives.

Standard library only: it is imported by the serving process, before anything else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from numbers import Real
from typing import Any, Literal, NoReturn, get_args

Dtype = Literal["float64", "float32", "int64", "int32", "bool", "string"]

SCHEMA = "https://json-schema.org/draft/2020-12/schema"
JSON_TYPES: dict[str, str] = {
    "float64": "number",
    "float32": "number",
    "int64": "integer",
    "int32": "integer",
    "bool": "boolean",
    "string": "string",
}
_OURS = "x-taxiway"
_MOST_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Column:
    """One input column.

    Parameters
    ----------
    name
        The column's name, as the training data had it.
    dtype
        What a value of it must be; an integer is accepted where a float is expected.
    nullable
        Whether a value may be missing: it was in the reference or the sample, or you said so.
    categories
        The values of a text column with few of them; None is any text.
    minimum, maximum
        The range of a numeric column, both ends or neither.
    """

    name: str
    dtype: Dtype
    nullable: bool = False
    categories: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None

    @property
    def values(self) -> str:
        """What is known of its values, in words."""
        if self.categories is not None:
            more = len(self.categories) - _MOST_SHOWN
            return ", ".join(self.categories[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
        if self.minimum is None or self.maximum is None:
            return ""
        return f"{self.minimum:g} to {self.maximum:g}"


@dataclass(frozen=True, slots=True)
class Output:
    """One output column: a label, a probability, a score or a predicted number.

    Parameters
    ----------
    shape
        The shape of one row's value; ``()`` is a single value.
    """

    name: str
    dtype: Dtype
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """The ordered inputs and outputs of a Model.

    ``sensitive`` names the columns, known here or not, of which no value is shown in a finding or an alert.
    """

    inputs: tuple[Column, ...]
    outputs: tuple[Output, ...]
    sensitive: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The input columns' names, in order."""
        return tuple(column.name for column in self.inputs)

    def __getitem__(self, name: str) -> Column:
        for column in self.inputs:
            if column.name == name:
                return column
        raise KeyError(name)

    def edit(self, column: str, **changes: Any) -> Signature:
        """Give a signature in which one input column is changed.

        Parameters
        ----------
        column
            Its name.
        changes
            Any of ``dtype``, ``nullable``, ``categories``, ``minimum`` and ``maximum``; None takes the
            limit away.

        Raises
        ------
        InputError
            There is no such column or property, or the value does not go with the column's dtype.
        """
        if column not in self.names:
            _refuse(f"There is no input column {column!r}.", _nearest(column, self.names))
        known = [field.name for field in fields(Column) if field.name != "name"]
        for name in changes:
            if name not in known:
                _refuse(f"A column has no {name!r} that can be changed.", f"It has {', '.join(known)}.")
        categories = changes.get("categories")
        if categories is not None:
            if isinstance(categories, str) or not isinstance(categories, Iterable):
                _refuse(f"categories is {categories!r}, not a list.", f"Write categories=[{categories!r}].")
            changes["categories"] = tuple(categories)
        for name in ("minimum", "maximum"):
            if _number(changes.get(name)):
                changes[name] = float(changes[name])
        changed = replace(self[column], **changes)
        _check(changed)
        return replace(self, inputs=tuple(changed if one.name == column else one for one in self.inputs))

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON Schema (draft 2020-12) of one input row, which ``from_dict`` reads.

        What JSON Schema cannot say stands under ``x-taxiway``: each column's dtype, and the outputs.
        """
        outputs = [{"name": one.name, "dtype": one.dtype, "shape": list(one.shape)} for one in self.outputs]
        ours: dict[str, Any] = {"outputs": outputs}
        if self.sensitive:
            ours["sensitive"] = list(self.sensitive)
        return {
            "$schema": SCHEMA,
            "type": "object",
            "properties": {column.name: _property(column) for column in self.inputs},
            "required": list(self.names),
            _OURS: ours,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Signature:
        """Read what ``to_dict`` gave."""
        properties = data["properties"]
        return cls(
            tuple(_column(name, properties[name]) for name in data["required"]),
            tuple(Output(one["name"], one["dtype"], tuple(one["shape"])) for one in data[_OURS]["outputs"]),
            tuple(map(str, data[_OURS].get("sensitive", ()))),
        )

    def to_plain(self) -> dict[str, Any]:
        """Give ``{"inputs": [...], "outputs": [...]}``, each a list of fields, for the user interface."""
        return {
            "sensitive": list(self.sensitive),
            "inputs": [asdict(column) for column in self.inputs],
            "outputs": [asdict(output) for output in self.outputs],
        }

    def table(self) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
        """Give the rows of a table of the inputs and of one of the outputs, each with its heading."""
        inputs = [("input", "dtype", "nulls", "values")]
        for column in self.inputs:
            inputs.append((column.name, column.dtype, "yes" if column.nullable else "no", column.values))
        outputs = [("output", "dtype", "shape")]
        for output in self.outputs:
            outputs.append((output.name, output.dtype, str(output.shape) if output.shape else "one value"))
        return tuple(inputs), tuple(outputs)

    def __str__(self) -> str:
        return "\n\n".join(aligned(rows) for rows in self.table() if len(rows) > 1)

    def _repr_html_(self) -> str:
        return "".join(_html(rows) for rows in self.table() if len(rows) > 1)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Write rows of text as a table with aligned columns; the first row is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _html(rows: Sequence[Sequence[str]]) -> str:
    from html import escape

    def line(row: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>"

    body = "".join(line(row, "td") for row in rows[1:])
    return f"<table><thead>{line(rows[0], 'th')}</thead><tbody>{body}</tbody></table>"


def _property(column: Column) -> dict[str, Any]:
    kind = JSON_TYPES[column.dtype]
    entry: dict[str, Any] = {"type": [kind, "null"] if column.nullable else kind}
    if column.categories is not None:
        entry["enum"] = [*column.categories, *([None] if column.nullable else [])]
    if column.minimum is not None and column.maximum is not None:
        entry["minimum"], entry["maximum"] = column.minimum, column.maximum
    entry[_OURS] = {"dtype": column.dtype}
    return entry


def _column(name: str, entry: Mapping[str, Any]) -> Column:
    values = entry.get("enum")
    limits = {end: float(entry[end]) for end in ("minimum", "maximum") if end in entry}
    return Column(
        name,
        entry[_OURS]["dtype"],
        isinstance(entry["type"], list),
        None if values is None else tuple(value for value in values if value is not None),
        **limits,
    )


def _check(column: Column) -> None:
    """Refuse a column whose properties do not go together."""
    name = column.name
    if column.dtype not in get_args(Dtype):
        _refuse(f"There is no dtype {column.dtype!r}.", f"Use one of {', '.join(get_args(Dtype))}.")
    if not isinstance(column.nullable, bool):
        _refuse(f"nullable of column {name!r} is {column.nullable!r}.", "Say True or False.")
    if column.categories is not None:
        if column.dtype != "string":
            _refuse(
                f"Column {name!r} is {column.dtype} and has no categories.", "Give it minimum and maximum."
            )
        if not column.categories or not all(isinstance(value, str) for value in column.categories):
            _refuse(
                f"categories of column {name!r} are not one or more texts: {list(column.categories)!r}.",
                "Give them as text; None lets any text pass.",
            )
        if len(set(column.categories)) < len(column.categories):
            _refuse(f"categories of column {name!r} name one value twice.", "Name each once.")
    ends = (column.minimum, column.maximum)
    if ends == (None, None):
        return
    if column.dtype in ("string", "bool"):
        _refuse(f"Column {name!r} is {column.dtype} and has no range.", "A text column has categories.")
    least, greatest = ends
    if least is None or greatest is None:
        _refuse(f"The range of column {name!r} has one end.", "Give both ends, or None for both.")
    if not (_number(least) and _number(greatest) and least <= greatest):
        _refuse(
            f"The range of column {name!r} is {least!r} to {greatest!r}.",
            "Give two finite numbers, the lesser one first.",
        )


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _nearest(name: str, names: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(str(name), names, n=1)
    if near:
        return f"Do you mean {near[0]!r}?"
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"There are: {', '.join(names[:10])}{more}."


def _refuse(message: str, hint: str) -> NoReturn:
    from taxiway.errors import InputError  # a Bento holds no taxiway.errors, and edits no signature

    raise InputError(message, hint=hint)
