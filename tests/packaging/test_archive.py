"""A Model goes out as one file and comes in as it was; what is not such a file leaves no trace."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
import pytest

from taxiway.errors import (
    ConflictError,
    CorruptionError,
    InputError,
    NotFoundError,
    PackagingError,
    PreflightError,
    TaxiwayError,
)
from taxiway.packaging import archive, digest, registry, transfer
from taxiway.packaging.bento import environment
from taxiway.packaging.manifest import FILE, Manifest
from taxiway.packaging.model import Model
from taxiway.packaging.origin import Origin, path_of
from taxiway.packaging.packing import package

from .conftest import Packaged, Weather


@pytest.fixture
def exported(packaged_home: Packaged, tmp_path: Path) -> Path:
    """The packaged Model as a file."""
    folder = tmp_path / "out"
    folder.mkdir()
    return Path(packaged_home.model.export(folder))


@pytest.fixture
def elsewhere(exported: Path, taxiway_home: Path) -> Path:
    """The file, with TAXIWAY_HOME pointing at an empty home."""
    return exported


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's file system in memory, empty."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


def tree(*roots: Path) -> dict[str, str]:
    """Every file and folder, and its content's digest; but for locks, which stay."""
    found = {}
    for root in roots:
        for path in sorted(root.rglob("*")):
            if ".staging" in path.parts and (path.is_dir() or path.name == "lock"):
                continue
            kind = "folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = kind
    return found


# --- what goes out comes in


def test_an_imported_model_is_the_exported_one_and_is_told_as_imported(
    elsewhere: Path, packaged: Packaged, taxiway_home: Path
) -> None:
    imported = transfer.import_model(elsewhere, by="ann (cli)")
    assert imported.new
    assert imported.model.path.is_relative_to(taxiway_home)
    assert imported.model.manifest == packaged.model.manifest
    assert registry.load("rain").manifest == packaged.model.manifest
    theirs = {path.name: path.read_bytes() for path in packaged.model.path.iterdir()}
    assert {path.name: path.read_bytes() for path in imported.model.path.iterdir()} == theirs
    origin = Origin.of("rain", imported.model.version)
    assert origin is not None
    assert (origin.source, origin.by) == (str(elsewhere), "ann (cli)")
    assert Origin.of("rain", "0" * 12) is None


def test_an_imported_model_predicts_as_the_original(elsewhere: Path, weather: Any, classifier: Any) -> None:
    model = transfer.import_model(elsewhere).model
    rows = weather.inputs.iloc[::25]
    assert model.predict(rows)["label"].tolist() == classifier.predict(rows).tolist()


def test_an_imported_model_is_not_ready_until_it_was_tried_here(elsewhere: Path) -> None:
    """Its own word that all checks passed is not taken for it."""
    model = transfer.import_model(elsewhere).model
    assert model.checks["clean_replay"].result == "failed"
    assert [check.name for check in model.checks.blocking] == ["clean_replay"]
    assert model.tag in model.checks["clean_replay"].remedy
    with pytest.raises(PreflightError, match="imported"):
        model.checks.require(model.tag)
    path_of(model.name, model.version).write_text("damaged")
    assert not model.checks.ok


def test_importing_what_is_there_writes_nothing(elsewhere: Path, taxiway_home: Path) -> None:
    transfer.import_model(elsewhere)
    before = tree(taxiway_home)
    again = transfer.import_model(elsewhere)
    assert not again.new
    assert tree(taxiway_home) == before


def test_a_model_packaged_here_does_not_become_an_imported_one(exported: Path, packaged: Packaged) -> None:
    assert not transfer.import_model(exported).new
    assert Origin.of(packaged.model.name, packaged.model.version) is None


def test_a_damaged_model_is_mended_by_importing_it(elsewhere: Path) -> None:
    model = transfer.import_model(elsewhere).model
    (model.path / "model.onnx").write_bytes(b"")
    assert transfer.import_model(elsewhere).new
    registry.load("rain")


def test_an_import_brings_no_preflight_of_this_place(
    elsewhere: Path, taxiway_home: Path, packaged: Packaged
) -> None:
    record = taxiway_home / "store" / "preflights" / "rain" / f"{packaged.model.version}.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"ok": true, "checks": []}')  # of one that was here before
    transfer.import_model(elsewhere)
    assert not record.exists()


