"""What ``taxiway[sagemaker]`` asks for can be had together, and so be resolved: it is installed here.

Plain pip was tried by hand (``pip install --dry-run``): it takes minutes, because it fetches what it rejects.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

import pytest
from packaging.requirements import Requirement


def asked_for(by: Requirement) -> Iterator[Requirement]:
    """What a package asks for, with these extras."""
    for text in metadata.requires(by.name) or ():
        wanted = Requirement(text)
        if wanted.marker is None or any(
            wanted.marker.evaluate({"extra": extra}) for extra in ("", *by.extras)
        ):
            yield wanted


def test_all_that_the_extra_asks_for_is_met_at_once() -> None:
    try:
        metadata.version("sagemaker")
    except metadata.PackageNotFoundError:
        pytest.skip("the SageMaker SDK is in .venv-sagemaker: make test-sagemaker")
    todo, seen, unmet = [Requirement("taxiway[sagemaker]")], set(), []
    while todo:
        one = todo.pop()
        if str(one) in seen:
            continue
        seen.add(str(one))
        try:
            has = metadata.version(one.name)
        except metadata.PackageNotFoundError:
            has = ""
        if not has or not one.specifier.contains(has, prereleases=True):
            unmet.append(f"{one}, and there is {has or 'none'}")
        if has:
            todo += asked_for(one)
    assert unmet == []
    assert len(seen) > 200, "the SDK alone asks for more than that"
