"""The signature: it is a JSON Schema that is read back exactly, can be edited, and prints as a table."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from taxiway.errors import InputError
from taxiway.signature import Column, Output, Signature

from .conftest import Packaged, Weather

ALL = Signature(
    (
        Column("b", "float64", True, None, -1.5, 2.0),
        Column("10", "int64", False, None, 1.0, 12.0),
        Column("2", "int32"),
        Column("small", "float32", True),
        Column("kind", "string", True, ("x", "null", "")),
        Column("words", "string"),
        Column("yes", "bool", True),
    ),
    (Output("label", "bool"), Output("embedding", "float32", (3, 4))),
)


def test_a_signature_is_read_back_exactly_whatever_orders_the_keys() -> None:
    assert Signature.from_dict(json.loads(json.dumps(ALL.to_dict()))) == ALL
    assert Signature.from_dict(json.loads(json.dumps(ALL.to_dict(), sort_keys=True))) == ALL


def test_a_signature_is_a_valid_json_schema_of_one_row() -> None:
    schema = json.loads(json.dumps(ALL.to_dict()))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]
    judge = jsonschema.Draft202012Validator(schema)
    row = {"b": 0.5, "10": 3, "2": 0, "small": None, "kind": None, "words": "any", "yes": True}
    assert judge.is_valid(row)
    for name, wrong in {"b": 2.5, "10": 13, "2": None, "kind": "y", "words": 4, "yes": "no"}.items():
        assert not judge.is_valid({**row, name: wrong}), name
    assert not judge.is_valid({name: value for name, value in row.items() if name != "words"})


def test_every_row_of_the_reference_is_valid_by_the_stored_schema(
    packaged_home: Packaged, weather: Weather
) -> None:
    schema = json.loads((packaged_home.model.path / "signature.json").read_text())
    judge = jsonschema.Draft202012Validator(schema)
    rows = json.loads(weather.inputs.to_json(orient="records"))
    assert len(rows) == 366
    assert all(judge.is_valid(row) for row in rows)
    assert Signature.from_dict(schema) == packaged_home.model.signature


def test_editing_gives_another_signature_and_leaves_the_first() -> None:
    edited = (
        ALL.edit("10", nullable=True, minimum=0, maximum=120, dtype="float64")
        .edit("kind", categories=["x", "y"])
        .edit("b", minimum=None, maximum=None)
    )
    assert edited["10"] == Column("10", "float64", True, None, 0.0, 120.0)
    assert edited["kind"].categories == ("x", "y")
    assert edited["b"].values == ""
    assert edited.names == ALL.names
    assert ALL["10"].maximum == 12.0
    assert Signature.from_dict(json.loads(json.dumps(edited.to_dict()))) == edited


@pytest.mark.parametrize(
    ("column", "changes", "message", "hint"),
    [
        ("smal", {"nullable": True}, "no input column 'smal'", "'small'"),
        ("nothing like it", {"nullable": True}, "no input column", "There are: b, 10"),
        ("b", {"max": 3}, "no 'max'", "maximum"),
        ("b", {"name": "c"}, "no 'name'", "nullable"),
        ("b", {"nullable": "yes"}, "'yes'", "True or False"),
        ("b", {"dtype": "decimal"}, "no dtype 'decimal'", "float64"),
        ("b", {"categories": ["x"]}, "float64 and has no categories", "minimum"),
        ("kind", {"minimum": 1, "maximum": 2}, "string and has no range", "categories"),
        ("yes", {"minimum": 0, "maximum": 1}, "bool and has no range", "categories"),
        ("kind", {"dtype": "float64"}, "has no categories", "minimum"),
        ("kind", {"categories": "x"}, "not a list", "categories=['x']"),
        ("kind", {"categories": 5}, "not a list", "categories=[5]"),
        ("kind", {"categories": []}, "one or more", "None"),
        ("kind", {"categories": ["x", 3]}, "one or more", "text"),
        ("kind", {"categories": ["x", "x"]}, "twice", "once"),
        ("b", {"maximum": None}, "one end", "both"),
        ("b", {"minimum": 3}, "3.0 to 2.0", "lesser one first"),
        ("b", {"maximum": float("inf")}, "inf", "finite"),
        ("b", {"maximum": "9"}, "'9'", "finite"),
    ],
)
def test_an_edit_that_cannot_be_is_explained(
    column: str, changes: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        ALL.edit(column, **changes)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_signature_prints_as_a_table() -> None:
    lines = str(ALL).splitlines()
    assert lines[0].split() == ["input", "dtype", "nulls", "values"]
    assert lines[1].split() == ["b", "float64", "yes", "-1.5", "to", "2"]
    assert {line.find("float64") for line in lines if "float64" in line} == {lines[0].find("dtype")}
    assert lines[-2].split() == ["label", "bool", "one", "value"]
    assert lines[-1].split() == ["embedding", "float32", "(3,", "4)"]
    many = Signature((Column("c", "string", categories=tuple("abcdefgh")),), ())
    assert str(many).endswith("a, b, c, d, e, f and 2 more")


def test_names_are_escaped_in_the_table_of_a_notebook() -> None:
    bad = Signature((Column("<script>", "string", categories=("<b>",)),), (Output("a&b", "bool"),))
    html = bad._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "a&amp;b" in html
    assert html.count("<tr>") == 4


def test_the_user_interface_gets_the_plain_form(packaged_home: Packaged) -> None:
    signature = json.loads(json.dumps(packaged_home.model.to_detail()))["signature"]
    assert [column["name"] for column in signature["inputs"]] == list(packaged_home.model.signature.names)
    assert signature["inputs"][4]["categories"] == ["autumn", "spring", "summer", "winter"]
    assert signature["outputs"][0] == {"name": "label", "dtype": "bool", "shape": []}
