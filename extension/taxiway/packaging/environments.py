"""Virtual environments that hold exactly what a Model pins, made by uv and kept for the next time.

``<home>/environments/<key>`` is whole or not there: it is made under another name and renamed. The key's
lock is held alone while one is made or removed, and shared while one is in use.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from taxiway.errors import PackagingError
from taxiway.packaging import digest, processes
from taxiway.settings import settings

#: How many are kept; of more, those that were not used for longest are removed.
MOST_KEPT = 5
_TIMEOUT = 1800.0
_LOCKS = ".locks"
_PARTIAL = ".partial-"
_NOTE = "uv"
_VERSION = re.compile(r"\d+\.\d+(\.\d+\w*\+?)?", re.ASCII)
_NEEDS_NETWORK = (
    "The first time, uv downloads the pinned packages: check the network and uv's index settings."
)
_NO_WHEEL = re.compile(r"has no (usable )?wheels")
_NEEDS_WHEEL = (
    "Nothing is built from source for a replay: take a version of it that has a wheel for this Python and "
    "machine, or put one into an index that uv is told of (UV_INDEX, UV_FIND_LINKS)."
)


@contextmanager
def environment(pins: Sequence[str], python: str, tell: Callable[[str], None]) -> Iterator[Path]:
    """Give the folder of a virtual environment, and keep it from being removed while it is used.

    Parameters
    ----------
    pins
        ``name==version`` of every distribution in it.
    python
        The version of Python, such as ``3.11.7``: this very one where major and minor are the same, else
        one of that minor version, as uv finds it.
    tell
        Told a line when one must be made.

    Raises
    ------
    PackagingError
        ``python`` is no version, or uv could not make it.
    """
    root = settings().home / "environments"
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    interpreter = _interpreter(python)
    key = _key(pins, interpreter)
    folder = root / key
    _sweep(root)
    while True:
        with _lock(root, key, fcntl.LOCK_SH):
            if folder.is_dir():
                os.utime(folder)
                yield folder
                return
        with _lock(root, key, fcntl.LOCK_EX):
            if not folder.is_dir():
                tell(f"making an environment of {len(pins)} pinned packages (kept for the next time)")
                _make(folder, pins, interpreter)
            _bound(root, keep=key)


def python_of(folder: Path) -> Path:
    """Give the interpreter of an environment."""
    return folder / "bin" / "python"


def is_version(python: str) -> bool:
    """Whether that is a version of Python, and not, as uv would take too, the path of any program."""
    return _VERSION.fullmatch(python) is not None


def _interpreter(python: str) -> str:
    """Give what uv is asked for: this interpreter's path, or a minor version."""
    if not is_version(python):
        raise PackagingError(
            f"An environment could not be made: {python!r} is not a version of Python.",
            hint="The Model says so in environment.json: package it again, or ask whom it comes from.",
        )
    minor = ".".join(python.split(".")[:2])
    return sys.executable if minor == f"{sys.version_info.major}.{sys.version_info.minor}" else minor


def _key(pins: Sequence[str], interpreter: str) -> str:
    python = platform.python_version() if interpreter == sys.executable else interpreter
    what = {"pins": sorted(pins), "python": python, "prefix": sys.base_prefix, "machine": platform.machine()}
    return digest.of_value(what)[:16]


def _make(folder: Path, pins: Sequence[str], interpreter: str) -> None:
    partial = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{folder.name}-", dir=folder.parent))
    try:
        pinned = partial / "requirements.txt"
        pinned.write_text("\n".join(pins) + "\n", encoding="utf-8")
        # uv looks for settings from where it runs upwards: it finds these, and not those of a project
        (partial / "uv.toml").touch()
        made = partial / "made"
        _uv(partial, "venv", "--quiet", "--relocatable", "--python", interpreter, str(made))
        _uv(
            partial,
            # wheels only: to build from source is to run what the pins of an imported Model name
            *("pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--compile-bytecode"),
            *("--python", str(python_of(made)), "--requirements", str(pinned)),
        )
        made.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _uv(folder: Path, *words: str) -> None:
    """Run uv in ``folder``, with the user's own variables and settings for indexes, proxies, certificates."""
    try:
        from uv import find_uv_bin

        tool = find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        raise PackagingError(
            "An environment could not be made: uv is not installed here.", hint="pip install uv"
        ) from error
    # the reason is read from one line, so uv must not fold it to a terminal's width
    own = {**os.environ, "COLUMNS": "9999"}
    with processes.started([tool, *words], env=own, cwd=folder, note=folder / _NOTE) as uv:
        status = uv.wait(_TIMEOUT)
        if status is None:
            raise PackagingError(
                f"An environment could not be made within {_TIMEOUT / 60:g} minutes.", hint=_NEEDS_NETWORK
            )
        if status:
            log = uv.log()
            raise PackagingError(
                f"An environment could not be made: {_reason(log)}.",
                hint=_NEEDS_WHEEL if _NO_WHEEL.search(" ".join(log.split())) else _NEEDS_NETWORK,
            )


def _reason(log: str) -> str:
    """Give uv's reason in one line: its last cause, which names what was wrong."""
    lines = [re.sub(r"^[\s│├╰─▶×╭]+", "", line).strip() for line in log.splitlines()]
    lines = [line for line in lines if line and not line.startswith("hint:")]
    return (lines[-1] if lines else "uv gave no reason").rstrip(".")


def _bound(root: Path, *, keep: str) -> None:
    """Remove the least recently used ones beyond ``MOST_KEPT`` that nobody is using."""
    used = []
    for folder in root.iterdir():
        if folder.name != keep and not folder.name.startswith("."):
            with suppress(FileNotFoundError):
                used.append((folder.stat().st_mtime, folder))
    used.sort(reverse=True)
    for _, folder in used[MOST_KEPT - 1 :]:
        with suppress(BlockingIOError), _lock(root, folder.name, fcntl.LOCK_EX | fcntl.LOCK_NB):
            gone = root / f"{_PARTIAL}{folder.name}-gone"
            with suppress(FileNotFoundError):
                folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Remove what makers that were killed left half-made, and end their uv: the lock of each is free."""
    for partial in root.glob(f"{_PARTIAL}*"):
        key = partial.name.removeprefix(_PARTIAL).partition("-")[0]
        with suppress(BlockingIOError), _lock(root, key, fcntl.LOCK_EX | fcntl.LOCK_NB):
            processes.end_noted(partial / _NOTE)
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _lock(root: Path, key: str, kind: int) -> Iterator[None]:
    (root / _LOCKS).mkdir(exist_ok=True)
    handle = os.open(root / _LOCKS / key, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, kind)
        yield
    finally:
        os.close(handle)  # closing gives the lock back
