"""Jupyter's configuration in tests that need a state at will: ``taxiway.control`` answers from a file.

The file named by TAXIWAY_TEST_SEED holds ``overview``, ``endpoints`` and ``columns`` by name, ``models`` by
tag and, to make the control plane fail, ``failure`` (``type``, ``error``, ``hint``). What is asked of the
control plane is appended to ``calls.jsonl`` beside it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from taxiway import errors
from taxiway.lab.reader import ProfileReader

SEED = Path(os.environ["TAXIWAY_TEST_SEED"])


def _state() -> Any:
    state = json.loads(SEED.read_text(encoding="utf-8"))
    if failure := state.get("failure"):
        kind = getattr(errors, failure["type"], None)
        raise kind(failure["error"], hint=failure["hint"]) if kind else ValueError(failure["error"])
    return state


def _find(kind: str, name: str) -> Any:
    found = _state()[kind].get(name)
    if found is None:
        raise errors.NotFoundError(
            f"There is no {kind[:-1]} {name!r}.", hint="Look at the panel for what there is."
        )
    return found


def _record(name: str) -> Any:
    def call(*arguments: Any, **options: Any) -> None:
        _state()
        with SEED.with_name("calls.jsonl").open("a", encoding="utf-8") as calls:
            calls.write(json.dumps([name, *arguments, options]) + "\n")

    return call


def _module(name: str, **functions: Any) -> None:
    module = ModuleType(name)
    vars(module).update(functions)
    sys.modules[name] = module


_module(
    "taxiway.control.views",
    change_token=lambda: f"{SEED.stat().st_mtime_ns}",
    overview=lambda: _state()["overview"],
    endpoint_detail=lambda name: _find("endpoints", name),
    model_detail=lambda name, version: _find("models", f"{name}:{version}"),
)
_actions = ("promote", "rollback", "start_shadow", "stop_shadow", "acknowledge", "silence_alert")
_actions += ("unsilence_alert",)
_module("taxiway.control.api", **{name: _record(name) for name in _actions})
_module("taxiway.control.agent_process", start=_record("start"), stop=_record("stop"))

_ask = ProfileReader.ask


async def _ask_or_look(self: ProfileReader, what: str, **arguments: str | None) -> object:
    """Answer of an endpoint's columns from the file; of profiles the real worker answers."""
    if what not in ("column", "history"):
        return await _ask(self, what, **arguments)
    found: Any = await asyncio.to_thread(_find, "columns", f"{arguments['column']}")
    return {**found["detail"], "window": arguments["window"]} if what == "column" else found["history"]


ProfileReader.ask = _ask_or_look  # type: ignore[method-assign]
