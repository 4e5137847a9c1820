"""What requests had that the signature does not say."""

from __future__ import annotations

from taxiway.monitoring.findings import merge_findings, schema_findings
from tests.monitoring.records import AT, finding, prediction, rejected


def test_an_extra_column_is_counted_by_name_with_its_example():
    extra = [finding("extra", "account_type", example="gold", found="string")]
    records = [prediction(["a"], findings=extra, at=AT + i) for i in range(3)]
    (found,) = schema_findings(records)
    assert (found.kind, found.column, found.example, found.requests) == ("extra", "account_type", "gold", 3)
    assert (found.last_seen - found.first_seen).total_seconds() == 2
    assert not found.rejected


def test_a_rejected_request_blames_what_it_was_rejected_for():
    records = [rejected([finding("missing", "wind"), finding("extra", "gust", example=3)])]
    assert {found.column: found.rejected for found in schema_findings(records)} == {
        "gust": False,
        "wind": True,
    }


def test_the_findings_of_many_rows_are_one_request():
    retyped = [finding("retyped", "wind", example="x", count=1) for _ in range(5)]
    (found,) = schema_findings([rejected(retyped)])
    assert (found.count, found.requests) == (5, 1)


def test_the_shadows_findings_are_not_counted_again():
    extra = [finding("extra", "account_type")]
    (found,) = schema_findings(
        [prediction(["a"], findings=extra), prediction(["a"], findings=extra, role="shadow")]
    )
    assert found.requests == 1


def test_stored_findings_and_new_ones_add_up():
    first = schema_findings([rejected([finding("missing", "wind")], at=AT)])
    second = schema_findings(
        [rejected([finding("missing", "wind")], at=AT + 9), rejected([finding("missing", "a")])]
    )
    merged = {found.column: found for found in merge_findings([*first, *second])}
    assert merged["wind"].requests == 2
    assert merged["wind"].first_seen == first[0].first_seen
    assert merged["wind"].last_seen.timestamp() == AT + 9
    assert merged["a"].requests == 1


def test_a_column_that_a_request_calls_otherwise_is_a_rename_from_the_first_request():
    missing = finding("missing", "temp_max", expected="float64", found="absent")
    extra = [
        finding("extra", "tempMax", expected="absent", found="number", example=9.5),
        finding("extra", "account_type", expected="absent", found="string", example="gold"),
    ]
    found = {one.kind: one for one in schema_findings([rejected([missing, *extra])]) if one.kind == "renamed"}
    assert (found["renamed"].column, found["renamed"].found, found["renamed"].rejected) == (
        "temp_max",
        "tempMax",
        True,
    )


def test_a_new_column_of_another_type_or_name_is_no_rename():
    missing = finding("missing", "temp_max", expected="float64", found="absent")
    for extra in (
        finding("extra", "tempMax", found="string", example="9.5"),
        finding("extra", "account_type", found="number", example=1),
    ):
        kinds = {one.kind for one in schema_findings([rejected([missing, extra])])}
        assert kinds == {"missing", "extra"}


def test_columns_in_another_order_are_told_by_the_first_that_moved():
    order = {"rain:abc": ("kind", "wind")}
    (found,) = schema_findings([prediction(["a"]), prediction(["b"])], order)
    assert (found.kind, found.column, found.requests) == ("reordered", "kind", 2)
    assert schema_findings([prediction(["a"])], {"rain:abc": ("wind", "kind")}) == []
    assert schema_findings([prediction(["a"])], {"rain:other": ("kind", "wind")}) == []
