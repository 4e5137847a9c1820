"""Models: list, show, compare, tag, export, import and delete."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape

from taxiway.cli import show
from taxiway.cli.app import Json, Tag, Yes, models_app

#: Control signs, those that turn the direction of writing, halves of signs, and separators of lines.
_CONTROLS = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


@models_app.command("list")
def models_list(
    name: Annotated[str | None, typer.Argument(help="Only versions of this one.")] = None, json_: Json = False
) -> None:
    """List Models, newest first."""
    from taxiway.control import views
    from taxiway.packaging.sizes import readable

    rows = views.models(name)
    if json_:
        return show.as_json(rows)
    show.table(
        _legible(rows),
        {
            "MODEL": "tag",
            "TAGS": lambda row: ", ".join(row["tags"]),
            "FRAMEWORK": "framework",
            "TASK": "task",
            "SIZE": lambda row: readable(row["size_bytes"]),
            "PREFLIGHT": lambda row: _preflight(row["preflight"]),
            "LIVE ON": lambda row: ", ".join(row["live_on"]),
            "SHADOW ON": lambda row: ", ".join(row["shadow_on"]),
            "PACKAGED": lambda row: (
                show.local_time(row["created"]) + (" (imported)" if row["imported"] else "")
            ),
        },
        empty="No Models yet. In a notebook: taxiway.package(model, name='…', reference=X, target=y).",
    )
    return None


@models_app.command("show")
def models_show(model: Tag, json_: Json = False) -> None:
    """Show one Model: preflight, signature, lineage, tags."""
    from taxiway.control import views
    from taxiway.packaging import registry

    found = registry.load(model)
    detail = views.model_detail(found.name, found.version)
    if json_:
        moves = registry.tags(found.name).history
        mine = [asdict(move) for move in moves if found.version in (move.before, move.after)]
        return show.as_json({**detail, "tag_history": mine})
    detail = _legible(detail)
    lineage, imported = detail["lineage"], detail["imported"]
    tell = show.console().print
    tell(f"[bold]{escape(detail['tag'])}[/bold] {escape(detail['framework'])}, {detail['task']}", markup=True)
    if detail["tags"]:
        tell(f"tagged {', '.join(detail['tags'])}", markup=False)
    tell(f"packaged {show.local_time(detail['created'])}, Bento {detail['bento']}", markup=False)
    if imported:
        when = show.local_time(imported["time"])
        tell(f"imported {when} from {imported['source']} by {imported['by']}", markup=False)
    tell(f"git commit {lineage.get('git_commit') or 'none'}, data {lineage.get('data_digest')}", markup=False)
    show.checks(detail["preflight"]["checks"])
    print(_legible(str(found.signature)))
    return None


@models_app.command("diff")
def models_diff(before: Tag, after: Tag, json_: Json = False) -> None:
    """Say by name what differs between two Models."""
    from taxiway.packaging import difference, registry

    found = difference.between(registry.load(before), registry.load(after))
    if json_:
        return show.as_json(found.to_dict())
    rows = _legible(found.to_dict()["changes"])
    show.table(
        rows,
        {
            "WHAT": "about",
            "NAME": "name",
            found.before: lambda row: None if row["kind"] == "added" else row["before"],
            found.after: lambda row: None if row["kind"] == "removed" else row["after"],
            "DIFFERENCE": lambda row: "" if row["difference"] is None else f"{row['difference']:+.4g}",
        },
        empty=str(found),
    )
    return None


@models_app.command("tag")
def models_tag(
    model: Tag,
    word: Annotated[str, typer.Argument(help="Such as champion.", metavar="TAG")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the tag away; the Model stays.")] = False,
) -> None:
    """Let a word name a version: NAME:TAG then means it, until the word is moved."""
    from taxiway.control import models

    name = model.partition(":")[0]
    moved = (
        models.untag(f"{name}:{word}", channel="cli") if remove else models.tag(model, word, channel="cli")
    )
    if moved.before == moved.after:
        print(f"{name}:{word} is {name}:{moved.after} already.")
        return
    undo = (
        f"taxiway models tag {name}:{moved.before} {word}"
        if moved.before
        else f"taxiway models tag {name} {word} --remove"
    )
    before = f"was {name}:{moved.before}" if moved.before else "is new"
    after = f"means {name}:{moved.after}" if moved.after else "is gone"
    print(f"{name}:{word} {after}, it {before}; `{undo}` undoes it.")


@models_app.command("export")
def models_export(
    model: Tag,
    place: Annotated[str, typer.Argument(help="A path or a URL, of a file or a folder.", metavar="PLACE")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Write a Model to one file, anywhere that fsspec reaches (s3://, gs://, a path, …)."""
    from taxiway.packaging import registry, transfer

    found = registry.load(model)
    with show.transfer(f"exporting {found.tag}") as progress:
        written = transfer.export(found, place, overwrite=overwrite, progress=progress)
    print(f"{found.tag} is in {written}; `taxiway models import` reads it.")


@models_app.command("import")
def models_import(
    place: Annotated[str, typer.Argument(help="The path or URL of an exported Model.", metavar="PLACE")],
    trust: Annotated[
        list[str] | None,
        typer.Option("--trust", help="A type whose code may run; repeatable.", metavar="TYPE"),
    ] = None,
    pin: Annotated[
        list[str] | None,
        typer.Option(
            "--pin",
            help="A distribution that a replay may install, or 'all' that the Model requires; repeatable.",
            metavar="NAME",
        ),
    ] = None,
) -> None:
    """Read an exported Model into the store; nothing in it is run."""
    from taxiway.control import models

    with show.transfer("importing") as progress:
        imported = models.import_model(
            place, trust=trust or (), pins=pin or (), progress=progress, channel="cli"
        )
    tag = imported.model.tag
    if not imported.new:
        print(f"{tag} is here already; nothing was written.")
        return
    print(f"{tag} was imported.")
    print(f"It has not been tried on this machine: `taxiway preflight {tag}` does, before it is deployed.")


@models_app.command("delete")
def models_delete(
    model: Annotated[str, typer.Argument(help="NAME:VERSION or NAME:TAG.", metavar="MODEL")],
    force: Annotated[
        bool, typer.Option("--force", help="Also if a tag or a rollback needs it; never what is live.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Remove a Model with its Bento and its records."""
    from taxiway.control import models
    from taxiway.packaging import deletion

    exact = deletion.named(model)
    if not yes:
        typer.confirm(f"Delete {exact} with its Bento, for good?", abort=True)
    models.delete(exact, force=force, channel="cli")
    print(f"{exact} is gone. `taxiway models import` brings back what was exported.")


def _legible(value: Any) -> Any:
    """Give what another may have written without the signs that a terminal would obey, at any depth."""
    if isinstance(value, str):
        return "".join(sign for sign in value if sign == "\n" or unicodedata.category(sign) not in _CONTROLS)
    if isinstance(value, dict):
        return {_legible(key): _legible(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_legible(one) for one in value]
    return value


def _preflight(summary: dict[str, Any]) -> str:
    if summary["ok"]:
        passed = "passed" if not summary["waived"] else f"{summary['waived']} waived"
        return passed if summary["replayed"] else f"{passed}, not replayed"
    return f"{summary['failed']} failed"
