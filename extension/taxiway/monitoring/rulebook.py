"""Rules that people set: a metric, a bound, for how long; or a default rule, switched off or stricter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from taxiway.errors import InputError
from taxiway.monitoring.context import DEFAULT_RULES, SEVERITIES, Context, Firing, Severity, firing
from taxiway.monitoring.measures import COLUMN_METRICS, METRICS, Measure, measure
from taxiway.monitoring.rules import evaluate as evaluate_defaults

MOST_RULES = 500
_DURATION = re.compile(r"(\d{1,6})\s*(s|m|h|d|w)", re.ASCII)
LONGEST = timedelta(days=3660)  # further back, or ahead, there is no date in the end
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str) -> timedelta:
    """Read a duration such as ``90s``, ``30m``, ``2h``, ``7d`` or ``1w``.

    Raises
    ------
    ValueError
        It is none.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a duration such as 30m, 2h or 7d")
    length = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if length > LONGEST:
        raise ValueError(f"{text[:40]!r} is longer than {LONGEST.days} days")
    return length


class RuleSpec(BaseModel):
    """A rule as it is written down.

    Attributes
    ----------
    name
        Its name; that of a default rule changes that one.
    metric
        What is measured; ``taxiway.monitoring.measures`` knows which. Left out for a default rule.
    column
        Of which column; ``*`` (or nothing) is each.
    slice
        ``column=value``: only these rows, for metrics of outcomes.
    window
        ``latest`` (the newest window that is complete), ``current`` (also one that still fills), or a
        duration such as ``7d``: all complete windows of that time together, counts as their sum, everything
        else as the mean weighted by rows.
    above, below
        The bound. Of a default rule: it fires only if its own test holds too.
    hold
        ``for``: how long it has to hold before it fires.
    min_rows
        Fewer rows (outcomes, for metrics of outcomes) are not judged.
    enabled
        Whether it is evaluated.
    exclude
        Columns that are left out.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")
    metric: str | None = None
    column: str | None = Field(default=None, min_length=1, max_length=500)
    slice: str | None = Field(default=None, pattern=r"^[^=]{1,500}=.{0,500}$")
    window: str = "latest"
    above: float | None = Field(default=None, allow_inf_nan=False, strict=True)
    below: float | None = Field(default=None, allow_inf_nan=False, strict=True)
    hold: str = Field(default="0s", alias="for")
    severity: Severity | None = None
    min_rows: int = Field(default=1, ge=1, strict=True)
    enabled: bool = Field(default=True, strict=True)
    exclude: tuple[str, ...] = ()

    @field_validator("hold")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        duration(value)
        return value

    @field_validator("window")
    @classmethod
    def _is_window(cls, value: str) -> str:
        if value not in ("latest", "current"):
            try:
                duration(value)
            except ValueError as error:
                if "longer" in str(error):
                    raise
                raise ValueError(f"{value[:40]!r} is not latest, current or a duration such as 7d") from None
        return value

    @field_validator("metric")
    @classmethod
    def _is_metric(cls, value: str | None) -> str | None:
        if value is not None and value not in METRICS and not value.startswith("performance."):
            raise ValueError(f"{value[:40]!r} is not a metric; use one of {', '.join(METRICS)}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> RuleSpec:
        if self.metric is None:
            if self.name not in DEFAULT_RULES:
                raise ValueError(
                    "it needs a metric, or the name of a default rule (`taxiway rules list` shows them)"
                )
            if self.column or self.slice or self.window != "latest" or self.min_rows != 1:
                raise ValueError(
                    "of a default rule only enabled, severity, for, above, below and exclude can be set"
                )
            return self
        if self.name in DEFAULT_RULES:
            raise ValueError(
                "it is a default rule's name, which has a metric of its own; choose another name"
            )
        if (self.above is None) is (self.below is None):
            raise ValueError("it needs a bound: either above or below")
        if self.metric not in COLUMN_METRICS and self.metric != "findings" and self.column is not None:
            raise ValueError(f"{self.metric} is of a whole window, so that column must be left out")
        return self

    def definition(self) -> dict[str, Any]:
        """Give it as it was written, without the name and what is left at its default."""
        return self.model_dump(mode="json", by_alias=True, exclude={"name"}, exclude_defaults=True)

    @property
    def about(self) -> str:
        """What it says, in words."""
        if self.metric is None:
            what = DEFAULT_RULES[self.name]
        else:
            column = self.column if self.column not in (None, "*") else ""
            where = f" of {column}" if column else ""
            where += f" where {self.slice}" if self.slice else ""
            what = (
                f"{self.metric}{where} in {self.window}"
                if self.window != "latest"
                else f"{self.metric}{where}"
            )
        if not self.enabled:
            return f"{what}: switched off"
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (("above", self.above), ("below", self.below))
            if bound is not None
        ]
        held = [f"for {self.hold}"] if duration(self.hold) else []
        return " ".join([what, " or ".join(bounds), *held]).strip().replace("  ", " ")


def parse_rule(data: Mapping[str, Any]) -> RuleSpec:
    """Read one rule.

    Raises
    ------
    InputError
        One sentence that names the field.
    """
    try:
        return RuleSpec.model_validate(dict(data))
    except ValidationError as error:
        field, reason = explain(error)
        named = data.get("name")
        which = f"Rule {named!r}" if isinstance(named, str) else "A rule"
        where = f": {field}" if field else ""
        raise InputError(f"{which} cannot be used{where}: {reason}.", hint=RULE_HINT) from None


RULE_HINT = "A rule has name, metric, above or below; and may have column, window, for, severity, slice."


def explain(error: ValidationError) -> tuple[str, str]:
    """Give the field and the reason of the first thing that is wrong, without the value where it is long."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return field[:40], "there is no such field"
    if first["type"] == "missing":
        return field, "it is missing"
    message = str(first["msg"]).removeprefix("Value error, ")
    return field, message[:1].lower() + message[1:] if not message[:2].isupper() else message


