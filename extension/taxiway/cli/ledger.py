"""Of the ledger: whether it is as it was written, a backup of it, and the way back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from taxiway.cli import show
from taxiway.cli.app import Json, app


@app.command()
def audit(
    since: Annotated[
        str | None, typer.Option(help="The mark that an earlier audit printed.", metavar="MARK")
    ] = None,
    json_: Json = False,
) -> None:
    """Check that no event of the history was changed, removed, inserted or moved.

    The mark that it prints, noted elsewhere, lets a later audit prove the same of all events up to now;
    without it, a history that somebody forged as a whole looks as any other.
    """
    from taxiway.control.audit import audit as look
    from taxiway.control.ledger import ledger

    with ledger().reading() as session:
        found = look(session, since=since)
    if json_:
        show.as_json(asdict(found))
    else:
        for finding in found.findings:
            print(finding.text)
        print(f"{found.events} events, {len(found.findings) or 'no'} findings; mark {found.mark}")
    if found.findings:
        raise typer.Exit(1)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    force: Annotated[bool, typer.Option(help="Write over a file that is there.")] = False,
    json_: Json = False,
) -> None:
    """Write the whole ledger to one file while all goes on working.

    Models, the prediction log and profiles lie in the store, and are not in it.
    """
    from taxiway.control.backup import backup as write
    from taxiway.control.ledger import ledger

    with _progress("Backing up") as progress:
        made = write(ledger(), file, force=force, progress=progress)
    if json_:
        return show.as_json(asdict(made))
    print(f"{made.path}: {made.endpoints} endpoints, {made.events} events, {made.size / 1e6:.1f} MB")
    print(f"mark {made.mark}")
    return None


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `taxiway backup` has written.")],
    force: Annotated[bool, typer.Option(help="Replace a ledger that is not empty; it is kept.")] = False,
    json_: Json = False,
) -> None:
    """Bring a backup back, into SQLite or PostgreSQL, in one transaction."""
    from taxiway.control.backup import restore as bring
    from taxiway.control.ledger import actor
    from taxiway.settings import settings

    with _progress("Restoring") as progress:
        done = bring(settings().ledger_url, file, by=actor("cli"), force=force, progress=progress)
    if json_:
        return show.as_json(asdict(done))
    print(f"The ledger is restored: {done.endpoints} endpoints, {done.events} events.")
    if done.kept:
        print(f"As it was before, it is kept in {done.kept}.")
    if done.stopped:
        print(f"The agent will stop what the backup does not know: {', '.join(done.stopped)}.")
    print("`taxiway agent start` brings everything to what it asks for.")
    return None


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how much is done, where somebody looks."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
