from __future__ import annotations

from typing import Any

import pytest

from taxiway.serving.requests import batch_of
from taxiway.serving.validation import Validator, Verdict
from taxiway.signature import Column, Signature

SIGNATURE = Signature(
    (
        Column("temp_max", "float64", minimum=-10, maximum=40),
        Column("visits", "int64"),
        Column("small", "int32", nullable=True),
        Column("member", "bool"),
        Column("season", "string", categories=("summer", "winter")),
        Column("note", "string", nullable=True),
    ),
    (),
)
BOUNDS = {
    "temp_max": (-3.4e38, 3.4e38),
    "visits": (-(2**63), 2**63 - 1),
    "small": (-(2**31), 2**31 - 1),
}
GOOD: dict[str, Any] = {
    "temp_max": 12.5,
    "visits": 3,
    "small": 1,
    "member": True,
    "season": "winter",
    "note": "",
}


def check(*rows: dict[str, Any], policies: dict[str, str] | None = None) -> Verdict:
    batch = batch_of(list(rows), SIGNATURE.names, max_rows=1000)
    return Validator(SIGNATURE, BOUNDS, frozenset(("temp_max", "note", "season")), policies).check(batch)


def test_a_good_row_has_no_findings() -> None:
    for verdict in (check(GOOD), check(GOOD, dict(reversed(GOOD.items())))):
        assert (verdict.findings, verdict.rejected) == ([], False), "the order of columns is free"


@pytest.mark.parametrize(
    ("change", "expected", "found"),
    [
        ({"temp_max": "12.5"}, "float64", "string"),
        ({"temp_max": True}, "float64", "boolean"),
        ({"temp_max": [1]}, "float64", "array"),
        ({"temp_max": 1e300}, "float64", "number out of bounds"),
        ({"visits": 3.5}, "int64", "number"),
        ({"visits": False}, "int64", "boolean"),
        ({"visits": 2**63}, "int64", "integer out of bounds"),
        ({"small": 2**31}, "int32", "integer out of bounds"),
        ({"member": 1}, "bool", "integer"),
        ({"season": 3}, "string", "integer"),
        ({"note": {"a": 1}}, "string", "object"),
    ],
)
def test_a_value_of_another_type_is_refused(change: dict[str, Any], expected: str, found: str) -> None:
    verdict = check(GOOD, GOOD, GOOD | change, GOOD | change)
    assert verdict.rejected
    (finding,) = (one for one in verdict.findings if one["kind"] == "retyped")
    (column,) = change
    assert (finding["column"], finding["row"], finding["count"]) == (column, 2, 2)
    assert (finding["expected"], finding["found"]) == (expected, found)


def test_whole_numbers_are_taken_for_each_other_where_nothing_is_lost() -> None:
    assert not check(GOOD | {"temp_max": 12, "visits": 3.0}).rejected
    assert check(GOOD | {"temp_max": 12, "visits": 3.0}).findings == []


def test_null_is_taken_where_the_column_and_its_tensor_can_hold_it() -> None:
    assert not check(GOOD | {"note": None}).rejected
    for column in ("temp_max", "member", "season"):
        (finding,) = check(GOOD, GOOD | {column: None}).findings
        assert (finding["kind"], finding["column"], finding["row"]) == ("null", column, 1)
    assert check(GOOD | {"small": None}).rejected, "an integer tensor holds no missing value"


def test_a_column_that_some_rows_lack_is_named_with_the_first_of_them() -> None:
    lacking = {name: value for name, value in GOOD.items() if name != "visits"}
    (finding,) = check(GOOD, lacking, lacking).findings
    assert (finding["kind"], finding["row"], finding["count"], finding["found"]) == (
        "missing",
        1,
        2,
        "absent",
    )


def test_an_extra_column_that_one_row_has_is_named_with_it() -> None:
    (finding,) = check(GOOD, GOOD | {"account_type": "gold"}).findings
    assert (finding["kind"], finding["column"], finding["row"], finding["count"]) == (
        "extra",
        "account_type",
        1,
        1,
    )


def test_new_categories_and_values_out_of_range_are_named_and_answered() -> None:
    verdict = check(GOOD, GOOD | {"season": "monsoon", "temp_max": 55.5})
    assert not verdict.rejected
    found = {
        one["kind"]: (one["column"], one["row"], one["expected"], one["found"]) for one in verdict.findings
    }
    assert found == {
        "new_category": ("season", 1, "one of: summer, winter", "monsoon"),
        "out_of_range": ("temp_max", 1, "-10 to 40", "55.5"),
    }


def test_what_no_tensor_can_hold_is_refused_whatever_the_policy() -> None:
    lenient = {"missing": "warn", "retyped": "ignore", "null": "ignore"}
    assert not check(GOOD | {"temp_max": "12.5"}, policies=lenient).rejected
    assert not check(GOOD | {"temp_max": "warm"}, policies=lenient).rejected, "a float can be missing"
    verdict = check(GOOD | {"visits": "many"}, policies=lenient)
    assert verdict.rejected
    assert verdict.findings[0]["column"] == "visits"


def test_what_is_within_the_range_is_not_looked_at_one_by_one_and_gives_the_same() -> None:
    rows = [GOOD | {"temp_max": value} for value in (-10, 40.0, 12)]
    verdict = check(*rows)
    assert verdict.block is not None
    assert verdict.block.tolist() == [[-10.0, 40.0, 12.0]]
    assert check(*rows, GOOD | {"temp_max": 41}).block is not None, "a value out of range is fed as it is"
    assert check(*rows, GOOD | {"temp_max": "12"}, policies={"retyped": "warn"}).block is None


def test_a_policy_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="extra=explode"):
        check(GOOD, policies={"extra": "explode"})


def test_findings_stay_short_whatever_is_sent() -> None:
    row = GOOD | {f"column_{number}" * 50: "x" * 10_000 for number in range(500)}
    findings = check(row).findings
    assert len(findings) == 50
    assert all(len(one["column"]) <= 200 and len(one["example"]) <= 100 for one in findings)


def test_no_value_of_a_sensitive_column_is_in_a_finding():
    signature = Signature(
        (Column("name", "string", categories=("Ann",)), Column("age", "int64", minimum=1, maximum=9)),
        (),
        sensitive=("name", "age", "ssn"),
    )
    validator = Validator(signature, {}, frozenset())
    verdict = validator.check(
        batch_of([{"name": "Bob", "age": 77, "ssn": "078-05-1120"}], signature.names, max_rows=9)
    )
    assert [one["kind"] for one in verdict.findings] == ["new_category", "out_of_range", "extra"]
    assert not any(value in repr(verdict.findings) for value in ("Bob", "77", "078"))
