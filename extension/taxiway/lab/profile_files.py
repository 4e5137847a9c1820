"""The profiles among the files of Jupyter's contents manager, brought to where the reader finds them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from jupyter_core.utils import ensure_async
from tornado import web

from taxiway.errors import InputError, NotFoundError

MOST_BYTES = 64 * 2**20
_LARGE = "`{name}` has {size:.0f} MB, and profiles of more than {most:.0f} MB are not shown here."
_HINT = "Read it in a notebook: `taxiway.monitoring.profiles.read`."


@asynccontextmanager
async def local_copy(contents: Any, path: str) -> AsyncIterator[Path]:
    """Give a file of the contents manager as one of this machine, for a while.

    Whatever the manager is (files, a bucket, a test's), it decides what may be read: nothing outside of its
    root, nothing hidden.

    Raises
    ------
    NotFoundError, InputError
        There is no such file; it is too large, or the manager refuses it.
    """
    name = path.rsplit("/", 1)[-1]
    _check_size(name, (await _get(contents, path, content=False)).get("size"))
    found = await _get(contents, path, content=True)
    with tempfile.TemporaryDirectory(prefix="taxiway-profile-") as folder:
        copy = Path(folder) / "profile.bin"
        await asyncio.to_thread(_write, copy, found["content"], name)
        yield copy


def _write(copy: Path, content: str, name: str) -> None:
    try:
        data = base64.b64decode(content)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"`{name}` is no binary file.", hint="Choose a whylogs profile.") from error
    _check_size(name, len(data))
    copy.write_bytes(data)


def _check_size(name: str, size: int | None) -> None:
    if size is not None and size > MOST_BYTES:
        raise InputError(_LARGE.format(name=name, size=size / 1e6, most=MOST_BYTES / 1e6), hint=_HINT)


async def _get(contents: Any, path: str, *, content: bool) -> Any:
    try:
        return await ensure_async(contents.get(path, content=content, type="file", format="base64"))
    except web.HTTPError as error:
        name = path.rsplit("/", 1)[-1]
        if error.status_code == 404:
            raise NotFoundError(f"There is no file `{name}`.", hint="It may have been moved.") from error
        raise InputError(f"`{name}` cannot be read: {error.log_message}", hint="Choose a file.") from error
