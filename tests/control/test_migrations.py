"""Older ledgers, with what was in them, come to this version's schema."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from taxiway.control import ledger as module
from taxiway.control.audit import audit
from taxiway.control.ledger import Ledger, event_hash, now, record
from taxiway.control.tables import EndpointRow, EventRow, LeaseRow, ObservationRow, WindowRow
from taxiway.errors import TaxiwayError

ENDPOINT = (
    'INSERT INTO endpoints (name, backend, desired, live, "window", workers, port, policies, generation,'
    " learned, created, updated) VALUES ('rain', 'local', 'running', 'rain:one', 'month', 2, 8100, :policies,"
    " 7, 3, :time, :time)"
)
OBSERVATION = (
    "INSERT INTO observations (endpoint, status, settled, native, reason, replicas, generation, time)"
    " VALUES ('rain', 'READY', 'READY', '', '', 2, 7, :time)"
)
EVENT = (
    "INSERT INTO events (time, endpoint, kind, actor, text, data, previous_hash, hash)"
    " VALUES (:time, :endpoint, :kind, :actor, :text, :data, :previous_hash, :hash)"
)
# Two processes of this version that find a ledger of the first one, and go to work
WORK = """
import sys
from taxiway.control.ledger import Ledger, record
book = Ledger(sys.argv[1])
for number in range(20):
    with book.transaction() as session:
        record(session, "promoted", f"{number}", by="test")
book.engine.dispose()
"""


def first_release(url: str, events: int = 3) -> None:
    """Make a ledger as the first release left it: an endpoint that serves, and a chain of events."""
    from alembic import command
    from alembic.config import Config

    engine = create_engine(make_url(url))
    config = Config()
    config.set_main_option("script_location", "taxiway.control:migrations")
    config.set_main_option("path_separator", "os")
    # SQLite's driver has its own form of times
    time = now().replace(microsecond=123456)
    stored = time.strftime("%Y-%m-%d %H:%M:%S.%f") if url.startswith("sqlite") else time
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text(ENDPOINT), {"policies": '{"extra": "warn"}', "time": stored})
        connection.execute(text(OBSERVATION), {"time": stored})
        previous = ""
        for number in range(events):
            row = EventRow(
                time=time, endpoint="rain", kind="deployed", actor="me (api)", text=f"event {number}"
            )
            row.data, row.previous_hash = {"number": number}, previous
            previous = row.hash = event_hash(row)
            values = {
                "time": stored,
                "data": json.dumps(row.data),
                **{
                    name: getattr(row, name)
                    for name in ("endpoint", "kind", "actor", "text", "previous_hash", "hash")
                },
            }
            connection.execute(text(EVENT), values)
    engine.dispose()


def test_a_ledger_of_the_first_release_keeps_all_that_is_in_it(bare_url: str) -> None:
    first_release(bare_url)
    book = Ledger(bare_url)
    with book.transaction() as session:
        row = session.get_one(EndpointRow, "rain")
        assert (row.live, row.generation, row.port, row.policies) == ("rain:one", 7, 8100, {"extra": "warn"})
        assert row.options == {}
        assert session.get_one(ObservationRow, "rain").status == "READY"  # which a table made anew would lose
        row.options = {"device": "cpu", "bake": {"seconds": 5.0}}
        record(session, "promoted", "with the new version", by="test")
    with book.reading() as session:
        assert session.get_one(EndpointRow, "rain").options["bake"] == {"seconds": 5.0}
        found = audit(session)
    assert (found.events, found.findings) == (4, [])


def test_counts_beyond_two_thousand_million_fit(bare_url: str) -> None:
    first_release(bare_url)
    book = Ledger(bare_url)
    with book.transaction() as session:
        window = WindowRow(endpoint="rain", start=now(), end=now(), model="rain:one", role="live", profile="")
        window.rows, window.updated = 3_000_000_000, now()
        session.add(window)
    with book.reading() as session:
        assert session.scalars(select(WindowRow.rows)).one() == 3_000_000_000


def test_processes_that_migrate_and_write_at_once_all_succeed(bare_url: str) -> None:
    first_release(bare_url)
    processes = [
        subprocess.Popen([sys.executable, "-c", WORK, bare_url], stderr=subprocess.PIPE) for _ in range(2)
    ]
    for process in processes:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error.decode()
    with Ledger(bare_url).reading() as session:
        found = audit(session)
    assert (found.events, found.findings) == (43, [])


def test_a_process_of_the_first_release_that_still_runs_can_write_endpoints(bare_url: str) -> None:
    first_release(bare_url)
    book = Ledger(bare_url)
    with book.engine.begin() as connection:
        connection.execute(text(ENDPOINT.replace("'rain'", "'snow'")), {"policies": "{}", "time": str(now())})
    with book.reading() as session:
        assert session.get_one(EndpointRow, "snow").options == {}


def test_a_migration_that_fails_half_way_leaves_the_older_ledger(
    bare_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_release(bare_url)
    engine = create_engine(bare_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE head (something integer)"))  # in the way of the second step
    with pytest.raises(Exception, match="head"):
        Ledger(bare_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0001"
        assert connection.execute(text("SELECT count(*) FROM events")).scalar() == 3
        with pytest.raises(Exception, match="options"):
            connection.execute(text("SELECT options FROM endpoints"))


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REVISION", "0001")
    with pytest.raises(TaxiwayError, match="newer") as caught:
        Ledger(ledger_url)
    assert "upgrade" in caught.value.hint


def test_there_is_a_way_back(bare_url: str) -> None:
    from alembic import command
    from alembic.config import Config

    book = Ledger(bare_url)
    with book.transaction() as session:
        session.add(LeaseRow(name="agent", holder="x", pid=1, since=now(), expires=now()))
    config = Config()
    config.set_main_option("script_location", "taxiway.control:migrations")
    config.set_main_option("path_separator", "os")
    with book.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    with Ledger(bare_url).reading() as session:
        assert session.get_one(LeaseRow, "agent").holder == "x"
