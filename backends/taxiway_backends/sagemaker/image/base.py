"""What every image stands on: Python 3.11 of Debian 12 and what it needs, without a compiler, apt or pip.

The packages of ``base.lock`` are unpacked, and nothing of them is run, so that neither root nor a daemon is
needed and the outcome depends on the lock alone.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from taxiway.errors import BackendError
from taxiway_backends.sagemaker.image.debian import BaseLock, fetch, unpack

PYTHON = "3.11"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LINKS = {
    "bin": "usr/bin",
    "sbin": "usr/sbin",
    "lib": "usr/lib",
    "lib64": "usr/lib64",
    "usr/bin/python3": "python3.11",
    "usr/bin/python": "python3.11",
}
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
_FOLDERS = ("root", "tmp", "var/tmp", "proc", "sys", "dev")
#: Manuals and translations, and what of Python no server imports; the licences stay.
_LEFT_OUT = (
    *(f"usr/share/{name}" for name in ("man", "locale", "lintian", "bash-completion")),
    *(f"usr/lib/python3.11/{name}" for name in ("lib2to3", "test", "pydoc_data", "idlelib")),
)
#: What is compiled at once; the number of processes is not: a part's outcome may not depend on it.
_PARTS = 4


def make_base(cache: Path, lock: BaseLock) -> Path:
    """Give the base's root, made where it is not there.

    Raises
    ------
    BackendError
        A package could not be had.
    """
    root = cache / f"base-{lock.digest[:16]}"
    if root.is_dir():
        return root
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda one: fetch(one, lock.time, cache / "debian"), lock.packages))
    part = cache / f".{root.name}"
    shutil.rmtree(part, ignore_errors=True)
    for folder in _FOLDERS:
        (part / folder).mkdir(parents=True)
    for file in files:
        with unpack(file) as archive:
            _extract(archive, part)
    for name, target in _LINKS.items():
        (part / name).symlink_to(target)
    for name, text in _FILES.items():
        (part / name).write_text(text, encoding="utf-8")
    _trust(part)
    compile_sources(part, part / "usr/lib/python3.11", "/usr/lib/python3.11")
    part.rename(root)
    return root


def _extract(archive: tarfile.TarFile, root: Path) -> None:
    """Unpack a package as Debian lays it out since 12: ``/bin``, ``/sbin`` and ``/lib*`` are in ``/usr``."""
    for member in archive:
        name = member.name.removeprefix("./").rstrip("/")
        if not name or name == ".":
            continue
        if name.partition("/")[0] in ("bin", "sbin", "lib", "lib64"):
            name = f"usr/{name}"
        if name.startswith(_LEFT_OUT) or _is_documentation(name):
            continue
        if member.islnk():
            member.linkname = f"usr/{member.linkname.removeprefix('./')}".replace("usr/usr/", "usr/")
        member.name = name
        archive.extract(member, root, filter=lambda one, _: one.replace(uid=None, gid=None, deep=False))


def _is_documentation(name: str) -> bool:
    return name.startswith("usr/share/doc/") and "." in name and not name.endswith("copyright")


def _trust(root: Path) -> None:
    """Write the certificates' bundle, as ``update-ca-certificates`` does."""
    found = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(path.read_bytes().rstrip() + b"\n" for path in found))


def can_run() -> bool:
    """Whether a root's own Python runs on this machine as it is."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def own_python(root: Path, script: Path) -> Path:
    """Write a script that runs a root's own Python, with the root's own libraries, without changing root.

    Its loader is told where the libraries are, so that neither rights nor namespaces are needed; the script
    is what Python takes for itself, so that its children run so too.
    """
    libraries = root / _LIBRARIES
    command = f'exec "{libraries}/ld-linux-x86-64.so.2" --library-path "{libraries}" --argv0 "{script}"'
    script.write_text(
        f'#!/bin/sh\nexport PYTHONHOME="{root}/usr"\n{command} "{root}/usr/bin/python3.11" "$@"\n',
        encoding="utf-8",
    )
    script.chmod(0o755)
    return script


def compile_sources(root: Path, folder: Path, place: str) -> None:
    """Compile every module under a folder, with the base's own Python; so nothing is compiled at a start.

    Parameters
    ----------
    root
        Of the base.
    folder
        What is compiled.
    place
        Where the folder lies in the image.

    Notes
    -----
    The compiled files check no times: what is in an image does not change. Elsewhere than on Linux with an
    x86-64 processor nothing is compiled, and a container takes longer to start.
    """
    if not can_run():
        return
    script = own_python(root.resolve(), folder.parent / f".{folder.name}-python")
    command = [str(script), "-I", "-c", _COMPILE, str(folder), place]
    environment = {"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"}
    try:
        parts = [
            subprocess.Popen([*command, str(part), str(_PARTS)], env=environment, stderr=subprocess.PIPE)
            for part in range(_PARTS)
        ]
        for part in parts:
            _, said = part.communicate()
            if part.returncode:
                last = said.decode(errors="replace").strip().rpartition("\n")[2]
                raise BackendError(
                    f"The image's Python could not compile its modules: {last}.",
                    hint=f"Remove {root.parent}, and build again.",
                )
    finally:
        script.unlink()


#: Every part takes each fourth file of all, in one order: what a file compiles to can depend on those before.
_COMPILE = """
import pathlib, py_compile, sys, warnings
warnings.simplefilter("ignore")
folder, place, part, parts = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for path in sorted(folder.rglob("*.py"))[part::parts]:
    try:
        py_compile.compile(str(path), dfile=f"{place}/{path.relative_to(folder)}", doraise=True,
                           invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    except py_compile.PyCompileError:
        pass  # a template, or source of another Python
"""
