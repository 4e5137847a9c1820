"""The short way of a single row takes only rows of which the long way has nothing to say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxiway.serving.requests import batch_of
from taxiway.serving.runtime import Runtime
from taxiway.serving.single import SingleRow
from taxiway.serving.validation import Validator
from tests.models import NUMBERS, SITES, BuiltModel

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.floats(0.1, 7.9),
    st.sampled_from([*SITES, "moon", ""]),
    st.just([1.0]),
)
NAMES = [*NUMBERS, "site"]


@pytest.fixture(scope="module")
def ways(iris: BuiltModel) -> tuple[Runtime, Validator, SingleRow]:
    runtime = Runtime(iris.path)
    validator = Validator(runtime.signature, runtime.bounds, runtime.holds_null)
    return runtime, validator, SingleRow(validator.columns, runtime.feeds)


def test_a_sound_row_goes_the_short_way_and_gets_the_same_answer(
    ways: tuple[Runtime, Validator, SingleRow], iris: BuiltModel
) -> None:
    runtime, _, single = ways
    for row in iris.rows(150):
        for given_row in (row, dict(reversed(row.items()))):
            values = single.read([given_row])
            assert values is not None
            short = runtime.run(single.tensors(values))
            assert short == runtime.predict({name: [row[name]] for name in NAMES})


@settings(max_examples=400, deadline=None)
@given(
    row=st.fixed_dictionaries({"site": VALUES}, optional=dict.fromkeys((*NUMBERS, "account_type"), VALUES))
)
def test_what_goes_the_short_way_has_no_findings(
    ways: tuple[Runtime, Validator, SingleRow], row: dict[str, Any]
) -> None:
    runtime, validator, single = ways
    verdict = validator.check(batch_of([row], runtime.signature.names, max_rows=10))
    assert (single.read([row]) is not None) == (not verdict.findings)


@pytest.mark.parametrize("data", [[], {}, None, 3, "x", [3], [[1]], [{}], [{"site": "hill"}] * 2])
def test_what_is_not_one_row_is_left_to_the_long_way(
    ways: tuple[Runtime, Validator, SingleRow], data: Any
) -> None:
    assert ways[2].read(data) is None


def test_tensors_have_the_engines_dtypes(
    ways: tuple[Runtime, Validator, SingleRow], iris: BuiltModel
) -> None:
    runtime, _, single = ways
    values = single.read(iris.rows(1))
    assert values is not None
    tensors = single.tensors(values)
    wanted = {feed.tensor: feed.dtype for feed in runtime.feeds}
    assert {name: tensor.dtype for name, tensor in tensors.items()} == wanted
    assert {tensor.shape for tensor in tensors.values()} == {(1, 1)}
    assert all(isinstance(tensor, np.ndarray) for tensor in tensors.values())
