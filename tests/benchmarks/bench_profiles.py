"""From the prediction log to stored profiles, against whylogs' own rate on one big DataFrame, in one run.

The log is spool segments as serving writes them, of one row a record and of a thousand; what is timed is
all that the monitor does with them: reading, checking, Parquet, profiles, the ledger. 20 columns:
10 float, 5 int, 5 string. Synthetic: only the amount matters. Writes artifacts/bench-profiles.json.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROWS = 100_000
GROWN = 4  # memory is measured with so many times the rows, too


def frame_of(rows: int) -> Any:
    """Make the data: 20 columns."""
    import numpy as np
    import pandas as pd

    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            **{f"float_{i}": generator.normal(size=rows) for i in range(10)},
            **{f"int_{i}": generator.integers(0, 1000, rows) for i in range(5)},
            **{f"text_{i}": generator.choice(list("abcdefgh"), rows) for i in range(5)},
        }
    )


def write_log(folder: Path, rows: int, size: int) -> None:
    """Write a spool of records of ``size`` rows: of one as their client wrote them, of more as columns."""
    import orjson

    from taxiway.serving.identifiers import new_request_id
    from taxiway.serving.spool import STAMP, SpoolWriter

    writer = SpoolWriter(folder, "live")
    frame = frame_of(rows)
    records = frame.to_dict(orient="records") if size == 1 else []
    columns = {name: frame[name].tolist() for name in frame}
    begun = time.time()
    for start in range(0, rows, size):
        request = new_request_id()
        record: dict[str, Any] = {
            "kind": "prediction",
            "times": None,
            "model": "bench:000000000000",
            "role": "live",
            "request": request,
            "findings": (),
            "unnamed": size,
        }
        if size == 1:
            record |= {"row": [records[start]], "answer": {"label": "yes"}}
            writer.write(orjson.dumps(record) + b"\0" + STAMP.pack(begun, 1.0))
            continue
        record |= {"time": begun, "latency_ms": 1.0}
        part = {name: values[start : start + size] for name, values in columns.items()}
        texts = {name: values for name, values in part.items() if name.startswith("text")}
        record["inputs"] = texts | {name: values for name, values in part.items() if name not in texts}
        record["outputs"] = {"label": ["yes"] * size}
        writer.append(record)
    writer.close()


def measure(rows: int, size: int) -> dict[str, float]:
    """Take a log in, in this process: CPU seconds, and how far memory grew beyond what it was before."""
    from taxiway.control.ledger import ledger, now
    from taxiway.control.monitor import Monitor
    from taxiway.control.tables import EndpointRow
    from taxiway.monitoring.profiles import profile

    spool = Path(os.environ["TAXIWAY_HOME"]) / "spool"
    subprocess.run(
        [sys.executable, "-m", __spec__.name, "write", str(spool), str(rows), str(size)], check=True
    )
    logging.getLogger("taxiway.monitor").setLevel(logging.ERROR)  # the Model has no slices, nor is it there
    book = ledger()
    row = EndpointRow(
        name="bench", backend="local", live="bench:000000000000", window="day", created=now(), updated=now()
    )
    with book.transaction() as session:
        session.add(row)
    profile(frame_of(1000))  # everything is imported
    monitor = Monitor(book)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    while monitor._ingest_all(row, spool):
        pass
    spent = time.process_time() - begun
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"cpu_seconds": spent, "rows_per_second": rows / spent, "grown_mib": grown}


def whylogs_rate(rows: int = ROWS) -> dict[str, float]:
    """Profile one DataFrame with whylogs alone, as its users do."""
    from taxiway.monitoring.profiles import profile

    frame = frame_of(rows)
    profile(frame.head(1000))  # whylogs is imported, and mended for numpy 2
    import whylogs

    begun = time.process_time()
    whylogs.log(frame)
    spent = time.process_time() - begun
    begun = time.process_time()
    profile(frame)
    ours = time.process_time() - begun
    return {"cpu_seconds": spent, "rows_per_second": rows / spent, "taxiway_cpu_seconds": ours}


def _apart(*words: str) -> dict[str, float]:
    """Measure in a process of its own, with a home of its own."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-m", __spec__.name, *words],
            env={**os.environ, "TAXIWAY_HOME": home},
            stdout=subprocess.PIPE,
            check=True,
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> dict[str, Any]:
    """Print the table, write it as JSON, and give it."""
    plain = _apart("whylogs")
    found: dict[str, Any] = {"whylogs": plain}
    print(f"| what | CPU s, {ROWS:,} × 20 | rows a CPU second | × whylogs | memory grown, MiB |")
    print("|---|---|---|---|---|")
    print(f"| whylogs, one DataFrame | {plain['cpu_seconds']:.2f} | {plain['rows_per_second']:,.0f} | 1 | |")
    ours = plain["taxiway_cpu_seconds"]
    faster = plain["cpu_seconds"] / ours
    print(f"| Taxiway's profile, one DataFrame | {ours:.2f} | {ROWS / ours:,.0f} | {faster:.1f} | |")
    for size in (1, 1000):
        for times in (1, GROWN):
            one = _apart("measure", str(times * ROWS), str(size))
            one["ratio"] = one["rows_per_second"] / plain["rows_per_second"]
            found[f"{size} a record, {times * ROWS} rows"] = one
            what = f"log of {times * ROWS:,} rows, {size:,} a record"
            print(
                f"| {what} | {one['cpu_seconds']:.2f} | {one['rows_per_second']:,.0f} "
                f"| {one['ratio']:.2f} | {one['grown_mib']:.0f} |",
                flush=True,
            )
    target = Path("artifacts/bench-profiles.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(found, indent=2))
    return found


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", folder, rows, size]:
            write_log(Path(folder), int(rows), int(size))
        case ["measure", rows, size]:
            print(json.dumps(measure(int(rows), int(size))))
        case ["whylogs"]:
            print(json.dumps(whylogs_rate()))
        case _:
            main()
