"""Rules that were set, in the ledger: for one endpoint, or for all."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from taxiway.control import desired
from taxiway.control.ledger import Ledger, now, record
from taxiway.control.tables import EndpointRow, RuleRow
from taxiway.errors import InputError, NotFoundError
from taxiway.monitoring.context import DEFAULT_RULES
from taxiway.monitoring.rulebook import MOST_RULES, RuleSpec, parse_rule

if TYPE_CHECKING:
    from taxiway.monitoring.rulefile import Placed

Json = dict[str, Any]

log = logging.getLogger("taxiway.monitor")


def specs_of(session: Session, endpoint: str) -> list[RuleSpec]:
    """Give the rules that hold for an endpoint: one of its own stands before one of all with its name."""
    query = select(RuleRow).where(RuleRow.endpoint.in_(("", endpoint)))
    rows = sorted(session.scalars(query), key=lambda row: (row.endpoint != "", row.name))
    specs: dict[str, RuleSpec] = {}
    for row in rows:
        try:
            specs[row.name] = parse_rule({"name": row.name, **row.definition})
        except InputError as error:  # of another version: the others hold all the same
            log.warning("%s", error)
    return list(specs.values())


def placed(rules: str | Path | Iterable[Mapping[str, Any]], endpoint: str) -> list[Placed]:
    """Read rules of an endpoint: a YAML file, or mappings.

    Raises
    ------
    InputError
        One cannot be used, or is of another endpoint.
    """
    from taxiway.monitoring.rulefile import Placed, read_rules

    if isinstance(rules, str | Path):
        found = read_rules(Path(rules).expanduser())
    else:
        found = []
        for number, rule in enumerate(rules, 1):
            values = dict(rule)
            found.append(Placed(str(values.pop("endpoint", "")), parse_rule(values), number))
    for one in found:
        if one.endpoint not in ("", endpoint):
            raise InputError(
                f"Rule {one.spec.name!r} is of {one.endpoint}, not of {endpoint}.",
                hint="`taxiway rules apply` takes rules of several endpoints.",
            )
    return [replace(one, endpoint=endpoint) for one in found]


def apply(ledger: Ledger, placed: Sequence[Placed], *, by: str) -> None:
    """Set rules, all of them or none; one of the same name and endpoint is replaced.

    Raises
    ------
    NotFoundError
        There is no such endpoint.
    InputError
        They are too many.
    """
    with ledger.transaction() as session:
        for one in placed:
            if one.endpoint:
                desired.get(session, one.endpoint)
            row = session.get(RuleRow, (one.endpoint, one.spec.name))
            if row is None:
                row = RuleRow(endpoint=one.endpoint, name=one.spec.name)
                session.add(row)
            elif row.definition == one.spec.definition():
                continue
            row.definition, row.actor, row.created = one.spec.definition(), by, now()
            where = one.endpoint or "all endpoints"
            record(
                session,
                "rule set",
                f"Rule {one.spec.name} of {where}: {one.spec.about}.",
                by=by,
                endpoint=one.endpoint or None,
                rule=one.spec.name,
                definition=one.spec.definition(),
            )
        session.flush()
        known = len(session.scalars(select(RuleRow.name)).all())
        if known > MOST_RULES:
            raise InputError(
                f"There would be {known} rules; {MOST_RULES} are the most.",
                hint="`taxiway rules delete` makes room; `*` as column needs one rule only.",
            )


def delete(ledger: Ledger, name: str, endpoint: str = "", *, by: str) -> None:
    """Remove a rule; a default rule is then again as it was.

    Raises
    ------
    NotFoundError
        It was not set.
    """
    with ledger.transaction() as session:
        row = session.get(RuleRow, (endpoint, name))
        if row is None:
            raise _unknown(session, name, endpoint)
        session.delete(row)
        where = endpoint or "all endpoints"
        record(
            session, "rule deleted", f"Rule {name} of {where} was deleted.", by=by, endpoint=endpoint or None
        )


def _unknown(session: Session, name: str, endpoint: str) -> NotFoundError:
    others = session.scalars(select(RuleRow.endpoint).where(RuleRow.name == name)).all()
    if others:
        hint = f"It is set for {', '.join(sorted(one or 'all endpoints' for one in others))}."
    elif name in DEFAULT_RULES:
        hint = "It is a default rule; {name: " + name + ", enabled: false} in a file switches it off."
    else:
        hint = "`taxiway rules list` shows those that are."
    return NotFoundError(f"No rule {name!r} was set for {endpoint or 'all endpoints'}.", hint=hint)


def listed(ledger: Ledger, endpoint: str | None = None) -> list[Json]:
    """List every rule, those that were set first: of one endpoint, or of all."""
    query = select(RuleRow).order_by(RuleRow.endpoint, RuleRow.name)
    with ledger.reading() as session:
        if endpoint:
            desired.get(session, endpoint)
            query = query.where(RuleRow.endpoint.in_(("", endpoint)))
        rows = session.scalars(query).all()
    entries: list[Json] = []
    for row in rows:
        try:
            spec = parse_rule({"name": row.name, **row.definition})
            enabled, about, severity = spec.enabled, spec.about, spec.severity
        except InputError as error:  # of another version: it holds no more, and is shown so
            enabled, about, severity = False, error.message, None
        entries.append(
            {
                "name": row.name,
                "endpoint": row.endpoint,
                "default": row.name in DEFAULT_RULES,
                "enabled": enabled,
                "about": about,
                "severity": severity,
                "definition": row.definition,
                "actor": row.actor,
                "created": row.created.isoformat(),
            }
        )
    changed = {entry["name"] for entry in entries if not entry["endpoint"] or entry["endpoint"] == endpoint}
    for name, about in DEFAULT_RULES.items():
        if name not in changed:
            entries.append(
                {
                    **{"name": name, "endpoint": "", "default": True, "enabled": True, "about": about},
                    **{"severity": None, "definition": {}, "actor": "", "created": None},
                }
            )
    return entries


def find(ledger: Ledger, name: str, endpoint: str = "") -> Json:
    """Find a rule: one of the endpoint, else of all, else the default one.

    Raises
    ------
    NotFoundError
        There is none of that name.
    """
    found = [entry for entry in listed(ledger, endpoint or None) if entry["name"] == name]
    mine = [entry for entry in found if entry["endpoint"] == endpoint] or [
        entry for entry in found if not entry["endpoint"]
    ]
    if mine:
        return mine[0]
    with ledger.reading() as session:
        raise _unknown(session, name, endpoint)


def insist(session: Session, endpoint: str, names: Iterable[str]) -> None:
    """Ask that rules be known, by default or because they were set; ``*`` is every one.

    Raises
    ------
    InputError
        One is not.
    """
    known = {*DEFAULT_RULES, *(spec.name for spec in specs_of(session, endpoint)), "*"}
    for name in names:
        if name not in known:
            near = get_close_matches(name, sorted(known), 3)
            hint = f"Did you mean {' or '.join(near)}?" if near else "`taxiway rules list` lists them."
            raise InputError(f"There is no rule {name[:60]!r}.", hint=hint)


def rehearse(ledger: Ledger, placed: Iterable[Placed]) -> list[Json]:
    """Say what would have fired on the stored windows, had these rules been set.

    Every complete window is looked at as if it were the newest one; ``for`` is not waited for.

    Returns
    -------
    list of dict
        For each rule of these, endpoint and column: ``windows`` in which it would have held, the ``last``
        of them, and its ``title``.
    """
    from taxiway.control import alerting
    from taxiway.monitoring.rulebook import evaluate
    from taxiway.packaging import registry

    placed = list(placed)
    asked = {one.spec.name for one in placed}
    found: dict[tuple[str, str, str], Json] = {}
    with ledger.reading() as session:
        for row in session.scalars(select(EndpointRow).where(EndpointRow.desired != "absent")):
            mine = [one.spec for one in placed if one.endpoint in ("", row.name)]
            if not mine:
                continue
            specs = [*specs_of(session, row.name), *mine]
            whole = alerting.context(session, row, registry.load(row.live))
            for end in sorted(window.end for window in whole.readings if window.complete):
                past = replace(
                    whole,
                    drift=[one for one in whole.drift if one.end <= end],
                    performance=[one for one in whole.performance if one.end <= end],
                    readings=[one for one in whole.readings if one.end <= end],
                )
                for firing in evaluate(past, specs):
                    if firing.rule not in asked:
                        continue
                    key = row.name, firing.rule, firing.column or ""
                    seen = found.setdefault(
                        key, {"endpoint": row.name, "rule": firing.rule, "column": key[2], "windows": 0}
                    )
                    seen["windows"] += 1
                    seen["last"], seen["title"] = firing.window, firing.title
    return list(found.values())
