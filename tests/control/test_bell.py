"""The agent is woken by a change, and looks by itself where no bell can be heard."""

from __future__ import annotations

import time
from pathlib import Path

from taxiway.control.bell import Bell
from taxiway.control.ledger import Ledger

LONG = 30.0


def test_a_change_rings_and_what_is_not_notable_does_not(taxiway_home: Path) -> None:
    url = f"sqlite:///{taxiway_home / 'ledger.sqlite'}"
    agent, client = Ledger(url), Ledger(url)
    with client.transaction():
        pass  # nobody listens yet
    agent.bell.listen()
    began = time.monotonic()
    with client.transaction(notable=False):
        pass
    agent.bell.wait(0.05)
    assert time.monotonic() - began >= 0.05
    for _ in range(3):
        with client.transaction():
            pass
    agent.bell.wait(LONG)
    assert time.monotonic() - began < LONG / 2
    began = time.monotonic()
    agent.bell.wait(0.05)
    assert time.monotonic() - began >= 0.05, "three changes are heard once"


def test_where_there_is_no_bell_time_passes(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a bell")
    (tmp_path / "link").symlink_to("file")
    for path in (None, tmp_path / "file" / "bell", tmp_path / "file", tmp_path / "link"):
        bell = Bell(path)
        bell.listen()
        bell.ring()
        began = time.monotonic()
        bell.wait(0.05)
        assert time.monotonic() - began >= 0.05
    assert (tmp_path / "file").read_text() == "not a bell"


def test_a_bell_is_for_its_owner_only_and_is_found_again(tmp_path: Path) -> None:
    for _ in range(2):
        bell = Bell(tmp_path / "bell")
        bell.listen()
        assert (tmp_path / "bell").stat().st_mode & 0o077 == 0
        Bell(tmp_path / "bell").ring()
        began = time.monotonic()
        bell.wait(LONG)
        assert time.monotonic() - began < LONG / 2
    bell.end()
    assert list(tmp_path.iterdir()) == []
    assert not bell.is_heard