def test_the_same_model_gives_the_same_bytes_in_any_process(exported: Path, tmp_path: Path) -> None:
    code = "import sys; from taxiway.packaging import transfer; transfer.export('rain', sys.argv[1])"
    written = []
    for seed in ("1", "2"):
        target = tmp_path / f"{seed}.taxiway"
        variables = {**environment(), "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, str(target)], env=variables, check=True)
        written.append(target.read_bytes())
    assert written[0] == written[1] == exported.read_bytes()


def test_any_tar_reads_it(exported: Path, packaged: Packaged, tmp_path: Path) -> None:
    folder = tmp_path / "read"
    folder.mkdir()
    subprocess.run(["tar", "-xf", str(exported), "-C", str(folder)], check=True)
    packaged.model.manifest.verify(folder)


# --- places


def test_a_model_goes_through_any_file_system(
    packaged_home: Packaged, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.mkdir("/models")
    done: list[tuple[int, int]] = []
    url = transfer.export("rain", "memory://models/", progress=lambda *one: done.append(one))
    name = f"rain-{packaged_home.model.version}.taxiway"
    assert url == f"memory://models/{name}"
    assert [Path(path).name for path in memory.ls("/models", detail=False)] == [name]
    size = packaged_home.model.size_bytes
    assert [one[0] for one in done] == sorted(one[0] for one in done)
    assert done[-1][0] == done[-1][1] > size
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path / "other"))
    assert transfer.import_model(url).model.manifest == packaged_home.model.manifest


@pytest.mark.parametrize("form", ["{}", "file://{}", "{}/", "{}/x.taxiway", "file://{}/x.taxiway"])
def test_a_place_is_a_path_or_a_url_a_file_or_a_folder(
    packaged_home: Packaged, tmp_path: Path, form: str
) -> None:
    folder = tmp_path / "out [1]*"  # signs that some file systems would expand
    folder.mkdir()
    place = form.format(folder)
    written = transfer.export("rain", place)
    name = "x.taxiway" if "x.tax" in form else f"rain-{packaged_home.model.version}.taxiway"
    assert [path.name for path in folder.iterdir()] == [name]
    assert written == (place if "x.tax" in form else f"{place.rstrip('/')}/{name}")
    assert not transfer.import_model(written).new


def test_a_file_is_not_overwritten_unless_it_is_said(exported: Path) -> None:
    exported.write_bytes(b"dear to someone")
    with pytest.raises(ConflictError, match="already"):
        transfer.export("rain", exported)
    assert exported.read_bytes() == b"dear to someone"
    transfer.export("rain", exported, overwrite=True)
    assert not transfer.import_model(exported).new


@pytest.mark.parametrize("where", ["memory://models/a.taxiway", "local"])
def test_a_write_that_fails_leaves_nothing(
    packaged_home: Packaged, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    memory.mkdir("/models")
    place = str(folder / "a.taxiway") if where == "local" else where

    def full(done: int, total: int) -> None:
        if done > total / 2:
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="No space left on device"):
        transfer.export("rain", place, progress=full)
    assert list(folder.iterdir()) == []
    assert memory.find("/models") == []


def test_a_killed_export_leaves_nothing_under_the_final_name(packaged_home: Packaged, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from taxiway.packaging import transfer\n"
        "transfer.export('rain', sys.argv[1], progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))"
    )
    target = tmp_path / "a.taxiway"
    done = subprocess.run([sys.executable, "-c", code, str(target)], env=environment(), check=False)
    assert done.returncode == -9
    assert not target.exists()
    transfer.export("rain", target)


@pytest.mark.parametrize(
    ("place", "hint"),
    [
        ("s3://bucket/x", "taxiway[s3]"),
        ("gs://bucket/x", "taxiway[gcs]"),
        ("abfs://bucket/x", "taxiway[azure]"),
        ("webdav://host/x", "webdav4"),
    ],
)
def test_a_missing_package_is_named(
    packaged_home: Packaged, monkeypatch: pytest.MonkeyPatch, place: str, hint: str
) -> None:
    for module in ("s3fs", "gcsfs", "adlfs", "webdav4.fsspec"):
        monkeypatch.setitem(sys.modules, module, None)
    for act in (lambda: transfer.export("rain", place), lambda: transfer.import_model(place)):
        with pytest.raises(InputError) as caught:
            act()
        assert hint in caught.value.hint


@pytest.mark.parametrize("place", ["nosuch://x/y", "", "http://127.0.0.1:9/x.taxiway", "/nosuch/folder/x"])
def test_a_place_that_cannot_be_reached_is_an_error_of_one_sentence(
    packaged_home: Packaged, place: str
) -> None:
    with pytest.raises(InputError) as caught:
        transfer.import_model(place)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    with pytest.raises(InputError):
        transfer.export("rain", place)


