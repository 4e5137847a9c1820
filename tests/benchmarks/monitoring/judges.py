"""The verdicts of Taxiway, of Evidently and of a plain KS test on the same reference and windows."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import chi2_contingency, ks_2samp

from taxiway.monitoring.drift import ALPHA, PSI_THRESHOLD, ColumnDrift, drift
from taxiway.monitoring.profiles import profile
from tests.benchmarks.monitoring.data import Pair

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-bench-monitoring" / "bin" / "python"
SIDE = Path(__file__).with_name("evidently_side.py")
PLAIN_ALPHA = 0.05

Verdicts = Mapping[str, Mapping[str, Any]]  # pair → column → what is said of it


def evidently(pairs: Iterable[Pair]) -> Verdicts | None:
    """Ask Evidently, in a process of its own environment; None where that is not there."""
    if not PYTHON.exists():
        return None
    with tempfile.TemporaryDirectory() as name:
        folder, names = Path(name), []
        for i, (pair, reference, window) in enumerate(pairs):
            names.append(pair)
            reference.to_parquet(folder / f"{i:03}.reference.parquet", index=False)
            window.to_parquet(folder / f"{i:03}.window.parquet", index=False)
        found = json.loads(_asked("drift", folder))
    return {pair: found[f"{i:03}"] for i, pair in enumerate(names)}


def macrodata(folder: Path) -> Path | None:
    """Let that environment write statsmodels' data."""
    if not PYTHON.exists():
        return None
    _asked("data", folder)
    return folder / "macrodata.parquet"


def _asked(what: str, folder: Path) -> str:
    environment = {**os.environ, "DO_NOT_TRACK": "1"}
    environment.pop("PYTHONPATH", None)
    command = [str(PYTHON), str(SIDE), what, str(folder)]
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return ran.stdout.splitlines()[-1] if ran.stdout else ""


def taxiway(reference: pd.DataFrame, window: pd.DataFrame) -> dict[str, ColumnDrift]:
    """Judge from profiles."""
    return {one.column: one for one in drift(profile(reference), profile(window))}


def plain(reference: pd.Series[Any], window: pd.Series[Any]) -> bool:
    """Judge by a test alone, at 5 %."""
    if pd.api.types.is_numeric_dtype(reference):
        return bool(ks_2samp(reference.dropna(), window.dropna()).pvalue < PLAIN_ALPHA)
    table = pd.concat([reference.value_counts(), window.value_counts()], axis=1).fillna(0)
    return bool(chi2_contingency(table.T.to_numpy()).pvalue < PLAIN_ALPHA)


def reason(ours: ColumnDrift, theirs: Mapping[str, Any]) -> str:
    """Say why the two verdicts differ: which of our two conditions does not hold, or which of theirs."""
    said = f"{theirs['method']} {theirs['value']:.3g}"
    if ours.p_value is None or ours.psi is None:
        return f"{ours.text}; Evidently: {said}"
    figures = f"{ours.text}; PSI {ours.psi:.2f}, p {ours.p_value:.2g}; Evidently: {said}"
    if ours.drifted:
        return f"{figures}: large and no chance, but not by that measure"
    if ours.p_value < ALPHA:
        return f"{figures}: no chance, but too small to matter"
    if ours.psi < PSI_THRESHOLD:
        return f"{figures}: neither large nor beyond chance, once corrected for the columns"
    return f"{figures}: could be chance, once corrected for the columns"
