"""whylogs profiles among the files, over REST: by a real server, which itself never imports whylogs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from taxiway.errors import TaxiwayError
from taxiway.lab import reader
from taxiway.lab.reader import ProfileReader
from taxiway.monitoring import profiles
from tests.lab import seeds
from tests.lab.jupyter import Jupyter
from tests.monitoring.weather import of_month, seattle

NAMES = ("january.bin", "july.bin", "torn.bin", "weights.bin", "large.bin", ".hidden.bin")


@pytest.fixture(scope="module")
def files(jupyter: Jupyter) -> Iterator[Path]:
    """Two months of weather as profiles, and what is none."""
    folder = jupyter.notebooks
    for name, month in (("january", 1), ("july", 7)):
        profiles.write(profiles.profile(of_month(seattle(), 2013, month)), folder / f"{name}.bin")
    whole = (folder / "january.bin").read_bytes()
    (folder / "torn.bin").write_bytes(whole[: len(whole) // 2])
    (folder / "weights.bin").write_bytes(b"\x80\x04" + bytes(5000))
    (folder / ".hidden.bin").write_bytes(whole)
    with (folder / "large.bin").open("wb") as file:
        file.truncate(65 * 2**20)
    (folder.parent / "outside.bin").write_bytes(whole)
    yield folder
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)


def server_process(jupyter: Jupyter) -> psutil.Process:
    return psutil.Process(jupyter._process.pid)


def test_a_profile_is_told_column_by_column_and_the_server_stays_light(
    jupyter: Jupyter, client: httpx.Client, files: Path
) -> None:
    answer = client.get("profiles", params={"path": "january.bin"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    columns = {one["summary"]["column"]: one for one in told["columns"]}
    raw = of_month(seattle(), 2013, 1)
    assert told["rows"] == len(raw)
    assert set(columns) == set(raw.columns)
    assert columns["temp_max"]["summary"]["mean"] == pytest.approx(raw["temp_max"].mean())
    assert columns["temp_max"]["distribution"]["kind"] == "numeric"
    [worker] = [one for one in server_process(jupyter).children() if "profile_worker" in str(one.cmdline())]
    loaded = {Path(one.path).name for one in server_process(jupyter).memory_maps()}
    assert not [name for name in loaded if "whylogs" in name]
    assert [one for one in worker.memory_maps() if "whylogs" in one.path]


def test_two_profiles_are_compared(client: httpx.Client, files: Path) -> None:
    answer = client.get("profiles/comparison", params={"left": "january.bin", "right": "july.bin"})
    pairs = {pair["column"]: pair for pair in answer.json()["columns"]}
    assert pairs["temp_max"]["drift"]["drifted"]
    shown = pairs["temp_max"]["distribution"]
    assert len(shown["reference"]) == len(shown["window"]) == len(shown["edges"]) - 1


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("torn.bin", 400, "`torn.bin` is not a whole whylogs profile"),
        ("weights.bin", 400, "`weights.bin` is no whylogs profile."),
        ("large.bin", 400, "68 MB"),
        ("absent.bin", 404, "There is no file `absent.bin`."),
        ("../outside.bin", 404, "There is no file `outside.bin`."),
        ("%2e%2e/outside.bin", 404, "There is no file"),
        (".hidden.bin", 404, "There is no file"),
        ("", 400, "cannot be read"),
    ],
)
def test_what_is_no_profile_of_ours_is_refused_with_a_sentence(
    client: httpx.Client, files: Path, path: str, status: int, says: str
) -> None:
    answer = client.get("profiles", params={"path": path})
    told = answer.json()
    assert (answer.status_code, says in told["error"]) == (status, True), told
    assert told["hint"]
    assert "Traceback" not in answer.text


def test_a_comparison_needs_exactly_two_sides(client: httpx.Client, files: Path) -> None:
    for query in ({"right": "july.bin"}, {"left": "january.bin", "model": "rain:1", "right": "july.bin"}):
        assert client.get("profiles/comparison", params=query).status_code == 400
    answer = client.get("profiles/comparison", params={"model": "rain:absent", "right": "july.bin"})
    assert answer.status_code == 404


def test_a_silence_needs_a_length_of_a_year_at_most(client: httpx.Client, seed: Path) -> None:
    for seconds in (0, -5, "day", None, 1e12):
        assert client.post("alerts/1/silence", json={"seconds": seconds}).status_code == 400
    assert client.post("alerts/1/silence", json={"seconds": 3600}).status_code == 200
    assert '["silence_alert", 1, {"seconds": 3600.0}]' in seed.with_name("calls.jsonl").read_text()


def test_a_column_is_asked_of_what_reads_profiles(client: httpx.Client, seed: Path) -> None:
    start = "2015-12-01T00:00:00+00:00"
    told = client.get("endpoints/rain/columns/temp_max", params={"window": start}).json()
    assert (told["column"], told["window"]) == ("temp_max", start)
    assert client.get("endpoints/rain/columns/temp_max/history").json()["total"] == 36
    assert client.get("endpoints/rain/columns/absent").status_code == 404
    assert seeds.full()["columns"]


def test_a_reader_that_dies_or_hangs_is_told_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker here is one of a few lines, which needs no second to start."""
    code = (
        "import json, sys, time\n"
        "for line in sys.stdin:\n"
        "    what = json.loads(line)['ask']\n"
        "    time.sleep(60 if what == 'hang' else 0)\n"
        "    print(json.dumps({'answer': what}), flush=True)\n"
    )
    monkeypatch.setattr(reader, "_COMMAND", ("python", "-c", code))

    async def main() -> None:
        asked = ProfileReader(answer_seconds=5.0, idle_seconds=0.2)
        assert await asked.ask("first") == "first"
        assert asked.pid is not None
        first = asked.pid
        os.kill(first, signal.SIGKILL)
        await asyncio.sleep(0.1)
        assert await asked.ask("second") == "second"
        asked._answer_seconds = 0.5
        with pytest.raises(TaxiwayError, match=r"longer than 0\.5 s"):
            await asked.ask("hang")
        asked._answer_seconds = 5.0
        assert await asked.ask("third") == "third"
        third = asked.pid
        await asyncio.sleep(0.6)
        assert third is not None
        assert not psutil.pid_exists(third) or psutil.Process(third).status() == psutil.STATUS_ZOMBIE
        await asked.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, main()).result()
