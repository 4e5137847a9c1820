from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

from taxiway_backends.local.log import bound_log, older, read_log
from tests.waiting import wait_until


def line(number: int) -> str:
    return f"2026-01-01T00:00:{number % 60:02}.000Z live[7] line {number}\n"


def test_a_log_that_grows_is_cut_and_both_halves_are_read(tmp_path: Path) -> None:
    path = tmp_path / "master.log"
    writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)  # as the serving processes do
    for number in range(25):
        os.write(writer, line(number).encode())
        bound_log(path, most=400)
    assert path.stat().st_size + older(path).stat().st_size < 1000
    assert stat.S_IMODE(older(path).stat().st_mode) == 0o600
    texts = [one.text for one in read_log(path, since=None, follow=False)]
    assert texts == [f"line {number}" for number in range(25 - len(texts), 25)]
    assert len(texts) >= 8
    os.close(writer)


def test_following_goes_on_through_a_cut_and_ends_with_the_log(tmp_path: Path) -> None:
    path = tmp_path / "master.log"
    path.write_text(line(0))
    seen: list[str] = []

    def follow() -> None:
        for one in read_log(path, since=None, follow=True):
            seen.append(one.text)

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    wait_until(lambda: seen == ["line 0"], "the first line")
    with path.open("a") as log:
        log.write(line(1) * 20)
    wait_until(lambda: len(seen) == 21, "what was added")
    bound_log(path, most=100)
    with path.open("a") as log:
        log.write(line(2))
    wait_until(lambda: seen[-1] == "line 2", "what came after the cut")
    path.unlink()
    follower.join(5)
    assert not follower.is_alive()
