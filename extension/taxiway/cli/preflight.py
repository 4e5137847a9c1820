"""Preflight: every check that can be made of a stored Model, with its replay in a fresh environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape

from taxiway.cli import show
from taxiway.cli.app import Json, Tag, app

if TYPE_CHECKING:
    from taxiway.packaging.preflight import Progress


@app.command()
def preflight(model: Tag, json_: Json = False) -> None:
    """Check a Model, and replay it in a fresh environment; status 1 if a blocking check failed."""
    from taxiway.packaging import registry

    found = registry.load(model)
    with _progress(found.tag) as progress:
        checks = found.preflight(progress)
    if json_:
        show.as_json({"model": found.tag, **checks.to_dict()})
    else:
        show.checks(checks.to_dict()["checks"])
        stopping = ", ".join(check.name for check in checks.blocking)
        print(f"{found.tag} may not be deployed: {stopping}" if stopping else f"{found.tag} may be deployed")
    if not checks.ok:
        raise typer.Exit(1)


@contextmanager
def _progress(tag: str) -> Iterator[Progress]:
    """Show on standard error what is being done."""
    console = Console(stderr=True, highlight=False)
    with console.status(f"{tag}: preflight") as status:

        def tell(what: object) -> None:
            if not isinstance(what, str):
                return  # a check, which the table shows
            if console.is_terminal:
                status.update(f"{tag}: {escape(what)}")
            else:
                console.print(escape(f"{tag}: {what}"), soft_wrap=True)

        yield tell
