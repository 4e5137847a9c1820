"""Profiles of large data on a Ray cluster: one of two processes that runs already, as a user's would."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("ray")

# In a process of its own, since Ray leaves files and processes to the interpreter's end.
SCRIPT = """
import json, sys
from pathlib import Path
import ray
from vega_datasets import data
from taxiway.errors import InputError
from taxiway.monitoring import profiles
from taxiway.monitoring.backfill import Recipe, profile_files

folder = Path(sys.argv[1])
(folder / "data").mkdir()
data.seattle_weather().to_parquet(folder / "data" / "weather.parquet", row_group_size=300)

def told(outcome):
    return [
        [str(one.start), one.rows, {
            name: [seen.types, seen.nulls, seen.mean and round(seen.mean, 9)]
            for name, seen in profiles.summary(one.view()).items()
        }]
        for one in outcome.profiles
    ]

recipe = Recipe("date", "month")
here = told(profile_files(folder / "data", folder / "here", recipe))
for patience in (True, True, False):  # on a busy machine a node gives up
    try:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
        break
    except Exception:
        ray.shutdown()
        if not patience:
            raise
there = told(profile_files(folder / "data", folder / "there", recipe, engine="ray"))
try:
    profile_files(folder / "data", folder / "wrong", Recipe("when"), engine="ray")
except InputError as error:
    message = str(error)
from ray._common.usage.usage_lib import usage_stats_enabled
print(json.dumps({
    "windows": len(there), "same": here == there, "message": message, "statistics": usage_stats_enabled(),
    "still": ray.is_initialized(), "written": sorted(one.name for one in folder.iterdir()),
}))
ray.shutdown()
"""


def test_a_cluster_gives_what_one_process_gives_and_sends_no_statistics(tmp_path):
    variables = {name: value for name, value in os.environ.items() if name != "RAY_USAGE_STATS_ENABLED"}
    # Jupyter brings a checker of IRIs that builds its grammar at each import, in each of Ray's processes:
    # 2.5 s of CPU, six times, and Ray gives a node up after 15 s. Its absence is allowed for.
    without = tmp_path / "without"
    without.mkdir()
    (without / "rfc3987_syntax.py").write_text("raise ImportError")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=280,
        env={**variables, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(without)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert "no column 'when'" in told.pop("message")
    assert told == {
        "windows": 48,
        "same": True,
        "statistics": False,
        "still": True,  # a cluster that was there before stays
        "written": ["data", "here", "there", "without"],
    }
