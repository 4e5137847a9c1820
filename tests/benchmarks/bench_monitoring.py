"""Drift: its cost from stored profiles, its verdicts, false alarms and power beside Evidently and a KS test.

Writes ``artifacts/bench-monitoring.json``. Without ``.venv-bench-monitoring`` Evidently's part is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taxiway.monitoring import digest
from taxiway.monitoring.drift import drift
from taxiway.monitoring.multivariate import multivariate
from taxiway.monitoring.profiles import profile, write
from tests.benchmarks.monitoring import judges
from tests.benchmarks.monitoring.data import pairs, wide
from tests.benchmarks.serving.report import Promise
from tests.monitoring.weather import of_year, seattle

OUT = Path(__file__).parents[2] / "artifacts" / "bench-monitoring.json"
COLUMNS, WINDOWS = 100, 90
SHIFTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2)
SIZES = (30, 100, 1000, 10_000)
TRIES = 40
ROUNDS = 5

Found = dict[str, Any]


def cpu_of(task: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Give the least CPU seconds of some rounds: other work on the machine only adds to them."""
    found = []
    for _ in range(rounds):
        begun = time.process_time()
        task()
        found.append(time.process_time() - begun)
    return min(found)


def speed(folder: Path) -> tuple[Found, list[Promise]]:
    """Time drift of 100 columns × 90 windows from stored profiles, of few rows and of many."""
    found = {}
    for rows in (2_000, 20_000, 200_000):
        frame = wide(rows, COLUMNS)
        stored = write(profile(frame), folder / "reference.bin")
        # each window is a profile of its own, but making ninety of them is not what is timed
        made = [profile(frame.sample(rows // 2, random_state=seed)) for seed in range(3)]
        paths = [write(made[i % 3], folder / f"{i}.bin") for i in range(WINDOWS)]
        reference = digest.read(stored)

        def judged(paths: list[Path] = paths, reference: digest.Digest = reference) -> None:
            for path in paths:
                drift(reference, digest.read(path))

        judged()
        found[str(rows // 2)] = cpu_of(judged)
        spent = found[str(rows // 2)]
        print(f"drift of {COLUMNS} columns × {WINDOWS} windows of {rows // 2:,} rows: {spent:.2f} s CPU")
    return found, [
        Promise(f"drift of {COLUMNS} × {WINDOWS} from stored profiles, s CPU", max(found.values()), 1.0)
    ]


def beside_evidently(folder: Path) -> tuple[Found, list[Promise]]:
    """Time both on 100,000 rows × 20 columns."""
    reference = wide(100_000, 20)
    window = reference.sample(frac=1, random_state=1).assign(float_0=reference["float_0"] + 1)
    first, second = write(profile(reference), folder / "a.bin"), write(profile(window), folder / "b.bin")
    stored = cpu_of(lambda: drift(digest.read(first), digest.read(second)))
    whole = cpu_of(lambda: drift(digest.read(first), profile(window)), 2)
    theirs = judges.evidently([("wide", reference, window)])
    found: Found = {"from stored profiles": stored, "profiling the window": whole}
    print(
        f"100,000 × 20: Taxiway {stored:.3f} s CPU from stored profiles, {whole:.2f} s profiling the window"
    )
    if theirs is None:
        return found, []
    found["evidently"] = cpu = theirs["wide"]["cpu"]
    print(f"              Evidently {cpu:.1f} s CPU: {cpu / stored:.0f} × and {cpu / whole:.0f} ×")
    return found, [
        Promise(
            "Evidently's CPU on 100,000 × 20, times ours from stored profiles",
            cpu / stored,
            20,
            at_most=False,
        )
    ]


def verdicts(folder: Path) -> tuple[Found, list[Promise]]:
    """Compare the verdicts on every column of the bundled data sets, and say why they differ."""
    data = list(pairs(judges.macrodata(folder)))
    theirs = judges.evidently(data)
    if theirs is None:
        return {}, []
    same, explained = 0, []
    print(f"\n{'data set':<26} columns  drifted  Evidently  same")
    for name, reference, window in data:
        ours, others = judges.taxiway(reference, window), theirs[name]["columns"]
        differ = [column for column in ours if ours[column].drifted != others[column]["drifted"]]
        drifted = [sum(one.drifted for one in ours.values()), sum(one["drifted"] for one in others.values())]
        print(f"{name:<26} {len(ours):7}  {drifted[0]:7}  {drifted[1]:9}  {len(ours) - len(differ)}")
        same += len(ours) - len(differ)
        explained += [(name, column, judges.reason(ours[column], others[column])) for column in differ]
    print(f"\nsame verdict on {same} of {same + len(explained)} columns; the others:")
    for name, column, why in explained:
        print(f"  {name}, {column}: {why}")
    return {"same": same, "differ": explained}, []


def false_alarms(windows: int) -> tuple[Found, list[Promise]]:
    """Count alarms on windows that are drawn from the reference itself: Seattle's 2012, 100 days each."""
    reference = of_year(seattle(), 2012)
    rng = np.random.default_rng(0)
    drawn = [reference.iloc[rng.choice(len(reference), 100)] for _ in range(windows)]
    view = digest.of_view(profile(reference))
    found: Found = {"windows": windows, "columns": 0, "nulls": 0, "plain": 0}
    for window in drawn:
        said = drift(view, profile(window))
        found["columns"] += any(one.drifted for one in said)
        found["nulls"] += any(one.null_drifted for one in said)
        found["plain"] += any(judges.plain(reference[name], window[name]) for name in reference)
    # the classifier would know a row that is in both, so for it halves are dealt
    few = windows // 5
    found["multivariate windows"] = few
    found["multivariate"] = 0
    for _ in range(few):
        order = rng.permutation(len(reference))
        together = multivariate(reference.iloc[order[100:]], reference.iloc[order[:100]])
        found["multivariate"] += together is not None and together.drifted
    share = (found["columns"] + found["nulls"]) / windows
    print(f"\nfalse alarms of {windows} windows: columns {found['columns']}, nulls {found['nulls']}")
    print(f"  all columns together: {found['multivariate']} of {few}")
    print(f"  a plain test at 5 %: {found['plain']}")
    theirs = judges.evidently([(str(i), reference, window) for i, window in enumerate(drawn[: windows // 5])])
    if theirs is not None:
        alarmed = [any(said["drifted"] for said in one["columns"].values()) for one in theirs.values()]
        found["evidently"], found["evidently windows"] = sum(alarmed), len(alarmed)
        print(f"  Evidently, any column: {sum(alarmed)} of {len(alarmed)}")
    return found, [
        Promise("windows of the reference with a false alarm, %", 100 * share, 1.0),
        Promise("the same, all columns together, %", 100 * found["multivariate"] / few, 1.0),
    ]


def power() -> tuple[Found, list[Promise]]:
    """Count how often a planted shift is found: real hours of temperature, moved by so many deviations."""
    temps = _temperatures()
    spread, rng = temps.std(), np.random.default_rng(0)
    found: Found = {}
    asked = []
    for rows in SIZES:
        for shift in SHIFTS:
            drawn = {f"{i}": rng.choice(temps, rows) + shift * spread for i in range(TRIES)}
            window = pd.DataFrame(drawn)
            reference = pd.DataFrame(dict.fromkeys(drawn, temps))
            view = digest.of_view(profile(reference[["0"]]))
            ours = sum(
                drift(view, profile(window[[name]].rename(columns={name: "0"})))[0].drifted for name in drawn
            )
            plain = sum(judges.plain(reference["0"], window[name]) for name in drawn)
            found[f"{rows} {shift}"] = {"taxiway": ours / TRIES, "ks": plain / TRIES}
            asked.append((f"{rows} {shift}", reference, window))
    for name, said in (judges.evidently(asked) or {}).items():
        hits = sum(one["drifted"] for one in said["columns"].values())
        found[name]["evidently"] = hits / TRIES
    print(f"\nfound of {TRIES} windows each, by shift in deviations (Taxiway / Evidently / plain KS, %)")
    print("rows in the window " + "".join(f"{shift:>14}" for shift in SHIFTS))
    for rows in SIZES:
        cells = [found[f"{rows} {shift}"] for shift in SHIFTS]
        shown = [
            "/".join(f"{100 * one.get(who, float('nan')):.0f}" for who in ("taxiway", "evidently", "ks"))
            for one in cells
        ]
        print(f"{rows:>18,} " + "".join(f"{one:>14}" for one in shown))
    return found, []


def _temperatures() -> Any:
    """Give 8,759 hours of San Francisco's temperature."""
    from vega_datasets import local_data

    return local_data.sf_temps()["temp"].to_numpy()


def webhook(home: Path) -> tuple[Found, list[Promise]]:
    """Time an added column until its alert is delivered."""
    os.environ["TAXIWAY_HOME"] = str(home)
    os.environ.pop("BENTOML_HOME", None)
    from tests.benchmarks.monitoring.webhook import seconds_to_webhook

    first, running = seconds_to_webhook()
    print(f"\nan added column in live traffic, to the delivered webhook: {running:.1f} s")
    print(f"  the same of the first request ever, for which the monitor has to start: {first:.1f} s")
    return {"seconds": running, "seconds with a start": first}, [
        Promise("an added column to the webhook, s", running, 10)
    ]


def main() -> None:
    """Print the tables and write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=1000, help="of the false alarms")
    parser.add_argument("--only", nargs="*", help="parts: speed evidently verdicts alarms power webhook")
    options = parser.parse_args()
    OUT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts: dict[str, Callable[[], tuple[Found, list[Promise]]]] = {
            "speed": lambda: speed(folder),
            "evidently": lambda: beside_evidently(folder),
            "verdicts": lambda: verdicts(folder),
            "alarms": lambda: false_alarms(options.windows),
            "power": power,
            "webhook": lambda: webhook(folder / "home"),
        }
        figures, promises = {}, []
        for part, measure in parts.items():
            if not options.only or part in options.only:
                figures[part], promised = measure()
                promises += promised
                OUT.write_text(json.dumps(figures, indent=1))
    print()
    for promise in promises:
        kept = "kept" if promise.kept else "NOT KEPT"
        bound = f"{'≤' if promise.at_most else '≥'} {promise.bound:g}"
        print(f"{promise.text}: {promise.measured:.3g} ({bound}) {kept}")


if __name__ == "__main__":
    main()
