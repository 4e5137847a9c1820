"""Evidently's DataDriftPreset on pairs of Parquet files, in its own environment; prints JSON.

``DO_NOT_TRACK`` is set by the caller: nothing is told to anyone.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")


def verdicts(folder: Path) -> dict[str, object]:
    """Judge each ``NAME.reference.parquet`` and ``NAME.window.parquet``: verdicts and CPU seconds by NAME."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    found = {}
    for path in sorted(folder.glob("*.reference.parquet")):
        name = path.name.removesuffix(".reference.parquet")
        reference, window = pd.read_parquet(path), pd.read_parquet(folder / f"{name}.window.parquet")
        begun = time.process_time()
        report = Report([DataDriftPreset()]).run(current_data=window, reference_data=reference)
        cpu = time.process_time() - begun
        columns = {}
        for metric in report.dict()["metrics"]:
            said = metric["config"]
            if "column" in said:
                is_p = "p_value" in said["method"]
                value = float(metric["value"])
                drifted = value < said["threshold"] if is_p else value >= said["threshold"]
                columns[said["column"]] = {"drifted": drifted, "method": said["method"], "value": value}
        found[name] = {"cpu": cpu, "columns": columns}
    return found


def statsmodels_data(folder: Path) -> None:
    """Write statsmodels' data with time, which Taxiway's own environment has not."""
    import statsmodels.api as sm

    macro = sm.datasets.macrodata.load_pandas().data
    macro.to_parquet(folder / "macrodata.parquet")


if __name__ == "__main__":
    place = Path(sys.argv[2])
    if sys.argv[1] == "data":
        statsmodels_data(place)
    else:
        print(json.dumps(verdicts(place)))
