"""An image that stands for ``python:3.11-slim`` where no registry is reached: Debian's packages, unpacked.

Nothing of them is run to make it, so it takes seconds. Its ``apt-get`` installs nothing: what BentoML has
installed there (a compiler, git) is for packages without a wheel, which no Bento of the tests has.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

SLIM = "python:3.11-slim"
_PACKAGES = (
    *("base-files", "bash", "coreutils", "dash", "libc-bin", "login", "passwd", "media-types"),
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
    *("gcc-12-base", "libacl1", "libattr1", "libaudit-common", "libaudit1", "libbz2-1.0", "libc6"),
    *("libcap-ng0", "libcrypt1", "libdb5.3", "libexpat1", "libffi8", "libgcc-s1", "libgmp10"),
    *("liblzma5", "libncursesw6", "libpam0g", "libpcre2-8-0", "libreadline8", "libselinux1"),
    *(
        "libsemanage2",
        "libsepol2",
        "libsqlite3-0",
        "libssl3",
        "libstdc++6",
        "libtinfo6",
        "libuuid1",
        "zlib1g",
    ),
)
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
    "usr/bin/apt-get": "#!/bin/sh\n",
}
#: As this machine trusts: what it downloads from may be a mirror of its own.
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@contextlib.contextmanager
def slim(folder: Path) -> Iterator[str]:
    """Have ``python:3.11-slim`` in Docker for a while; what it yields is why it cannot be, or empty.

    One that is there is left as it is.
    """
    if _docker("image", "inspect", SLIM).returncode == 0:
        yield ""
        return
    if reason := _make(folder):
        yield reason
        return
    try:
        yield ""
    finally:
        _docker("rmi", SLIM)


def _make(folder: Path) -> str:
    uv = Path(__file__).parents[1] / ".venv/bin/uv"
    for needed in (shutil.which("apt-get"), uv.exists(), _CERTIFICATES.exists()):
        if not needed:
            return f"{SLIM} is not here, and only Debian with make setup can make what stands for it"
    packages, root = folder / "packages", folder / "root"
    packages.mkdir()
    command = ["apt-get", "download", "-qq", *_PACKAGES]
    done = subprocess.run(command, cwd=packages, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"{SLIM} is not here, nor Debian's packages: {done.stderr.strip().splitlines()[-1]}"
    for package in packages.iterdir():
        subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    for name, text in _FILES.items():
        (root / name).write_text(text)
        (root / name).chmod(0o755 if "bin/" in name else 0o644)
    for link, target in (("bin/sh", "dash"), ("usr/bin/python3", "python3.11")):
        (root / link).unlink(missing_ok=True)
        (root / link).symlink_to(target)
    (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
    shutil.copy(_CERTIFICATES, root / "etc/ssl/certs")
    shutil.copy(uv, root / "usr/bin/uv")
    archive = folder / "root.tar"
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    changes = ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", f"SSL_CERT_FILE={_CERTIFICATES}"]
    options = [word for change in changes for word in ("--change", f"ENV {change}")]
    done = _docker("import", *options, str(archive), SLIM)
    return f"what stands for {SLIM} cannot be imported: {done.stderr.strip()}" if done.returncode else ""


def _docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
