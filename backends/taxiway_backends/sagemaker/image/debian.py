"""The Debian packages that an image stands on: found once, pinned by their hashes, unpacked without Debian.

``python -m taxiway_backends.sagemaker.image.debian > base.lock`` resolves the pins afresh.

They come from the mirrors that this machine's apt uses, or from ``TAXIWAY_DEBIAN_MIRROR`` (addresses under
which ``debian`` and ``debian-security`` lie, parted by spaces). A mirror keeps only the newest version of a
package; ``TAXIWAY_DEBIAN_SNAPSHOT`` names an archive that keeps all.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import lzma
import os
import re
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from taxiway.errors import BackendError

RELEASE = "bookworm"
LOCK = Path(__file__).with_name("base.lock")
MIRROR = "TAXIWAY_DEBIAN_MIRROR"
SNAPSHOT = "TAXIWAY_DEBIAN_SNAPSHOT"
APT = Path("/etc/apt")

_SUITES = (
    ("debian-security", f"{RELEASE}-security"),
    ("debian", f"{RELEASE}-updates"),
    ("debian", RELEASE),
)
#: What a serving process needs beyond its wheels, and a shell for who looks into a container.
_ROOTS = ("base-files", "python3.11-minimal", "libpython3.11-stdlib", "ca-certificates", "libstdc++6", "dash")
#: Needed to set the packages up, or for parts of them that are not used: nothing is set up here.
_UNUSED = frozenset(
    (
        *("debconf", "dpkg", "media-types", "mailcap", "openssl", "tar", "awk", "gawk", "mawk"),
        *("readline-common", "libnsl2", "libtirpc3"),
    )
)
_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Package:
    """One pinned package: where it lies in the archive, and the SHA-256 of its file."""

    name: str
    version: str
    archive: str
    path: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} {self.archive} {self.path} sha256:{self.sha256}"


@dataclass(frozen=True, slots=True)
class BaseLock:
    """The pinned packages, and the time (as the archive writes it) at which all of them were there."""

    time: str
    packages: tuple[Package, ...]
    digest: str

    @classmethod
    def read(cls, path: Path = LOCK) -> BaseLock:
        """Read ``base.lock``."""
        content = path.read_bytes()
        first, *lines = content.decode().splitlines()
        packages = []
        for line in lines:
            name, version, archive, place, digest = line.split()
            packages.append(Package(name, version, archive, place, digest.removeprefix("sha256:")))
        return cls(first.split()[-1], tuple(packages), hashlib.sha256(content).hexdigest())


def mirrors() -> list[str]:
    """Give the addresses under which ``debian`` lies: those that are set, else those of this machine's apt.

    Raises
    ------
    BackendError
        There is none.
    """
    found = os.environ.get(MIRROR, "").split()
    for file in [] if found else [APT / "sources.list", *sorted(APT.glob("sources.list.d/*"))]:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
            found += re.findall(r"(https?://\S+?)/debian(?:-security)?/?(?=\s|$)", "\n".join(lines))
    if not found:
        raise BackendError(
            "No mirror of Debian is known here, and the image's base comes from one.",
            hint=f"Name one by {MIRROR}: the address under which its folder debian lies; or a base image of"
            " your own by TAXIWAY_IMAGE_BASE.",
        )
    return list(dict.fromkeys(found))


def fetch(package: Package, time: str, folder: Path) -> Path:
    """Give a package's file, from the folder where it was kept or from one of Debian's mirrors.

    Raises
    ------
    BackendError
        No server has it, or what came is not what was pinned.
    """
    path = folder / package.sha256
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    said = ""
    urls = [f"{mirror}/{package.archive}/{package.path}" for mirror in mirrors()]
    if snapshot := os.environ.get(SNAPSHOT):
        urls.append(f"{snapshot}/{package.archive}/{time}/{package.path}")
    for url in urls:
        try:
            answer = httpx.get(url, timeout=_SECONDS, follow_redirects=True).raise_for_status()
        except httpx.HTTPError as error:
            said = str(error).partition("\n")[0]
            continue
        if hashlib.sha256(answer.content).hexdigest() == package.sha256:
            part = path.with_suffix(".part")
            part.write_bytes(answer.content)
            part.rename(path)
            return path
        said = f"what came from {url} is not what was pinned"
    raise BackendError(
        f"The Debian package {package.name} {package.version} of the image's base could not be had: {said}.",
        hint=f"A mirror may have a newer one only: name an archive that keeps all by {SNAPSHOT}, or a base"
        " image of your own by TAXIWAY_IMAGE_BASE.",
    )


def unpack(path: Path) -> tarfile.TarFile:
    """Open the files of a package: an ``ar`` archive that holds a ``data.tar.xz``."""
    content = memoryview(path.read_bytes())
    place = 8
    while place < len(content):
        head = bytes(content[place : place + 60])
        name, size = head[:16].strip().rstrip(b"/"), int(head[48:58])
        body = content[place + 60 : place + 60 + size]
        if name == b"data.tar.xz":
            return tarfile.open(fileobj=io.BytesIO(lzma.decompress(body)))
        place += 60 + size + size % 2
    raise BackendError(f"{path.name} holds no data.tar.xz.", hint="Remove it, and build again.")


def resolve() -> str:
    """Give the text of a new ``base.lock``."""
    known: dict[str, Package] = {}
    depends: dict[str, list[str]] = {}
    provided: dict[str, str] = {}
    stamps = []
    mirror = mirrors()[0]
    for archive, suite in _SUITES:
        base = f"{mirror}/{archive}/dists/{suite}"
        release = httpx.get(f"{base}/Release", timeout=_SECONDS).raise_for_status().text
        stamps.append(_stamp(release))
        index = (
            httpx.get(f"{base}/main/binary-amd64/Packages.xz", timeout=_SECONDS).raise_for_status().content
        )
        pinned = re.search(r"^ ([0-9a-f]{64}) +\d+ main/binary-amd64/Packages.xz$", release, re.MULTILINE)
        assert pinned is not None
        assert hashlib.sha256(index).hexdigest() == pinned[1]
        for fields in _paragraphs(lzma.decompress(index).decode()):
            name = fields["Package"]
            if name not in known:
                known[name] = Package(name, fields["Version"], archive, fields["Filename"], fields["SHA256"])
                wanted = ", ".join(filter(None, (fields.get("Pre-Depends"), fields.get("Depends"))))
                depends[name] = [_name(one) for one in wanted.split(",") if one.strip()]
                for one in filter(None, fields.get("Provides", "").split(",")):
                    provided.setdefault(_name(one), name)
    chosen: set[str] = set()
    left = list(_ROOTS)
    while left:
        name = left.pop()
        name = name if name in known else provided[name]
        if name not in chosen and name not in _UNUSED:
            chosen.add(name)
            left += [one for one in depends[name] if one not in _UNUSED]
    lines = [f"# {RELEASE} amd64 as of {max(stamps)}", *(str(known[name]) for name in sorted(chosen))]
    return "\n".join(lines) + "\n"


def _stamp(release: str) -> str:
    from email.utils import parsedate_to_datetime

    dated = re.search("^Date: (.*)$", release, re.MULTILINE)
    assert dated is not None
    return f"{parsedate_to_datetime(dated[1]):%Y%m%dT%H%M%SZ}"


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    for paragraph in text.strip().split("\n\n"):
        lines = (line for line in paragraph.splitlines() if not line.startswith(" "))
        yield {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _name(wanted: str) -> str:
    """Give a dependency's name, the first where several would do: ``a (>= 1) | b`` is ``a``."""
    return re.split(r"[ (|:]", wanted.strip())[0]


if __name__ == "__main__":
    sys.stdout.write(resolve())
