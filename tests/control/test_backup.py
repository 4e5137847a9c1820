"""Backup and restore, within each kind of database and across both."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from taxiway.control import backup as module
from taxiway.control.audit import Audit, audit
from taxiway.control.backup import backup, restore
from taxiway.control.lease import DeposedError, Lease
from taxiway.control.ledger import Ledger, now, record
from taxiway.control.tables import EndpointRow, EventRow, LeaseRow, PartRow, WindowRow
from taxiway.errors import AgentError, ConflictError, CorruptionError, InputError, TaxiwayError
from tests.control.rows import endpoint_row
from tests.control.test_migrations import first_release

pytestmark = pytest.mark.usefixtures("engines", "taxiway_home")


@pytest.fixture
def book(ledger_url: str, taxiway_home: Path) -> Ledger:
    """A ledger with an endpoint, a window, a part and three events."""
    made = Ledger(ledger_url)
    with made.transaction() as session:
        session.add(endpoint_row("rain", generation=5, options={"device": "cpu"}))
        window = WindowRow(
            endpoint="rain", start=now(), end=now(), model="rain:one", role="live", profile="p"
        )
        window.rows, window.updated, window.drift = 10, now(), [{"column": "wind", "psi": 0.5}]
        session.add(window)
        session.add(PartRow(endpoint="rain", kind="predictions", rows=10, path="a.parquet"))
        for number in range(3):
            record(session, "promoted", f"event {number}", by="test", endpoint="rain", number=number)
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "ledger.backup"


@pytest.fixture
def other_url(bare_url: str) -> str:
    """Another database, of either kind, without any table."""
    return bare_url.replace("ledger.sqlite", "other.sqlite")


def audited(url: str) -> Audit:
    with Ledger(url).reading() as session:
        return audit(session)


def restored(url: str, file: Path, *, force: bool = False) -> module.Restored:
    return restore(url, file, by="test", force=force)


def test_a_backup_comes_back_whole_in_either_kind_of_database(
    book: Ledger, file: Path, other_url: str
) -> None:
    made = backup(book, file)
    assert (made.endpoints, made.events) == (1, 3)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    done = restored(other_url, file)
    assert (done.endpoints, done.events, done.kept) == (1, 4, None)
    with Ledger(other_url).transaction() as session:
        row = session.get_one(EndpointRow, "rain")
        assert (row.live, row.options, row.generation) == ("rain:one", {"device": "cpu"}, 6)
        window = session.scalars(select(WindowRow)).one()
        assert (window.rows, window.drift, window.performance) == (10, [{"column": "wind", "psi": 0.5}], None)
        session.add(PartRow(endpoint="rain", kind="predictions", rows=1, path="b.parquet"))  # ids go on
        record(session, "promoted", "and the chain", by="test")
    found = audited(other_url)
    assert (found.events, found.findings) == (5, [])
    with Ledger(other_url).reading() as session:
        assert audit(session, since=made.mark).findings == []


def test_restoring_over_a_ledger_keeps_it_and_makes_every_generation_new(book: Ledger, file: Path) -> None:
    backup(book, file)
    with book.transaction() as session:
        session.get_one(EndpointRow, "rain").generation = 9
        session.add(endpoint_row("snow", generation=2))
        record(session, "deployed", "after the backup", by="test", endpoint="snow")
    token = book.data_version()
    url = book.engine.url.render_as_string(hide_password=False)
    with pytest.raises(ConflictError, match="not empty"):
        restored(url, file)
    assert book.data_version() == token
    done = restored(url, file, force=True)
    assert book.data_version() != token  # of a connection that was open all the while
    assert done.stopped == ["snow"]
    with book.reading() as session:
        rain, snow = session.get_one(EndpointRow, "rain"), session.get_one(EndpointRow, "snow")
        assert (rain.generation, rain.desired) == (10, "running")
        assert (snow.generation, snow.desired) == (3, "absent")  # its processes are to go
        event = session.scalars(select(EventRow).order_by(EventRow.id.desc()).limit(1)).one()
    assert event.kind == "restored"
    assert event.data["replaced"].startswith("4:")
    assert audited(url).findings == []
    assert done.kept is not None
    kept = audited(f"sqlite:///{done.kept}")
    assert (kept.events, kept.findings) == (4, [])


def test_a_backup_is_of_one_moment_while_others_write(book: Ledger, file: Path) -> None:
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with book.transaction() as session:
                session.get_one(EndpointRow, "rain").generation += 1
                record(session, "promoted", f"{number}" * 200, by="test")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(5):
            backup(book, file, force=True)
            with Ledger(f"sqlite:///{file}").reading() as session:
                found = audit(session)
                assert found.findings == []
                assert session.get_one(EndpointRow, "rain").generation - 5 == found.events - 3
    finally:
        stop.set()
        thread.join()


def test_no_file_is_written_over_without_being_told(book: Ledger, file: Path) -> None:
    file.parent.mkdir()
    file.write_text("something of the user's")
    with pytest.raises(ConflictError, match="there already"):
        backup(book, file)
    assert file.read_text() == "something of the user's"


def test_an_agent_that_works_is_not_robbed_of_its_ledger(book: Ledger, file: Path) -> None:
    backup(book, file)
    with book.transaction() as session:
        lease = LeaseRow(name="agent", holder="elsewhere:1:1", pid=1, since=now())
        lease.expires = now() + timedelta(minutes=1)
        session.add(lease)
    url = book.engine.url.render_as_string(hide_password=False)
    with pytest.raises(AgentError, match="An agent works") as caught:
        restored(url, file, force=True)
    assert "agent stop" in caught.value.hint
    with book.transaction() as session:
        session.get_one(LeaseRow, "agent").expires = now() - timedelta(seconds=1)
    restored(url, file, force=True)
    with book.reading() as session:
        assert session.get(LeaseRow, "agent") is None


def test_a_restore_that_fails_at_its_end_leaves_postgresql_as_it_was(
    bare_url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bare_url.startswith("sqlite"):
        pytest.skip("the next test kills it")
    book = Ledger(bare_url)
    backup(book, file)
    with book.transaction() as session:
        record(session, "promoted", "after the backup", by="test")
    monkeypatch.setattr(module, "_follow_on", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        restored(bare_url, file, force=True)
    assert audited(bare_url).events == 1


def test_a_killed_restore_leaves_the_old_ledger_or_the_new_one(
    tmp_path: Path, taxiway_home: Path, file: Path, engines: None
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    book = Ledger(url)
    with book.transaction() as session:
        for number in range(500):
            record(session, "promoted", f"{number}" * 500, by="test")
    backup(book, file)
    with book.transaction() as session:
        record(session, "promoted", "after the backup", by="test")
    book.close()
    # The kernel kills it as soon as it has written so many bytes to the ledger's log
    code = (
        "import resource, signal, sys; from taxiway.control import backup\n"
        "copy = backup._copy\n"
        "def limited(source, target, progress, *, pages):\n"
        "    if pages == -1:\n"
        "        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))\n"
        "    copy(source, target, progress, pages=pages)\n"
        "backup._copy = limited\n"
        "backup.restore(sys.argv[1], __import__('pathlib').Path(sys.argv[2]), by='test', force=True)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, url, str(file), "100000"], capture_output=True, text=True, check=False
    )
    assert ended.returncode < 0, ended.stderr
    found = audited(url)
    assert (found.events, found.findings) == (501, [])
    done = restored(url, file, force=True)
    assert (done.events, audited(url).findings) == (501, [])  # 500, and that it was restored
    with Ledger(url).reading() as session:
        assert (
            session.scalars(select(EventRow.kind).order_by(EventRow.id.desc()).limit(1)).one() == "restored"
        )


def test_a_damaged_ledger_is_replaced_and_kept(tmp_path: Path, taxiway_home: Path, file: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    book = Ledger(f"sqlite:///{path}")
    with book.transaction() as session:
        session.add(endpoint_row("rain"))
    backup(book, file)
    book.close()
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(ConflictError, match="damaged"):
        restored(f"sqlite:///{path}", file)
    done = restored(f"sqlite:///{path}", file, force=True)
    assert done.endpoints == 1
    assert done.kept is not None
    assert done.kept.read_bytes()[:1] == b"x"
    assert audited(f"sqlite:///{path}").findings == []


def test_a_backup_of_the_first_release_comes_back(other_url: str, tmp_path: Path, taxiway_home: Path) -> None:
    first_release(f"sqlite:///{tmp_path / 'old.sqlite'}")
    done = restored(other_url, tmp_path / "old.sqlite")
    assert (done.endpoints, done.events) == (1, 4)
    assert audited(other_url).findings == []


@pytest.mark.parametrize("content", [b"", b"something else" * 1000, None])
def test_what_is_no_backup_is_refused(content: bytes | None, tmp_path: Path, taxiway_home: Path) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        restored(f"sqlite:///{tmp_path / 'ledger.sqlite'}", file)
    assert "taxiway backup" in caught.value.hint
    assert not (tmp_path / "ledger.sqlite").exists()


def test_a_backup_that_was_tampered_with_is_refused(tmp_path: Path, taxiway_home: Path, file: Path) -> None:
    book = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with book.transaction() as session:
        record(session, "promoted", "something", by="test")
    backup(book, file)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE events SET text = 'something else'")
    connection.close()
    url = f"sqlite:///{tmp_path / 'other.sqlite'}"
    with pytest.raises(CorruptionError, match="chain"):
        restored(url, file)
    assert restored(url, file, force=True).events == 2


def test_a_disk_without_room_leaves_no_half_a_backup(tmp_path: Path, taxiway_home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    with small_disk(tmp_path / "disk") as disk:
        book = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
        with book.transaction() as session:
            for number in range(200):
                record(session, "promoted", f"{number}" * 1000, by="test")
        with pytest.raises(TaxiwayError, match="full") as caught:
            backup(book, disk / "ledger.backup")
        assert "room" in caught.value.hint
        assert list(disk.iterdir()) == []


class small_disk:
    """A file system of 256 kB; a machine that forbids mounting skips the test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        self.path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(self.path)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("this machine lets nobody mount a small disk")
        return self.path

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", str(self.path)], check=True)


def test_an_agent_that_starts_in_the_midst_of_a_restore_is_deposed_by_it(
    book: Ledger, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(book, file)
    with book.transaction() as session:
        session.get_one(EndpointRow, "rain").live = "rain:two"
    lease, check = Lease(book, 60), module._need_no_agent
    began: list[object] = []

    def check_and_start(session: Session) -> None:
        check(session)
        if not began:
            began.append(lease.take())

    monkeypatch.setattr(module, "_need_no_agent", check_and_start)
    restored(str(book.engine.url), file, force=True)
    assert began == [None], "it held the lease"
    with pytest.raises(DeposedError, match="nobody"):
        lease.renew("watching")
    with book.reading() as session:
        assert session.get_one(EndpointRow, "rain").live == "rain:one"
        assert audit(session).findings == []
