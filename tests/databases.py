"""A PostgreSQL server of the tests' own, and ledgers in it and in SQLite."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine

from taxiway.control.ledger import Ledger

SETTINGS = {
    "listen_addresses": "",  # a Unix socket, and no TCP
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "max_wal_size": "64MB",
    "max_connections": "60",
    "autovacuum_naptime": "1h",
}


def programs() -> Path | None:
    """Where the server's programs are; Debian keeps them off the path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    return max(
        Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name)
    )


@dataclass
class Postgres:
    """A running server."""

    folder: Path
    user: str
    made: int = 0
    databases: list[str] = field(default_factory=list)

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql+psycopg://{self.user}@/{database}?host={self.folder}"

    def create(self, template: str = "template0") -> str:
        """Make a database; give its URL."""
        self.made += 1
        name = f"ledger{self.made}"
        with psycopg.connect(
            host=str(self.folder), user=self.user, dbname="postgres", autocommit=True
        ) as one:
            one.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        self.databases.append(name)
        return self.url(name)

    def drop(self) -> None:
        """Remove the databases that were made, whoever is connected to them."""
        with psycopg.connect(
            host=str(self.folder), user=self.user, dbname="postgres", autocommit=True
        ) as one:
            while self.databases:
                one.execute(f"DROP DATABASE {self.databases.pop()} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server that ends with the tests, even if they are killed; skips loudly where there is none."""
    if (binaries := programs()) is None:
        pytest.skip("NO TEST OF THE LEDGER IN POSTGRESQL: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="taxiway-pg-", dir="/tmp"))
    as_user: list[str] = []
    user = pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0:  # which the server refuses to be
        user = "postgres"
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        as_user = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    data = folder / "data"
    as_user = ["setpriv", "--pdeathsig=INT", *as_user]
    subprocess.run(
        [*as_user, binaries / "initdb", "-D", data, "-A", "trust", "-U", user, "-E", "UTF8", "--no-sync"],
        env=environment,
        cwd="/",
        check=True,
        capture_output=True,
    )
    options = [f"--{name}={value}" for name, value in SETTINGS.items()]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*as_user, binaries / "postgres", "-D", data, "-k", folder, *options],
            env=environment,
            cwd="/",
            stdout=log,
            stderr=log,
        )
    try:
        _wait(server, folder, user)
        yield Postgres(folder, user)
    finally:
        server.send_signal(signal.SIGQUIT)  # at once; nothing in it is to be kept
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], folder: Path, user: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(host=str(folder), user=user, dbname="postgres").close()
        except psycopg.OperationalError:
            log = (folder / "log").read_text(errors="replace")
            assert server.poll() is None, f"PostgreSQL did not start: {log}"
            assert time.monotonic() < deadline, f"PostgreSQL does not answer: {log}"
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def migrated(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[str], str]:
    """Where an empty ledger of either kind lies, migrated, to be copied; made when it is asked for."""
    made: dict[str, str] = {}

    def make(kind: str) -> str:
        if kind not in made:
            if kind == "sqlite":
                path = tmp_path_factory.mktemp("migrated") / "ledger.sqlite"
                Ledger(f"sqlite:///{path}").engine.dispose()
                made[kind] = str(path)
            else:
                server: Postgres = request.getfixturevalue("postgres")
                url = server.create()
                Ledger(url).engine.dispose()
                made[kind] = server.databases.pop()  # it stays
        return made[kind]

    return make


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what the test has open in the end, whoever opened it."""
    opened: list[Engine] = []

    def create(*arguments: Any, **options: Any) -> Engine:
        opened.append(create_engine(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr("taxiway.control.ledger.create_engine", create)
    yield
    for engine in opened:
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    migrated: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    engines: None,
    taxiway_home: Path,
) -> Iterator[str]:
    """The URL of an empty ledger of this test, which is also the one that the settings name."""
    source = migrated(request.param)
    with _database(request, tmp_path, source) as url:
        monkeypatch.setenv("TAXIWAY_DATABASE_URL", url)
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path, engines: None) -> Iterator[str]:
    """The URL of a database without any table."""
    with _database(request, tmp_path) as url:
        yield url


@contextmanager
def _database(request: pytest.FixtureRequest, folder: Path, source: str = "") -> Iterator[str]:
    if request.param == "sqlite":
        if source:
            shutil.copy(source, folder / "ledger.sqlite")
        yield f"sqlite:///{folder / 'ledger.sqlite'}"
    else:
        server: Postgres = request.getfixturevalue("postgres")
        url = server.create(template=source or "template0")
        yield url
        server.drop()
