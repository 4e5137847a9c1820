"""Takes the values of sensitive columns out of what was found, before it is written down or shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

HIDDEN = "values hidden"

_TEXTS = ("title", "detail", "text", "reasons")
_SHOW_VALUES = ("new_category", "out_of_range", "constant", "rescaled")


def hide(found: Any, names: Collection[str]) -> Any:
    """Give findings (plain JSON) without any value of the named columns; figures of drift stay.

    Parameters
    ----------
    found
        Any nesting of what the ledger holds: drift, slices, schema changes, alerts, events, reports.
    names
        Columns marked sensitive in the Model's signature. A text in which one is named is replaced.
    """
    if not names:
        return found
    any_name = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return _hide(found, frozenset(names), re.compile(rf"(?<!\w)(?:{any_name})(?!\w)"))


def _hide(found: Any, names: frozenset[str], mentioned: re.Pattern[str]) -> Any:
    if isinstance(found, list | tuple):
        return [_hide(one, names, mentioned) for one in found]
    if not isinstance(found, Mapping):
        return found
    column = found.get("column")
    if column in names:
        return {key: _of_column(key, value, found) for key, value in found.items()}
    return {
        key: _text(value, mentioned) if key in _TEXTS else _hide(value, names, mentioned)
        for key, value in found.items()
    }


def _of_column(key: str, value: Any, entry: Mapping[str, Any]) -> Any:
    """Give one field of what was found in a sensitive column."""
    column = entry["column"]
    replaced: dict[str, Callable[[], Any]] = {
        "new_categories": list,
        "vanished_categories": list,
        "example": lambda: None,
        "title": lambda: f"{str(entry.get('rule', 'alert')).replace('_', ' ')}: `{column}` ({HIDDEN})",
        "detail": lambda: "",
    }
    if "psi" in entry or entry.get("kind") in _SHOW_VALUES:
        replaced |= {"text": lambda: f"`{column}`: {HIDDEN}", "expected": str, "found": str}
    if "name" in entry and isinstance(entry.get("value"), str):
        replaced |= {"name": lambda: f"{column}: a group, its {HIDDEN}", "value": lambda: HIDDEN}
    return replaced[key]() if key in replaced else value


def _text(value: Any, mentioned: re.Pattern[str]) -> Any:
    if isinstance(value, list):
        return [_text(one, mentioned) for one in value]
    if not isinstance(value, str):
        return value
    found = mentioned.search(value)
    return f"about `{found[0]}`: {HIDDEN}" if found else value
