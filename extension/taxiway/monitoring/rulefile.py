"""Rules in a YAML file: each mistake is told with its line and field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from taxiway.errors import InputError
from taxiway.monitoring.rulebook import MOST_RULES, RuleSpec, explain

MOST_BYTES = 1_000_000
MOST_DEPTH = 10
HINT = "`taxiway rules apply --help` shows an example; nothing was changed."


@dataclass(frozen=True, slots=True)
class Placed:
    """A rule of a file; ``endpoint`` is empty for one of all endpoints."""

    endpoint: str
    spec: RuleSpec
    line: int


def read_rules(path: Path) -> list[Placed]:
    """Read a file of rules: a list, or a mapping whose ``rules`` is one.

    Raises
    ------
    InputError
        One sentence with the line and the field.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", hint="Name a YAML file.") from error
    if len(content) > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES:,} bytes.", hint="Name a file of rules.")
    try:
        return parse_rules(content.decode("utf-8-sig"), path.name)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text.", hint="Name a YAML file.") from error


def parse_rules(text: str, name: str = "rules") -> list[Placed]:
    """Read rules from YAML; see ``read_rules``."""
    nodes = _rule_nodes(text, name)
    if len(nodes) > MOST_RULES:
        raise InputError(f"{name} has {len(nodes)} rules; {MOST_RULES} are the most.", hint=HINT)
    placed: list[Placed] = []
    lines: dict[tuple[str, str], int] = {}
    for node in nodes:
        rule = _rule(node, name)
        key = rule.endpoint, rule.spec.name
        if key in lines:
            where = f" for {rule.endpoint}" if rule.endpoint else ""
            raise _wrong(
                name, rule.line, f"rule {rule.spec.name!r}{where} stands in line {lines[key]} already"
            )
        lines[key] = rule.line
        placed.append(rule)
    return placed


def _rule_nodes(text: str, name: str) -> list[Any]:
    import yaml

    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_DEPTH:  # it would be read for minutes before it was refused
                raise _wrong(name, event.start_mark.line + 1, "it is nested too deeply")
            if isinstance(event, yaml.AliasEvent):
                # what an alias repeats may itself repeat: a short file would take all memory
                raise _wrong(name, event.start_mark.line + 1, "aliases (*) are not read; write it out")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _wrong(name, mark.line + 1 if mark else 1, f"it is not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise _wrong(name, 1, f"it is not YAML: {error}".splitlines()[0]) from None
    if isinstance(root, yaml.MappingNode):
        fields = {str(key.value): (key, value) for key, value in root.value}
        for key, (node, _) in fields.items():
            if key != "rules":
                raise _wrong(name, node.start_mark.line + 1, f"there is no field {key[:40]!r}; use rules")
        root = fields["rules"][1] if fields else None
    if not isinstance(root, yaml.SequenceNode) or not root.value:
        line = root.start_mark.line + 1 if root is not None else 1
        raise _wrong(name, line, "it has no list of rules")
    return list(root.value)


def _rule(node: Any, name: str) -> Placed:
    import yaml

    line = node.start_mark.line + 1
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(name, line, "a rule is a mapping such as {name: …, metric: …, above: …}")
    loader = yaml.SafeLoader("")
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        field, place = str(key.value), key.start_mark.line + 1
        if field in values:
            raise _wrong(name, place, f"{field[:40]} is given twice")
        try:
            values[field] = loader.construct_object(value, deep=True)
        except (yaml.YAMLError, ValueError):
            raise _wrong(name, place, f"{field[:40]} cannot be read as {value.tag}") from None
        lines[field] = place
    endpoint = values.pop("endpoint", "")
    if not isinstance(endpoint, str):
        raise _wrong(name, lines["endpoint"], "endpoint has to be a name")
    try:
        return Placed(endpoint, RuleSpec.model_validate(values), line)
    except ValidationError as error:
        field, reason = explain(error)
        said = f"{field}: {reason}" if field else reason
        raise _wrong(name, lines.get(field, line), said) from None


def _wrong(name: str, line: int, what: str) -> InputError:
    return InputError(f"{name}, line {line}: {what}.", hint=HINT)
