"""A Model goes to and comes from any place that fsspec reaches; no credential of it is shown."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
import pytest

from taxiway.errors import ConflictError, InputError, NotFoundError, TaxiwayError
from taxiway.packaging import transfer
from taxiway.packaging.bento import environment

from .conftest import Packaged
from .forging import tree


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's file system in memory, empty."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


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
