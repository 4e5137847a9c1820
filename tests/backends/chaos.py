"""``python -m tests.backends.chaos --rounds 200``: kill -9 of everything, in any order, under load.

Each round kills up to three of agent, master, serving process and Jupyter server, at random moments of
promotions, rollbacks, shadows and scaling, while clients ask. It is over when all is as desired again. A
request may fail only if it was on a connection that a killed process had accepted. The listening socket
lives as long as any process that holds it; where everything is killed at once (``everything``), as by a
reboot, nobody listens until it is back, and what fails till then is counted apart.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from taxiway.control import agent_process
from taxiway.control.api import deploy
from taxiway.control.endpoint import Endpoint
from taxiway.demo import weather
from taxiway.errors import ConflictError, TaxiwayError
from tests.backends.muster import Home
from tests.backends.traffic import Failure, Kill, Traffic, in_flight, kill
from tests.lab.jupyter import TOKEN, Jupyter

KINDS = ("agent", "master", "worker", "jupyter")
WEIGHTS = (3, 3, 3, 1)  # a Jupyter server's own start takes longest
WHOLE_SECONDS = 60.0
EVERYTHING = 0.05  # of the rounds
MOST_WORKERS = 3


class ChaosError(Exception):
    """A promise was broken."""


@dataclass
class Result:
    """What a run counted.

    Attributes
    ----------
    down
        From when to when nobody can have listened, by the monotonic clock.
    recoveries
        Seconds from the last kill of a round until all was as desired, by kind of kill; of the Jupyter
        server, from its start until it answers.
    spared
        Kills that were not done because nobody would have held the listening socket.
    changes
        The kinds of changes that were asked for, and whether each was confirmed.
    """

    rounds: int = 0
    spared: int = 0
    kills: list[Kill] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    down: list[tuple[float, float]] = field(default_factory=list)
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    changes: list[tuple[str, bool]] = field(default_factory=list)
    requests: int = 0
    failures: list[Failure] = field(default_factory=list)

    @property
    def in_flight(self) -> list[Failure]:
        """The failures on connections of killed processes."""
        return [one for one in self.failures if in_flight(one, self.kills)]

    @property
    def while_down(self) -> list[Failure]:
        """The others, while nobody listened."""
        others = [one for one in self.failures if not in_flight(one, self.kills)]
        return [one for one in others if any(one.ended >= a and one.began <= b for a, b in self.down)]

    @property
    def unexplained(self) -> list[Failure]:
        """The failures that break the promise."""
        explained = {one.identity for one in [*self.in_flight, *self.while_down]}
        return [one for one in self.failures if one.identity not in explained]

    def table(self) -> str:
        """Write what was counted."""
        lines = [
            f"rounds {self.rounds}, changes {len(self.changes)}, requests {self.requests}, "
            f"failed {len(self.failures)}: in flight on a killed process {len(self.in_flight)}, "
            f"while nobody held the socket {len(self.while_down)}, unexplained {len(self.unexplained)}; "
            f"kills spared {self.spared}",
            "",
            "| killed | times | recovery, median s | max s |",
            "|---|---:|---:|---:|",
        ]
        for kind in (*KINDS, "everything", "any"):
            times = self.recoveries.get(kind)
            if times:
                count = self.done[kind] if kind != "any" else sum(self.done.values())
                lines.append(f"| {kind} | {count} | {statistics.median(times):.2f} | {max(times):.2f} |")
        return "\n".join(lines)


class Chaos:
    """One home under attack.

    Parameters
    ----------
    home
        Where two Models called ``rain`` lie; it is the TAXIWAY_HOME of this process too.
    random
        Chooses all.
    """

    def __init__(self, home: Path, jupyter: Jupyter, chance: random.Random) -> None:
        from taxiway.packaging.registry import list_models

        newer, older = list_models("rain")
        self.tags = (older.tag, newer.tag)
        self.result = Result()
        self._chance = chance
        self._jupyter = jupyter
        self._endpoint = deploy(older, endpoint="rain", workers=2, window="month")
        self.result.changes.append(("deployed", True))
        self.port = int(self._endpoint.url.rsplit(":", 1)[1])
        self.home = Home(home, "rain", jupyter.port)

    def run(self, rounds: int, say: Callable[[str], None]) -> Result:
        """Do the rounds, and then look at the log."""
        rows = weather.days()[weather.FEATURES].head(300).to_dict(orient="records")
        with Traffic(self._endpoint.url, rows) as traffic:
            while self.result.rounds < rounds:
                before = len(self.result.kills)
                told = self._round()
                self.result.requests, self.result.failures = traffic.count, list(traffic.failures)
                self._judge()
                failed = f"{len(traffic.failures)} of {traffic.count} failed"
                say(f"{self.result.rounds:4} {told} ({len(self.result.kills) - before} processes); {failed}")
            self._whole(ready=True)
        self.result.requests, self.result.failures = traffic.count, list(traffic.failures)
        self._judge()
        self._read_log(traffic)
        return self.result

    def _round(self) -> str:
        done = (
            ["everything"]
            if self._chance.random() < EVERYTHING
            else self._chance.choices(KINDS, WEIGHTS, k=3)
        )
        done = done[: self._chance.randint(1, 3)]
        changes = [self._change] * (self._chance.random() < 0.7)
        steps: list[Callable[[], str]] = [*(lambda kind=kind: self._kill(kind) for kind in done), *changes]
        self._chance.shuffle(steps)
        told, began = [], time.monotonic()
        for step in steps:
            time.sleep(self._chance.uniform(0.0, 0.3))
            told.append(step())
        struck = max((one.gone for one in self.result.kills), default=began)
        agent_process.start()
        alive = bool(self.home.processes()["jupyter"])
        self._whole(jupyter=alive)
        took = time.monotonic() - struck
        if "everything" in done:
            self.result.down.append((began, time.monotonic()))
        if not alive:
            began = time.monotonic()
            self._jupyter.stop()  # what is left of it
            self._jupyter.start_again()
            self._whole()
            self.result.recoveries["jupyter"].append(time.monotonic() - began)
        for kind in {*done, "any"} - {"jupyter"}:
            self.result.recoveries[kind].append(took)
        self.result.rounds += 1
        return f"{', '.join(told)}: whole after {took:.2f} s"

    def _kill(self, kind: str) -> str:
        there = self.home.processes()
        if kind == "everything":
            victims = [one for name in ("agent", "master", "live", "shadow") for one in there[name]]
        else:
            able = [*there["live"], *there["shadow"]] if kind == "worker" else there[kind]
            victims = [self._chance.choice(able)] if able else []
            if kind in ("master", "worker") and not self._socket_lives_without(victims):
                self.result.spared += 1
                return f"{kind} spared"
        killed = kill(kind, victims, self.port)
        self.result.kills += killed
        self.result.done[kind] += bool(killed)
        return f"{kind} killed"

    def _socket_lives_without(self, victims: list[object]) -> bool:
        gone = {getattr(one, "pid", 0) for one in victims}
        return bool(set(self.home.holders(self.port)) - gone)

    def _change(self) -> str:
        """Change what is desired, by way of the API or of the Jupyter server."""
        endpoint, chance = Endpoint("rain", channel="chaos"), self._chance
        live, shadow = endpoint.live, endpoint.shadow
        other = next(tag for tag in self.tags if tag != live)
        can = ["scale", "rolled back"] if ("promoted", True) in self.result.changes else ["scale"]
        kind = chance.choice(
            [*can, *(["promoted", "promoted", "shadow stopped"] if shadow else ["shadow started"] * 2)]
        )
        if kind == "scale":
            deploy(live, endpoint="rain", workers=chance.randint(1, MOST_WORKERS), wait=False)
            self.result.changes.append(("deployed", True))
            return "scaled"
        if chance.random() < 0.5:
            return self._ask_jupyter(kind, other)
        try:
            if kind == "promoted":
                endpoint.promote(force=True, wait=False)
            elif kind == "rolled back":
                endpoint.rollback(wait=False)
            elif kind == "shadow started":
                endpoint.start_shadow(other, wait=False)
            else:
                endpoint.stop_shadow(wait=False)
        except ConflictError:
            return f"{kind}: refused"
        self.result.changes.append((kind, True))
        return kind

    def _ask_jupyter(self, kind: str, other: str) -> str:
        """Change it through the server, which may be killed meanwhile: then nobody knows whether it was."""
        paths = {"promoted": "promote", "rolled back": "rollback", "shadow started": "shadow"}
        url = f"{self._jupyter.url}/taxiway/api/endpoints/rain/{paths.get(kind, 'shadow/stop')}"
        entry = len(self.result.changes)
        self.result.changes.append((kind, False))

        def ask() -> None:
            body = {"force": True} if kind == "promoted" else {"model": other}
            try:
                answer = httpx.post(
                    url, json=body, headers={"Authorization": f"token {TOKEN}"}, timeout=WHOLE_SECONDS
                )
            except httpx.TransportError:
                return
            if answer.status_code == 200:
                self.result.changes[entry] = (kind, True)

        self._asking = threading.Thread(target=ask)
        self._asking.start()
        if self._chance.random() < 0.5:
            self._asking.join()
        return f"{kind} by Jupyter"

    def _whole(self, *, jupyter: bool = True, ready: bool = False) -> None:
        """Wait until everything is as desired; the server of Jupyter answers too, unless it was killed."""
        deadline, lacks = time.monotonic() + WHOLE_SECONDS, "nothing"
        while time.monotonic() < deadline:
            try:
                lacks = self.home.lacks(jupyter=jupyter, ready=ready)
                if not lacks and not jupyter:
                    return
                if not lacks:
                    url = f"{self._jupyter.url}/taxiway/api/overview"
                    httpx.get(url, headers={"Authorization": f"token {TOKEN}"}, timeout=20).raise_for_status()
                    return
            except (httpx.HTTPError, OSError, KeyError) as error:
                lacks = repr(error)
            time.sleep(0.02)
        raise ChaosError(f"after {WHOLE_SECONDS:.0f} s: {lacks}")

    def _judge(self) -> None:
        """Look at the failures and at the ledger."""
        asking = getattr(self, "_asking", None)
        if asking is not None:
            asking.join()
        found = self.home.faults(self.result.changes)
        found += [f"a request failed: {one}" for one in self.result.unexplained]
        if found:
            raise ChaosError("\n".join(found))

    def _read_log(self, traffic: Traffic) -> None:
        """Stop all, and prove that every answer was written down once, in Parquet or still in the spool."""
        agent_process.stop()
        self._jupyter.stop()
        left = {kind: found for kind, found in self.home.processes().items() if found}
        if left or self.home.holders(self.port):
            raise ChaosError(f"left behind: {left}")
        frame = self._endpoint.predictions()
        written = Counter([*frame[frame["role"] == "live"]["id"], *self.home.unread()])
        lost = set(traffic.answered) - set(written)
        twice = [one for one, times in written.items() if times > 1]
        strange = set(written) - set(traffic.answered) - {one.identity for one in traffic.failures}
        if lost or twice or strange:
            raise ChaosError(f"of the log: lost {lost}, twice {twice}, nobody asked for {strange}")


def main() -> int:
    """Package two Models in a home of its own, and attack it."""
    from tests.stores import package_two_versions

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as temporary:
        home = Path(temporary) / "home"
        home.mkdir()
        os.environ |= {"TAXIWAY_HOME": str(home), "TAXIWAY_MONITOR_INTERVAL": "1"}
        package_two_versions()
        with Jupyter(Path(temporary) / "jupyter", taxiway_home=home) as jupyter:
            chaos = Chaos(home, jupyter, random.Random(options.seed))
            try:
                chaos.run(options.rounds, lambda line: print(line, flush=True))
                broken = ""
            except (ChaosError, TaxiwayError) as error:
                broken = str(error)
            finally:
                agent_process.stop()
        print(f"\n{chaos.result.table()}\n{broken}")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