def evaluate(context: Context, specs: Sequence[RuleSpec] = ()) -> list[Firing]:
    """Give every rule that holds, default and set, the most severe first.

    Parameters
    ----------
    specs
        The rules that were set for this endpoint; of one name, the last holds.
    """
    named = {spec.name: spec for spec in specs}
    found = [*adjusted(evaluate_defaults(context), named)]
    for spec in named.values():
        if spec.metric is not None and spec.enabled:
            found += _holding(context, spec)
    found.sort(key=lambda one: -SEVERITIES.index(one.severity))
    return found


def adjusted(firings: Iterable[Firing], named: Mapping[str, RuleSpec]) -> Iterator[Firing]:
    """Leave out what was switched off or lies within the bounds, and set severity and duration."""
    for one in firings:
        spec = named.get(one.rule)
        if spec is None:
            yield one
            continue
        inside = spec.above is not None or spec.below is not None
        if inside and one.value is not None:
            inside = not _beyond(spec, one.value)
        if not spec.enabled or inside or (one.column or "") in spec.exclude:
            continue
        yield replace(one, severity=spec.severity or one.severity, hold=duration(spec.hold))


def _beyond(spec: RuleSpec, value: float) -> bool:
    over = spec.above is not None and value > spec.above
    return over or (spec.below is not None and value < spec.below)


def _holding(context: Context, spec: RuleSpec) -> Iterator[Firing]:
    assert spec.metric is not None
    span: timedelta | Literal["latest", "current"] = (
        spec.window if spec.window in ("latest", "current") else duration(spec.window)  # type: ignore[assignment]
    )
    column = None if spec.column == "*" else spec.column
    for one in measure(context, spec.metric, column=column, slice_=spec.slice, span=span):
        if one.column in spec.exclude or one.n < spec.min_rows or not _beyond(spec, one.value):
            continue
        yield _firing(context, spec, one)


def _firing(context: Context, spec: RuleSpec, one: Measure) -> Firing:
    bound, word = (spec.above, "above") if spec.above is not None else (spec.below, "below")
    subject = f"`{one.column}` of {context.endpoint}" if one.column else context.endpoint
    subject += f" where {spec.slice}" if spec.slice else ""
    where = f" in {one.label}" if one.label else ""
    return firing(
        context.endpoint,
        spec.name,
        spec.severity or "warning",
        f"{spec.metric} of {subject} is {one.value:.3g}{where}, {word} {bound:g}",
        f"Rule {spec.name}, over {one.n} {'outcomes' if one.labelled else 'rows'}.",
        one.column or spec.slice,
        window=one.label,
        value=one.value,
        threshold=bound,
        hold=duration(spec.hold),
    )
