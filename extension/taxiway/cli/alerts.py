"""Alerts, silences, and the sinks that alerts are delivered to."""

from __future__ import annotations

import sys
import time
from fnmatch import fnmatchcase
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from taxiway.cli import show
from taxiway.cli.app import Json
from taxiway.errors import InputError, TaxiwayError


class ListByDefault(TyperGroup):
    """A group that lists where no command is named, so that ``taxiway alerts rain`` does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``list`` before what begins with no command."""
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "--show-completion")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


alerts_app = typer.Typer(cls=ListByDefault, help="What someone should know; without a command, lists it.")
sinks_app = typer.Typer(no_args_is_help=True, help="Where alerts are delivered.")

SinkName = Annotated[str, typer.Argument(help="The sink's name.", metavar="SINK")]


@alerts_app.command("list")
def alerts_list(
    endpoint: Annotated[str | None, typer.Argument(help="Only this endpoint's.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    acknowledge: Annotated[int | None, typer.Option(help="Mark this alert as seen.", metavar="ID")] = None,
    json_: Json = False,
) -> None:
    """List open alerts; pending ones hold, but not yet for as long as their rule asks."""
    from taxiway.control import desired, views
    from taxiway.control.ledger import ledger

    if acknowledge is not None:
        alerts_ack(acknowledge, quiet=True)
    rows = views.alerts(endpoint, include_resolved=all_)
    if endpoint and not rows:
        with ledger().reading() as session:
            desired.get(session, endpoint)
    if json_:
        return show.as_json(rows)
    show.table(
        rows,
        {
            "ID": "id",
            "ENDPOINT": "endpoint",
            "SEVERITY": "severity",
            "STATE": "state",
            "ALERT": "title",
            "LAST SEEN": lambda row: show.local_time(row["last_seen"]),
            "COUNT": "count",
        },
        empty="No open alerts.",
    )
    return None


@alerts_app.command("ack")
def alerts_ack(
    alert: Annotated[int, typer.Argument(help="Its number.", metavar="ID")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
    json_: Json = False,
) -> None:
    """Mark an alert as seen."""
    from taxiway.control import api

    api.acknowledge(alert, channel="cli")
    if json_:
        show.as_json({"id": alert, "state": "acknowledged"})
    elif not quiet:
        print(f"Alert {alert} is acknowledged; it is told again if it gets worse.")


@alerts_app.command("silence")
def alerts_silence(
    endpoint: Annotated[str, typer.Argument(help="Of this endpoint; of all if left out.")] = "",
    lasting: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 7d.", metavar="TIME")] = "",
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")] = "",
    rule: Annotated[str, typer.Option(help="Only of this rule; schema_* is several.")] = "",
    column: Annotated[str, typer.Option(help="Only of this column.")] = "",
    severity: Annotated[str, typer.Option(help="Only of this severity.")] = "",
    every: Annotated[
        str,
        typer.Option(help="A maintenance window that comes again: 'sat 02:00', 'daily 03:00', or cron."),
    ] = "",
    zone: Annotated[str, typer.Option(help="The time zone of --every.", metavar="ZONE")] = "UTC",
    json_: Json = False,
) -> None:
    """Tell nobody of some alerts, for a while or in a maintenance window; they are still listed.

    What fires when the silence ends is told then.
    """
    from taxiway.control import rules, silencing, views
    from taxiway.control.ledger import actor, ledger
    from taxiway.monitoring.rulebook import duration
    from taxiway.monitoring.silences import Matcher, Schedule, as_cron

    try:
        length = duration(lasting)
    except ValueError as error:
        what = f"{error}" if lasting else "a silence needs --for"
        raise InputError(f"{what[:1].upper()}{what[1:]}.", hint="--for 2h") from None
    schedule = Schedule(as_cron(every), length.total_seconds(), zone) if every else None
    number = silencing.silence(
        ledger(),
        Matcher(endpoint, rule, column, severity),
        lasting=length,
        reason=reason,
        by=actor("cli"),
        schedule=schedule,
    )
    (made,) = [row for row in silencing.listed(ledger()) if row["id"] == number]
    if json_:
        return show.as_json(made)
    print(f"Silence {number} is on {made['when']}; `taxiway alerts unsilence {number}` ends it.")
    for what, wanted, known in (
        ("endpoint", endpoint, views.endpoints()),
        ("rule", rule, rules.listed(ledger())),
    ):
        if not any(fnmatchcase(one["name"], wanted or "*") for one in known):
            print(f"  So far there is no {what} {wanted}.", file=sys.stderr)
    return None


@alerts_app.command("silences")
def alerts_silences(
    all_: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    json_: Json = False,
) -> None:
    """List silences and maintenance windows."""
    from taxiway.control import silencing
    from taxiway.control.ledger import ledger

    rows = silencing.listed(ledger(), include_ended=all_)
    if json_:
        return show.as_json(rows)
    show.table(
        rows,
        {
            "ID": "id",
            "NOW": lambda row: "silent" if row["active"] else "",
            "WHEN": "when",
            "OF": lambda row: (
                ", ".join(
                    f"{name} {row[name]}" for name in ("endpoint", "rule", "column", "severity") if row[name]
                )
                or "all alerts"
            ),
            "REASON": "reason",
            "BY": "actor",
        },
        empty="Nothing is silenced.",
    )
    return None


@alerts_app.command("unsilence")
def alerts_unsilence(
    number: Annotated[int, typer.Argument(help="Its number.", metavar="ID")], json_: Json = False
) -> None:
    """End a silence, or a maintenance window for good."""
    from taxiway.control import silencing
    from taxiway.control.ledger import actor, ledger

    silencing.end(ledger(), number, by=actor("cli"))
    if json_:
        rows = silencing.listed(ledger(), include_ended=True)
        return show.as_json(next(row for row in rows if row["id"] == number))
    print(f"Silence {number} has ended.")
    return None


@alerts_app.command("test")
def alerts_test(
    sink: SinkName,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer.")] = 60.0,
    json_: Json = False,
) -> None:
    """Send a test message the way that alerts go, through the agent, and tell what the sink answers."""
    from taxiway.control import agent_process, outbox
    from taxiway.control.ledger import ledger
    from taxiway.control.tables import DeliveryRow

    with ledger().transaction() as session:
        number = outbox.enqueue_test(session, sink).id
    agent_process.start()
    deadline = time.monotonic() + timeout
    while True:
        with ledger().reading() as session:
            row = session.get(DeliveryRow, number)
        if row is None or row.state != "queued" or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    state = row.state if row is not None else "removed"
    if json_:
        show.as_json({"sink": sink, "state": state, "answer": row.error if row is not None else ""})
        if state != "sent":
            raise typer.Exit(1)
        return
    if state == "sent":
        assert row is not None
        print(f"{sink} has it: {row.error}")
        return
    if state == "failed":
        assert row is not None
        raise TaxiwayError(
            f"{sink} did not take it: {row.error}", hint="`taxiway sinks list` shows how it is defined."
        )
    raise TaxiwayError(
        f"The agent has not told {sink} within {timeout:g} s.",
        hint="`taxiway agent status` shows what it does.",
    )


@sinks_app.command("add")
def sinks_add(
    name: SinkName,
    url: Annotated[
        str, typer.Option(help="env:NAME, keyring:SERVICE/USER, or an address without a secret in it.")
    ],
    kind: Annotated[str, typer.Option(help="apprise, webhook or alertmanager.")] = "",
    secret: Annotated[str, typer.Option(help="env:NAME of the key that signs a webhook.")] = "",
    token: Annotated[str, typer.Option(help="env:NAME of a bearer token.")] = "",
    severity: Annotated[str, typer.Option(help="The least that is told: info, warning, critical.")] = "info",
    endpoint: Annotated[list[str] | None, typer.Option(help="Only of this endpoint; repeatable.")] = None,
    resolved: Annotated[bool, typer.Option(help="Tell that an alert is over, too.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds that it may take to answer.")] = 10.0,
    json_: Json = False,
) -> None:
    """Deliver alerts somewhere, or change where; a new sink is told what fires already.

    Any address of Apprise (slack://, mailto://, discord:// and some hundred more); a webhook that gets
    JSON; or a Prometheus Alertmanager. An address with a secret in it stands in an environment variable of
    the agent: `export SLACK_URL=slack://…; taxiway agent start; taxiway sinks add slack --url env:SLACK_URL`.
    Whoever may write the ledger decides what the agent calls; redirects are not followed.
    """
    from taxiway.control import sinks
    from taxiway.control.ledger import actor, ledger

    chosen = kind or ("webhook" if url.startswith(("http://", "https://")) else "apprise")
    definition = {
        **{"kind": chosen, "url": url, "secret": secret, "token": token, "severity": severity},
        **{"endpoints": tuple(endpoint or ()), "resolved": resolved, "timeout": timeout},
    }
    sinks.add(ledger(), name, definition, by=actor("cli"))
    if json_:
        return show.as_json(next(row for row in sinks.listed(ledger()) if row["name"] == name))
    print(f"{name} is a sink ({chosen}); `taxiway alerts test {name}` tries it.")
    return None


@sinks_app.command("list")
def sinks_list(json_: Json = False) -> None:
    """List the sinks, with how they fare."""
    from taxiway.control import sinks
    from taxiway.control.ledger import ledger

    rows = sinks.listed(ledger())
    if json_:
        return show.as_json(rows)
    show.table(
        rows,
        {
            "NAME": "name",
            "KIND": "kind",
            "URL": "url",
            "FROM": "severity",
            "LAST TOLD": lambda row: show.local_time(row["delivered"]),
            "WAITING": "waiting",
            "FAILURES": "failures",
            "ERROR": "error",
        },
        empty="Alerts are delivered nowhere. `taxiway sinks add NAME --url env:VARIABLE` adds a sink.",
    )
    return None


@sinks_app.command("remove")
def sinks_remove(name: SinkName, json_: Json = False) -> None:
    """Deliver nothing there any more; what waits for it is forgotten."""
    from taxiway.control import sinks
    from taxiway.control.ledger import actor, ledger

    sinks.remove(ledger(), name, by=actor("cli"))
    if json_:
        return show.as_json({"removed": name})
    print(f"{name} is no sink any more.")
    return None
