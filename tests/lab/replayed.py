"""An endpoint with the windows of real weather, profiled after the fact, without any process."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from taxiway.control import judging, profiling, stored
from taxiway.control.ledger import ledger
from taxiway.demo import weather
from taxiway.lab import report
from taxiway.packaging.model import Model
from taxiway.packaging.registry import list_models
from tests.control.rows import endpoint_row

SENSITIVE = ("weather_yesterday", "temp_max")


def replay(store: Path, home: Path, *, until: str = "2013-07") -> None:
    """Make an endpoint ``rain`` in ``home`` with a window for each month of 2013 before ``until``."""
    shutil.copytree(store / "store", home / "store")
    for kept in (report._sensitive_of, stored._slicings_of, stored._reference):
        kept.cache_clear()
    tag = list_models("rain")[-1].tag
    row = endpoint_row("rain", live=tag, window="month")
    with ledger().transaction() as session:
        session.add(row)
    days = weather.days()
    chosen = days[(days["date"] >= "2013") & (days["date"] < until)]
    profiling.profile(
        chosen[["date", *weather.FEATURES]],
        time="date",
        by="month",
        model=tag,
        endpoint="rain",
        into=home / "profiled",
        processes=1,
    )
    judging.judge(ledger(), row)


def make_sensitive(patch: pytest.MonkeyPatch) -> None:
    """Have every Model say that ``SENSITIVE`` are."""
    signature = Model.signature.func  # type: ignore[attr-defined]
    patch.setattr(Model, "signature", property(lambda model: replace(signature(model), sensitive=SENSITIVE)))