def test_an_import_of_a_folder_or_of_nothing_says_so(taxiway_home: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        transfer.import_model(tmp_path)
    with pytest.raises(NotFoundError):
        transfer.import_model(tmp_path / "nosuch")


def test_an_unreadable_source_is_told_and_leaves_nothing(
    elsewhere: Path, taxiway_home: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks in the middle."""
    memory.pipe_file("/a.taxiway", elsewhere.read_bytes())
    opened = memory.open

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 5000:
                raise ConnectionResetError(104, "Connection reset by peer")
            return super().read(size)

    monkeypatch.setattr(type(memory), "open", lambda self, path, mode: Broken(opened(path, "rb").read()))
    with pytest.raises(InputError, match="Connection reset"):
        transfer.import_model("memory://a.taxiway")
    assert [path for path in tree(taxiway_home) if "store" in path] == [str(taxiway_home / "store")]


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("s3://key:secret@bucket/a.taxiway", "s3://bucket/a.taxiway"),
        ("https://host/a.taxiway?X-Signature=secret#secret", "https://host/a.taxiway"),
        ("simplecache::s3://key:secret@bucket/a", "simplecache::s3://bucket/a"),
        ("https://user:secret@[::1]:80/a", "https://…"),
        ("/a/b@c?d", "/a/b@c?d"),
        ("s3://?secret", "s3://"),
    ],
)
def test_no_credential_is_shown_or_recorded(place: str, shown: str) -> None:
    assert transfer.without_secrets(place) == shown


SECRET = "q7/Zk+9'hush"  # signs that libraries write otherwise than they were given
SIGNED = f"?X-Amz-Credential=AKIAXYZ&X-Amz-Signature={quote(SECRET, safe='')}"


class Forbidding(BaseHTTPRequestHandler):
    """A store of files that lets nobody in."""

    def do_GET(self) -> None:
        self.send_error(403)

    do_HEAD = do_PUT = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_what_a_web_server_refuses_is_told_without_the_signature(taxiway_home: Path) -> None:
    pytest.importorskip("aiohttp")
    with ThreadingHTTPServer(("127.0.0.1", 0), Forbidding) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"127.0.0.1:{server.server_port}/a.taxiway"
        for place in (f"http://{where}{SIGNED}", f"simplecache::http://{where}{SIGNED}"):
            with pytest.raises(TaxiwayError) as caught:
                transfer.import_model(place)
            told = f"{caught.value.message} {caught.value.hint}"
            assert where in told
            assert "403" in told or "simplecache" in place
            for secret in ("hush", "Signature", "AKIAXYZ"):
                assert secret not in told
        server.shutdown()


@pytest.mark.parametrize(
    "text",
    [
        "403, message='Forbidden', url='https://host/a{signed}'",
        "403, message='Forbidden', url=URL('https://host/a{signed}')",
        "Max retries exceeded with url: /a{signed} (Caused by 403)",
        "moved to https://user:hushhush@other/b{signed}, and failed",
        "no such bucket: key:{secret}@bucket",
        "signature {secret} is wrong",
        "{place} is forbidden",
    ],
)
def test_no_error_of_a_library_tells_a_secret(
    taxiway_home: Path, memory: Any, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    place = f"memory://key:{quote(SECRET, safe='')}@bucket/a.taxiway{SIGNED}"

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(text.format(signed=SIGNED, secret=SECRET, place=place))

    monkeypatch.setattr(type(memory), "isdir", fail)
    with pytest.raises(InputError, match="cannot be read") as caught:
        transfer.import_model(place)
    for secret in ("hush", "Signature", "AKIAXYZ", "%2F"):
        assert secret not in caught.value.message


# --- what may not come in


@dataclass
class Forgery:
    """The parts of an archive, to be altered, sealed again and packed again."""

    manifest: dict[str, Any]
    files: dict[str, bytes]

    @classmethod
    def of(cls, model: Model) -> Forgery:
        manifest = json.loads((model.path / FILE).read_text())
        manifest.pop("seal")
        return cls(
            manifest, {name: (model.path / name).read_bytes() for name in sorted(model.manifest.files)}
        )

    def put(self, name: str, data: bytes) -> None:
        """Add or replace a file, and tell the manifest the truth about it."""
        self.manifest["size_bytes"] += len(data) - len(self.files.get(name, b""))
        self.files[name] = data
        self.manifest["files"][name] = hashlib.sha256(data).hexdigest()

    def sealed(self) -> bytes:
        return json.dumps({**self.manifest, "seal": digest.of_value(self.manifest)}).encode()

    def readdressed(self) -> Forgery:
        """The same with the digest, and so the version, that follow from what it says."""
        identity = Manifest.parse(self.sealed(), "the forgery").identity()
        name, version = self.manifest["name"], identity[:12]
        self.manifest.update(digest=identity, version=version, bento=f"{name}:{version}")
        return self

    def members(self) -> list[tuple[tarfile.TarInfo, bytes]]:
        parts = [(FILE, self.sealed()), *sorted(self.files.items())]
        return [(member(name, len(data)), data) for name, data in parts]

    def packed(self) -> bytes:
        return pack(self.members())


def member(name: str, size: int = 0, **more: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for key, value in more.items():
        setattr(info, key, value)
    return info


def pack(members: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.USTAR_FORMAT) -> bytes:
    return b"".join(
        info.tobuf(form, "utf-8", "surrogateescape") + data + bytes(-len(data) % 512)  # type: ignore[arg-type]
        for info, data in members
    ) + bytes(1024)


Hostile = Callable[[Forgery], bytes]
HOSTILE: dict[str, Hostile] = {}


def hostile(function: Hostile) -> Hostile:
    HOSTILE[function.__name__] = function
    return function


def named_files(*names: str) -> Hostile:
    """An archive that is true to its manifest, which names these files."""

    def make(forgery: Forgery) -> bytes:
        for name in names:
            forgery.put(name, b"evil")
        return forgery.packed()

    return make


for title, names in {
    "traversal": ("../evil",),
    "traversal_inside": ("saved_model/../../evil",),
    "traversal_deep": ("../../../../../../../../tmp/evil",),
    "absolute": ("/tmp/evil",),
    "windows_absolute": ("C:evil",),
    "backslash": ("..\\evil",),
    "dot": ("./evil",),
    "double_slash": ("saved_model//evil",),
    "empty_name": ("",),
    "nul": ("evil\0.txt",),
    "newline": ("evil\n",),
    "trailing_dot": ("evil.",),
    "hidden": (".evil",),
    "right_to_left": ("\u202eevil",),
    "surrogate": ("evil\udce4",),
    "case_twice": ("Evil", "evil"),
    "case_of_the_model": ("MODEL.ONNX",),
    "case_of_the_manifest": ("Model.json",),
    "compatible_letters": ("ﬁle", "file"),
    "nested_elsewhere": ("lib/evil.py",),
    "file_and_folder": ("saved_model", "saved_model/evil"),
    "file_in_a_file": ("saved_model/a", "saved_model/a/b"),
    "very_deep": ("saved_model/" + "a/" * 20 + "b",),
}.items():
    HOSTILE[f"name_{title}"] = named_files(*names)


def replaced(**more: Any) -> Hostile:
    """The member of the model's file is something else."""

    def make(forgery: Forgery) -> bytes:
        members = forgery.members()
        at = next(index for index, (info, _) in enumerate(members) if info.name == "model.onnx")
        data = members[at][1] if more.get("keep") else b""
        options = {key: value for key, value in more.items() if key != "keep"}
        members[at] = (member("model.onnx", len(data), **options), data)
        return pack(members)

    return make


for title, options in {
    "symlink": {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
    "hard_link": {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"},
    "hard_link_within": {"type": tarfile.LNKTYPE, "linkname": "sample.json"},
    "character_device": {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5},
    "block_device": {"type": tarfile.BLKTYPE, "devmajor": 8},
    "fifo": {"type": tarfile.FIFOTYPE},
    "folder": {"type": tarfile.DIRTYPE},
    "contiguous": {"type": tarfile.CONTTYPE, "keep": True},
    "old_header": {"type": tarfile.AREGTYPE, "keep": True},
    "sparse": {"type": tarfile.GNUTYPE_SPARSE, "keep": True},
    "setuid": {"mode": 0o4755, "keep": True},
    "owned": {"uid": 1000, "uname": "ann", "keep": True},
    "dated": {"mtime": 1_700_000_000, "keep": True},
}.items():
    HOSTILE[f"member_{title}"] = replaced(**options)


def told(**fields: Any) -> Hostile:
    """A sealed manifest that says this."""

    def make(forgery: Forgery) -> bytes:
        forgery.manifest.update(fields)
        return forgery.packed()

    return make


for title, fields in {
    "later_format": {"format": 99},
    "no_format": {"format": None},
    "name_of_a_path": {"name": "../rain"},
    "name_in_capitals": {"name": "Rain"},
    "name_of_dots": {"name": "a..b"},
    "name_of_another_type": {"name": 7},
    "version_of_another_digest": {"version": "0" * 12},
    "version_of_a_path": {"version": "../../../..", "digest": "../../../../x"},
    "digest_too_short": {"digest": "0" * 12, "version": "0" * 12},
    "size_as_text": {"size_bytes": "1000000"},
    "size_negative": {"size_bytes": -1},
    "size_too_small": {"size_bytes": 100},
    "size_too_large": {"size_bytes": 10**7},
    "made_tomorrow_week": {"created": "2999-01-01T00:00:00+00:00"},
    "made_never": {"created": "never"},
    "files_as_a_list": {"files": ["model.onnx"]},
    "runtime_unknown": {"runtime": "pickle"},
    "task_unknown": {"task": "evil"},
    "metric_as_text": {"metrics": {"accuracy": "good"}},
    "bento_of_another": {"bento": "other:000000000000"},
    "unknown_field": {"evil": True},
    "framework_of_markup": {"framework": "[/evil]"},
    "framework_of_controls": {"framework": "sklearn\x1b[31m"},
    "framework_of_lines": {"framework": "sklearn\n"},
    "framework_too_long": {"framework": "a" * 33},
    "framework_of_nothing": {"framework": ""},
}.items():
    HOSTILE[f"manifest_{title}"] = told(**fields)


@hostile
def altered_content(forgery: Forgery) -> bytes:
    data = bytearray(forgery.files["model.onnx"])
    data[len(data) // 2] ^= 1
    forgery.files["model.onnx"] = bytes(data)
    return forgery.packed()


@hostile
def altered_manifest(forgery: Forgery) -> bytes:
    sealed = forgery.sealed().replace(b'"rain"', b'"snow"')
    return pack([(member(FILE, len(sealed)), sealed), *forgery.members()[1:]])


@hostile
def no_manifest(forgery: Forgery) -> bytes:
    return pack(forgery.members()[1:])


@hostile
def manifest_last(forgery: Forgery) -> bytes:
    return pack([*forgery.members()[1:], forgery.members()[0]])


@hostile
def manifest_twice(forgery: Forgery) -> bytes:
    return pack([forgery.members()[0], *forgery.members()])


@hostile
def a_name_twice(forgery: Forgery) -> bytes:
    members = forgery.members()
    return pack([*members, members[2]])


@hostile
def another_order(forgery: Forgery) -> bytes:
    first, *rest = forgery.members()
    return pack([first, *reversed(rest)])


@hostile
def a_file_missing(forgery: Forgery) -> bytes:
    return pack(forgery.members()[:-1])


@hostile
def a_file_too_many(forgery: Forgery) -> bytes:
    return pack([*forgery.members(), (member("zz.py", 4), b"evil")])


@hostile
def a_file_too_many_between(forgery: Forgery) -> bytes:
    first, *rest = forgery.members()
    return pack([first, (member("aa.py", 4), b"evil"), *rest])


@hostile
def something_after_the_end(forgery: Forgery) -> bytes:
    return forgery.packed() + b"evil"


@hostile
def something_in_the_padding(forgery: Forgery) -> bytes:
    data = bytearray(forgery.packed())
    data[512 + len(forgery.sealed())] = 1
    return bytes(data)


@hostile
def no_end(forgery: Forgery) -> bytes:
    return forgery.packed()[:-512]


@hostile
def cut_off_in_a_header(forgery: Forgery) -> bytes:
    return forgery.packed()[:100]


@hostile
def cut_off_in_a_file(forgery: Forgery) -> bytes:
    return forgery.packed()[: -1024 - 600]


@hostile
def a_header_that_promises_an_exabyte(forgery: Forgery) -> bytes:
    members = forgery.members()
    return pack(members[:1])[:-1024] + pack([(member(members[1][0].name, 2**60), b"")], tarfile.GNU_FORMAT)


@hostile
def a_manifest_that_promises_an_exabyte(forgery: Forgery) -> bytes:
    return pack([(member(FILE, 2**60), b"")], tarfile.GNU_FORMAT)


@hostile
def a_manifest_of_zeros(forgery: Forgery) -> bytes:
    size = archive.MANIFEST_LIMIT + 1
    return pack([(member(FILE, size), bytes(size))])


@hostile
def a_size_below_zero(forgery: Forgery) -> bytes:
    block = bytearray(member(FILE, 0).tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (-512).to_bytes(12, "big", signed=True)
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:]))
    return bytes(block) + bytes(2048)


@hostile
def a_manifest_nested_too_deep(forgery: Forgery) -> bytes:
    data = b"[" * 200_000 + b"]" * 200_000
    return pack([(member(FILE, len(data)), data)])


@hostile
def a_file_nested_too_deep(forgery: Forgery) -> bytes:
    forgery.put("parity.json", b"[" * 200_000 + b"]" * 200_000)
    return forgery.packed()


@hostile
def an_extension_header(forgery: Forgery) -> bytes:
    first, second, *rest = forgery.members()
    extended = second[0]
    extended.pax_headers = {"path": "../evil", "GNU.sparse.realsize": "9999999999"}
    return pack([first])[:-1024] + pack([(extended, second[1]), *rest], tarfile.PAX_FORMAT)


@hostile
def a_long_name_header(forgery: Forgery) -> bytes:
    forgery.put("sources/" + "a" * 120 + ".py", b"evil")
    members = forgery.members()
    at = next(index for index, (info, _) in enumerate(members) if "aaa" in info.name)
    long = pack(members[at : at + 1], tarfile.GNU_FORMAT)[:-1024]
    return pack(members[:at])[:-1024] + long + pack(members[at + 1 :])


@hostile
def a_wrong_checksum(forgery: Forgery) -> bytes:
    data = bytearray(forgery.packed())
    data[150] ^= 1
    return bytes(data)


@hostile
def compressed(forgery: Forgery) -> bytes:
    return gzip.compress(forgery.packed())


@hostile
def a_compressed_bomb(forgery: Forgery) -> bytes:
    return gzip.compress(bytes(50_000_000))


@hostile
def a_zip(forgery: Forgery) -> bytes:
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for info, data in forgery.members():
            file.writestr(info.name, data)
    return buffer.getvalue()


@hostile
def nothing(forgery: Forgery) -> bytes:
    return b""


@hostile
def only_zeros(forgery: Forgery) -> bytes:
    return bytes(10_240)


@hostile
def noise(forgery: Forgery) -> bytes:
    return hashlib.shake_256(b"noise").digest(20_000)


@hostile
def a_pickle(forgery: Forgery) -> bytes:
    return b"cos\nsystem\n(S'touch evil'\ntR." + bytes(2000)


def damaged(name: str, data: bytes) -> Hostile:
    """All digests hold, but a file is not what a Model's is."""

    def make(forgery: Forgery) -> bytes:
        forgery.put(name, data)
        return forgery.packed()

    return make


for title, line in {
    "option": b"--index-url http://evil\n",
    "url": b"evil @ https://evil/evil.whl\n",
    "file": b"-r /etc/passwd\n",
    "path": b"./evil\n",
    "range": b"numpy>=1\n",
    "continued": b"numpy==1.0 \\\n --hash x\n",
    "not_text": b"\xff\n",
}.items():
    HOSTILE[f"requirements_{title}"] = damaged("requirements.txt", line)

for name in ("signature.json", "preflight.json", "environment.json", "parity.json", "sample.json"):
    for title, data in {"text": b"evil", "list": b"[]", "empty": b"", "object": b"{}"}.items():
        HOSTILE[f"{name}_{title}"] = damaged(name, data)
HOSTILE["signature_of_unknown_types"] = damaged(
    "signature.json", json.dumps({"properties": {}, "required": ["x"], "x-taxiway": {"outputs": []}}).encode()
)


def made_with_python(python: str) -> Hostile:
    """It says that it was made with this Python, which uv would be asked for."""

    def make(forgery: Forgery) -> bytes:
        body = json.loads(forgery.files["environment.json"])
        forgery.put("environment.json", json.dumps({**body, "python": python}).encode())
        return forgery.packed()

    return make


for title, python in {
    "a_path": "/tmp/evil.11",
    "a_relative_path": "./evil.sh",
    "an_option": "--managed-python",
    "a_download": "https://evil/python",
    "a_range": ">=3.8",
    "nothing": "",
    "a_line": "3.11.1\n",
}.items():
    HOSTILE[f"python_of_{title}"] = made_with_python(python)


@hostile
def another_model_under_its_version(forgery: Forgery) -> bytes:
    forgery.manifest["description"] = "not what this version is"
    return forgery.packed()


@hostile
def another_model_file_under_its_version(forgery: Forgery) -> bytes:
    forgery.put("model.onnx", b"evil")
    return forgery.packed()


NEEDED = (
    *("environment.json", "parity.json", "preflight.json", "requirements.txt", "sample.json"),
    *("signature.json", "reference.bin", "model.onnx"),
)


def without(name: str) -> Hostile:
    """A file that every Model has is not even named."""

    def make(forgery: Forgery) -> bytes:
        forgery.manifest["size_bytes"] -= len(forgery.files.pop(name))
        del forgery.manifest["files"][name]
        return forgery.readdressed().packed()

    return make


def longer_than_it_may_be(name: str) -> Hostile:
    """A file that would be read as a whole, is larger than that, as header and manifest agree."""

    def make(forgery: Forgery) -> bytes:
        size = archive.MANIFEST_LIMIT + 1
        forgery.manifest["size_bytes"] += size - len(forgery.files[name])
        members = forgery.members()
        at = next(index for index, (info, _) in enumerate(members) if info.name == name)
        return pack(members[:at])[:-1024] + pack([(member(name, size), b"[" * 4096)])

    return make


def run_by(runtime: str, *names: str) -> Hostile:
    """It is for this engine, whose files these are but for one."""

    def make(forgery: Forgery) -> bytes:
        forgery.manifest["runtime"] = runtime
        for name in names:
            forgery.put(name, b"x")
        return forgery.readdressed().packed()

    return make


for name in NEEDED:
    HOSTILE[f"no_{name}"] = without(name)
    if name not in ("reference.bin", "model.onnx"):
        HOSTILE[f"endless_{name}"] = longer_than_it_may_be(name)
HOSTILE["no_model.skops"] = run_by("skops")
HOSTILE["no_saved_model.pb"] = run_by("savedmodel", "saved_model/variables/variables.index")
HOSTILE["no_tokenizer"] = run_by("text", "tokenizer/tokenizer.json")


HOSTILE["preflight_of_unknown_checks"] = damaged(
    "preflight.json",
    b'{"ok": true, "checks": [{"name": "evil", "level": "note", "result": "passed", "reason": ""}]}',
)
#: Each of these is refused for what it is, and not for something else.
REASONS = {
    "a_file_missing": "there is no member 'signature.json'",
    "a_file_too_many": "more than its manifest names",
    "a_header_that_promises_an_exabyte": "larger than the",
    "a_long_name_header": "'././@LongLink'",
    "altered_content": "model.onnx differs",
    "altered_manifest": "it was altered",
    "an_extension_header": "PaxHeader",
    "cut_off_in_a_file": "ends too soon",
    "manifest_framework_of_markup": "its framework is not a word",
    "manifest_later_format": "later Taxiway",
    "manifest_size_too_large": "smaller than its manifest declares",
    "manifest_size_too_small": "larger than the 100 bytes",
    "manifest_version_of_another_digest": "does not follow from its digest",
    "another_model_under_its_version": "not that of what it says it is",
    "another_model_file_under_its_version": "not that of what it says it is",
    "member_symlink": "not a plain file",
    "member_sparse": "not a plain file",
    "name_case_twice": "one file on some systems",
    "name_traversal": "'../evil' cannot be a file of a Model",
    "no_end": "ends too soon",
    "no_model.skops": "names no model.skops",
    "no_saved_model.pb": "names no saved_model/saved_model.pb",
    "no_tokenizer": "names no tokenizer.json",
    **{f"no_{name}": f"names no {name}" for name in NEEDED},
    **{f"endless_{name}": f"{name} is 16777217 bytes long" for name in NEEDED[:6]},
    "python_of_a_path": "made with Python '/tmp/evil.11'",
    "requirements_option": "not the name and version of a distribution",
    "something_in_the_padding": "hidden between its files",
}


@pytest.mark.parametrize("case", sorted(HOSTILE))
def test_a_hostile_file_is_refused_and_leaves_no_trace(
    elsewhere: Path, packaged: Packaged, taxiway_home: Path, tmp_path: Path, case: str
) -> None:
    made = HOSTILE[case](Forgery.of(packaged.model))
    given = tmp_path / "hostile.taxiway"
    given.write_bytes(made)
    (taxiway_home / "store" / "models").mkdir(parents=True)
    before = tree(tmp_path, Path("/tmp/evil"), Path.cwd() / "evil")
    with pytest.raises(CorruptionError) as caught:
        transfer.import_model(given)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert REASONS.get(case, "") in caught.value.message
    after = tree(tmp_path, Path("/tmp/evil"), Path.cwd() / "evil")
    assert {path for path in after if "rain" not in Path(path).name} == {
        path for path in before if "rain" not in Path(path).name
    }
    assert registry.list_models() == []
    assert transfer.import_model(elsewhere).new, "a sound Model can still be imported"


def test_the_forger_makes_what_export_makes(exported: Path, packaged: Packaged) -> None:
    """Else the cases above would be refused for another reason than theirs."""
    forgery = Forgery.of(packaged.model)
    sealed = (packaged.model.path / FILE).read_bytes()
    assert pack([(member(FILE, len(sealed)), sealed), *forgery.members()[1:]]) == exported.read_bytes()


def test_a_harmless_forgery_is_imported(elsewhere: Path, packaged: Packaged, tmp_path: Path) -> None:
    """Another description, sealed again, and a nested file: what remains trusted is what the sender says."""
    forgery = Forgery.of(packaged.model)
    forgery.put("saved_model/variables/variables.data-00000-of-00001", b"x" * 3000)
    forgery.manifest["description"] = "mine"
    given = tmp_path / "forged.taxiway"
    given.write_bytes(forgery.readdressed().packed())
    model = transfer.import_model(given).model
    assert model.description == "mine"
    assert registry.load(model.tag) == model


def test_types_to_trust_are_named_by_the_user_and_not_by_the_file(
    elsewhere: Path, packaged: Packaged, tmp_path: Path
) -> None:
    forgery = Forgery.of(packaged.model)
    forgery.manifest.update(runtime="skops", engine={"trusted": ["evil.Step", "numpy.ufunc"]})
    forgery.put("model.skops", b"evil")
    given = tmp_path / "forged.taxiway"
    given.write_bytes(forgery.readdressed().packed())
    for trust in ((), ("numpy.ufunc",)):
        with pytest.raises(InputError, match=r"evil\.Step") as caught:
            transfer.import_model(given, trust=trust)
        assert "--trust" in caught.value.hint
        assert registry.list_models() == []
    assert transfer.import_model(given, trust=["evil.Step", "numpy.ufunc"]).new


def test_only_what_an_engine_needs_is_required_unless_the_user_says_so(
    elsewhere: Path, packaged: Packaged, tmp_path: Path
) -> None:
    """A replay installs and starts what is pinned: a wheel of any name may run code as Python starts."""
    forgery = Forgery.of(packaged.model)
    forgery.put("requirements.txt", forgery.files["requirements.txt"] + b"Evil_Package==1.0\n")
    given = tmp_path / "forged.taxiway"
    given.write_bytes(forgery.readdressed().packed())
    with pytest.raises(InputError, match=r"requires evil-package, which") as caught:
        transfer.import_model(given)
    assert "--pin" in caught.value.hint
    assert registry.list_models() == []
    with pytest.raises(InputError, match="evil-package"):
        transfer.import_model(given, trust=["evil_package"], pins=["numpy"])
    assert transfer.import_model(given, pins=["evil_package"]).new


def test_all_that_a_model_requires_is_allowed_in_one_word(
    elsewhere: Path, packaged: Packaged, tmp_path: Path
) -> None:
    """A model of TensorFlow, taken to a machine without it, requires thirty that are not known there."""
    forgery = Forgery.of(packaged.model)
    more = b"".join(f"unheard-of-{number}==1.0\n".encode() for number in range(30))
    forgery.put("requirements.txt", forgery.files["requirements.txt"] + more)
    given = tmp_path / "forged.taxiway"
    given.write_bytes(forgery.readdressed().packed())
    with pytest.raises(InputError, match=r"unheard-of-0, .* unheard-of-9, which"):
        transfer.import_model(given)
    assert transfer.import_model(given, pins=transfer.ALL).new


def test_what_no_import_would_read_is_not_exported(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = transfer.import_model(elsewhere).model
    monkeypatch.setattr(archive, "MANIFEST_LIMIT", 100)
    with pytest.raises(PackagingError, match=r"its \S+\.json takes .*B, and an import reads 100 B"):
        transfer.export(model, tmp_path)
    assert not any(tmp_path.glob("*taxiway*"))


def test_every_extra_that_a_message_names_exists() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert set(transfer.EXTRAS.values()) <= project["project"]["optional-dependencies"].keys()
    assert any(name.startswith("fsspec") for name in project["project"]["dependencies"])


def test_a_second_model_of_the_same_version_is_not_taken_for_the_first(
    elsewhere: Path, packaged: Packaged, tmp_path: Path
) -> None:
    model = transfer.import_model(elsewhere).model
    forgery = Forgery.of(packaged.model)
    forgery.manifest["digest"] = model.version + "0" * 52
    given = tmp_path / "forged.taxiway"
    given.write_bytes(forgery.packed())
    with pytest.raises(ConflictError, match=model.version):
        transfer.import_model(given)
    assert registry.load("rain").digest == packaged.model.digest


def test_what_is_packaged_here_takes_the_place_of_an_import(
    elsewhere: Path, packaged: Packaged, weather: Weather, classifier: Any, tmp_path: Path
) -> None:
    """What an archive reports of itself, here false answers to the sample, is not covered by its version."""
    forgery = Forgery.of(packaged.model)
    sample = json.loads(forgery.files["sample.json"])
    sample["outputs"] = sample["original"] = {name: [0] * 20 for name in sample["outputs"]}
    forgery.put("sample.json", json.dumps(sample).encode())
    given = tmp_path / "forged.taxiway"
    given.write_bytes(forgery.packed())
    imported = transfer.import_model(given).model
    assert imported.version == packaged.model.version
    own = package(
        classifier,
        name="rain",
        reference=weather.inputs,
        target=weather.rain,
        metrics={"accuracy": 0.7},
        replay=False,
    )
    assert own.version == imported.version
    assert own.origin is None
    assert own.sample() == packaged.model.sample()
    assert [model.tag for model in registry.list_models()] == [own.tag]


def test_an_import_runs_nothing_and_writes_plain_files(
    elsewhere: Path, taxiway_home: Path, packaged: Packaged, tmp_path: Path
) -> None:
    """No process is started, no engine opens the file, no module of the Model is imported."""
    forgery = Forgery.of(packaged.model)
    forgery.put("sources/sitecustomize.py", b"open('evil', 'w')")
    given = tmp_path / "forged.taxiway"
    given.write_bytes(forgery.readdressed().packed())
    code = """
import sys
watched = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pickle.find_class"}
started = []
sys.addaudithook(lambda event, _: started.append(event) if event in watched else None)
from taxiway.packaging import transfer
model = transfer.import_model(sys.argv[1]).model
engines = {"onnxruntime", "onnx", "skops", "bentoml", "tensorflow"}
print(started, sorted(engines & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(given)],
        env={**environment(), "TAXIWAY_HOME": str(taxiway_home)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[] []"
    assert not (tmp_path / "evil").exists()
    model = registry.load("rain")
    for path in model.path.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) & 0o111 == 0


def test_an_import_for_which_there_is_no_room_is_refused_before_it_is_read(
    elsewhere: Path, taxiway_home: Path, packaged: Packaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=packaged.model.size_bytes - 1))
    with pytest.raises(PackagingError, match="free"):
        transfer.import_model(elsewhere)
    assert registry.list_models() == []


@pytest.mark.parametrize("moment", [0.1, 0.5, 1.0])
def test_a_killed_import_leaves_no_model_and_the_next_succeeds(
    elsewhere: Path, taxiway_home: Path, moment: float
) -> None:
    code = (
        "import os, signal, sys; from taxiway.packaging import transfer\n"
        "def at(done, total):\n"
        "    if done >= total * float(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "transfer.import_model(sys.argv[1], progress=at)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(elsewhere), str(moment)],
        env=dict(os.environ) | environment(),
        check=False,
    )
    assert done.returncode == -9
    assert registry.list_models() == []
    assert transfer.import_model(elsewhere).new
    assert list((taxiway_home / "store" / ".staging").rglob("stage-*")) == []


def test_a_name_too_long_for_an_archive_is_said(
    packaged: Packaged, taxiway_home: Path, tmp_path: Path
) -> None:
    folder = registry.folder_of("rain", packaged.model.version)
    shutil.copytree(packaged.model.path, folder)
    (folder / "sources").mkdir()
    (folder / "sources" / ("a" * 200)).write_text("x")
    forgery = Forgery.of(packaged.model)
    forgery.put(f"sources/{'a' * 200}", b"x")
    (folder / FILE).write_bytes(forgery.sealed())
    with pytest.raises(TaxiwayError, match="too long"):
        transfer.export("rain", tmp_path / "x.taxiway")
    assert not (tmp_path / "x.taxiway").exists()
