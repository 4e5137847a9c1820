"""The signature: which columns a Model takes, and which it gives.

Standard library only: it is imported by the serving process, before anything else.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Dtype = Literal["float64", "float32", "int64", "int32", "bool", "string"]

_JSON_TYPES: dict[str, str] = {
    "float64": "number",
    "float32": "number",
    "int64": "integer",
    "int32": "integer",
    "bool": "boolean",
    "string": "string",
}


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
        Whether the reference data had missing values in it.
    categories
        The values of the reference data, for a text column with few of them.
    minimum, maximum
        The range of the reference data, for a numeric column.
    """

    name: str
    dtype: Dtype
    nullable: bool = False
    categories: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """One output column: a label, a probability, a score or a predicted number."""

    name: str
    dtype: Dtype


@dataclass(frozen=True, slots=True)
class Signature:
    """The ordered inputs and outputs of a Model."""

    inputs: tuple[Column, ...]
    outputs: tuple[Output, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The input columns' names, in order."""
        return tuple(column.name for column in self.inputs)

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON form that ``from_dict`` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Signature:
        """Read what ``to_dict`` gave."""
        inputs = []
        for column in data["inputs"]:
            categories = column.get("categories")
            inputs.append(
                Column(**{**column, "categories": None if categories is None else tuple(categories)})
            )
        return cls(tuple(inputs), tuple(Output(**output) for output in data["outputs"]))

    def to_json_schema(self) -> dict[str, Any]:
        """Give the JSON Schema (2020-12) of one input row."""
        properties: dict[str, Any] = {}
        for column in self.inputs:
            kind = _JSON_TYPES[column.dtype]
            entry: dict[str, Any] = {"type": [kind, "null"] if column.nullable else kind}
            if column.categories is not None:
                entry["examples"] = list(column.categories)
            if column.minimum is not None and column.maximum is not None:
                entry["description"] = f"seen in training: {column.minimum:g} to {column.maximum:g}"
            properties[column.name] = entry
        return {"type": "object", "properties": properties, "required": list(self.names)}
