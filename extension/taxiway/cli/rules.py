"""Rules: those that hold by default, and those that people set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from taxiway.cli import show
from taxiway.cli.app import Json

rules_app = typer.Typer(no_args_is_help=True, help="When an alert fires.")

File = Annotated[Path, typer.Argument(help="A YAML file.", metavar="FILE")]
OfEndpoint = Annotated[str, typer.Option(help="Of this endpoint; of all if left out.", metavar="NAME")]


@rules_app.command("apply")
def rules_apply(
    file: File,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what would fire on the stored windows.")
    ] = False,
    json_: Json = False,
) -> None:
    r"""Set the rules of a file, all of them or none; a rule of the same name is replaced.

    A rule has a name, a metric, a bound (above or below); and may have column, slice, window (latest,
    current, or a time such as 7d), for, severity, min_rows, exclude, endpoint:

    \b
    rules:
      - {name: wind-moves, metric: psi, column: wind, above: 0.3, for: 2h}
      - {name: few-outcomes, metric: coverage, window: 7d, below: 0.5}
      - {name: new_category, enabled: false}    # a default rule
    """
    from taxiway.control import rules
    from taxiway.control.ledger import actor, ledger
    from taxiway.monitoring.rulefile import read_rules

    placed = read_rules(file)
    if not dry_run:
        rules.apply(ledger(), placed, by=actor("cli"))
        names = [one.spec.name for one in placed]
        if json_:
            return show.as_json({"applied": names})
        print(f"{len(names)} rule{'s' if len(names) != 1 else ''} set: {', '.join(names)}.")
        return None
    rows = rules.rehearse(ledger(), placed)
    if json_:
        return show.as_json(rows)
    show.table(
        rows,
        {
            "ENDPOINT": "endpoint",
            "RULE": "rule",
            "COLUMN": "column",
            "WINDOWS": "windows",
            "LAST": "last",
            "ALERT": "title",
        },
        empty="None of these rules would have fired on the stored windows. Nothing was changed.",
    )
    return None


@rules_app.command("check")
def rules_check(file: File, json_: Json = False) -> None:
    """Read a file of rules, and say what each is; nothing is changed."""
    from taxiway.monitoring.rulefile import read_rules

    rows = [
        {"line": one.line, "name": one.spec.name, "endpoint": one.endpoint, "about": one.spec.about}
        for one in read_rules(file)
    ]
    if json_:
        return show.as_json(rows)
    columns = {"LINE": "line", "NAME": "name", "ENDPOINT": "endpoint", "RULE": "about"}
    show.table(rows, dict(columns), empty="It has no rules.")
    return None


@rules_app.command("list")
def rules_list(endpoint: OfEndpoint = "", json_: Json = False) -> None:
    """List every rule, default ones too."""
    from taxiway.control import rules
    from taxiway.control.ledger import ledger

    rows = rules.listed(ledger(), endpoint or None)
    if json_:
        return show.as_json(rows)
    show.table(
        rows,
        {
            "NAME": "name",
            "ENDPOINT": lambda row: row["endpoint"] or "all",
            "ON": "enabled",
            "DEFAULT": "default",
            "SEVERITY": "severity",
            "FIRES ON": "about",
            "SET BY": "actor",
        },
        empty="There are no rules.",
    )
    return None


@rules_app.command("show")
def rules_show(
    name: Annotated[str, typer.Argument(help="The rule's name.")],
    endpoint: OfEndpoint = "",
    json_: Json = False,
) -> None:
    """Show one rule, as it was written."""
    import yaml

    from taxiway.control import rules
    from taxiway.control.ledger import ledger

    entry = rules.find(ledger(), name, endpoint)
    if json_:
        return show.as_json(entry)
    print(f"# {entry['about']}")
    scope = {"endpoint": entry["endpoint"]} if entry["endpoint"] else {}
    print(yaml.safe_dump([{"name": name, **scope, **entry["definition"]}], sort_keys=False).rstrip())
    return None


@rules_app.command("delete")
def rules_delete(
    name: Annotated[str, typer.Argument(help="The rule's name.")],
    endpoint: OfEndpoint = "",
    json_: Json = False,
) -> None:
    """Delete a rule that was set; a default rule is then again as it was."""
    from taxiway.control import rules
    from taxiway.control.ledger import actor, ledger

    rules.delete(ledger(), name, endpoint, by=actor("cli"))
    if json_:
        return show.as_json({"deleted": name, "endpoint": endpoint})
    print(f"Rule {name} is deleted.")
    return None
