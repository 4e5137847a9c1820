"""What counts as the same answer where a Model is loaded and replayed."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from taxiway.serving.agreement import agree, apart


def entities(**changes: Any) -> str:
    return json.dumps([{"entity_group": "NAME", "score": 0.5, "word": "Ann", "start": 20_000} | changes])


@pytest.mark.parametrize(
    ("expected", "given", "same"),
    [
        (0.5, 0.500001, True),
        (0.5, 0.501, False),
        (10_000, 10_001, False),
        (5, 5.000001, True),
        (True, 1, True),
        ("5", "5.000001", False),
        (None, math.nan, True),
        (math.nan, None, True),
        (None, 0.0, False),
        ("wine", "tumours", False),
        ("[", "[", True),
        (entities(), entities(score=0.500001), True),
        (entities(), entities(score=0.6), False),
        (entities(), entities(start=20_001), False),
        (entities(), entities(word="Ben"), False),
        (entities(), "[]", False),
        (entities(), None, False),
    ],
)
def test_numbers_may_differ_by_rounding_and_nothing_else(expected: Any, given: Any, same: bool) -> None:
    assert agree(expected, given) is same


def test_a_label_without_tolerance_is_equal_or_not() -> None:
    assert not agree("[0.5]", "[0.50000001]", 0.0, 0.0)
    assert apart("[0.5, 1]", "[0.75, 1]") == 0.25
    assert apart("[0.5]", "[0.5, 1]") == math.inf
