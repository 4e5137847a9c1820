"""What people do with Models in the store: tag, delete, import; who did it is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import or_, select

from taxiway.control.ledger import actor, ledger, record
from taxiway.control.tables import EndpointRow
from taxiway.errors import ConflictError, InputError
from taxiway.packaging import deletion, registry, tags, transfer
from taxiway.packaging.archive import Progress
from taxiway.packaging.model import Model
from taxiway.packaging.tags import Move
from taxiway.packaging.transfer import Imported


def tag(model: Model | str, word: str, *, channel: str = "api") -> Move:
    """Let ``word`` name a version, so that ``name:word`` means it wherever a Model is named.

    Parameters
    ----------
    model
        A Model, or ``name:version``; ``name`` means its newest version now.
    word
        Such as ``champion``; it moves from the version that it named before.

    Raises
    ------
    NotFoundError
        There is no such Model.
    InputError
        It cannot be a tag.
    """
    found = registry.load(model) if isinstance(model, str) else model
    folder = registry.folder_of(found.name, found.version).parent
    return tags.move(folder, word, found.version, by=actor(channel))


def untag(model: str, *, channel: str = "api") -> Move:
    """Remove the tag of ``name:tag``; the Model stays.

    Raises
    ------
    NotFoundError
        There is no such tag.
    """
    name, _, word = model.partition(":")
    if not word:
        raise InputError(f"{model!r} names no tag.", hint="Name it: NAME:TAG, such as rain:champion.")
    folder = registry.folder_of(name, "0" * 12).parent
    return tags.move(folder, word, None, by=actor(channel))


def delete(model: Model | str, *, force: bool = False, channel: str = "api") -> str:
    """Remove a Model with its Bento and its records; give its tag.

    Parameters
    ----------
    model
        A Model, ``name:version`` or ``name:tag``.
    force
        Also if a tag names it, or a rollback would go back to it: the tag goes, and so does the way back.

    Raises
    ------
    ConflictError
        It is live or the shadow on an endpoint; or a tag or a rollback needs it.
    """

    @contextmanager
    def unused(exact: str) -> Iterator[None]:
        with ledger().transaction() as session:
            roles = (EndpointRow.live, EndpointRow.shadow, EndpointRow.previous)
            rows = session.scalars(
                select(EndpointRow)
                .where(EndpointRow.desired != "absent", or_(*(role == exact for role in roles)))
                .order_by(EndpointRow.name)
            ).all()
            _refuse(exact, rows, force=force)
            for row in rows:
                row.previous = None
            yield
            record(session, "model deleted", f"Model {exact} was deleted.", by=actor(channel), model=exact)

    name = model if isinstance(model, str) else model.tag
    return deletion.delete(name, by=actor(channel), force=force, guard=unused)


def import_model(
    place: str | Path,
    *,
    trust: Iterable[str] = (),
    pins: Iterable[str] = (),
    progress: Progress | None = None,
    channel: str = "api",
) -> Imported:
    """Read an exported Model into the store; see ``taxiway.packaging.transfer.import_model``."""
    return transfer.import_model(place, trust=trust, pins=pins, by=actor(channel), progress=progress)


def _refuse(exact: str, rows: Sequence[EndpointRow], *, force: bool) -> None:
    used = [f"live on {row.name}" for row in rows if row.live == exact]
    used += [f"the shadow on {row.name}" for row in rows if row.shadow == exact]
    if used:
        raise ConflictError(
            f"{exact} is {', '.join(used)}.",
            hint="Promote or deploy another Model there first, stop the shadow, or delete the endpoint.",
        )
    if rows and not force:
        raise ConflictError(
            f"A rollback on {', '.join(row.name for row in rows)} would go back to {exact}.",
            hint="Keep it, or delete it by force (--force), after which there is no rollback.",
        )
