"""States of the control plane for the tests of what shows them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

LIVE = "rain:0123456789ab"
SHADOW = "rain:ba9876543210"
COLUMNS = ("temp_max", "temp_min", "wind", "precipitation_yesterday", "month", "weather_yesterday")
NOW = "2026-11-21T02:00:00+00:00"

Json = dict[str, Any]


def write(path: Path, state: Json) -> None:
    """Put a state in place at once, so that a reader never sees half of it."""
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(state), encoding="utf-8")
    aside.replace(path)


def empty() -> Json:
    """Nothing has been packaged yet, and no agent runs."""
    overview = {
        "version": "0.1.0",
        "home": "home",
        "agent": {"running": False, "pid": None, "since": None, "doing": None},
        "models": [],
        "endpoints": [],
        "alerts": [],
        "runs": [],
    }
    return {"overview": overview, "endpoints": {}, "models": {}, "columns": {}, "failure": None}


def full() -> Json:
    """One endpoint with a shadow, three years of windows, alerts and runs."""
    models = {tag: _model(tag) for tag in (LIVE, SHADOW)}
    endpoint = _endpoint()
    state = empty()
    counts = {"ok": True, "replayed": True, "passed": 5, "failed": 0, "waived": 1}
    state["overview"] |= {
        "agent": {"running": True, "pid": 4711, "since": NOW, "doing": "profiling rain, December 2014"},
        "models": [{**_summary(model), "preflight": counts} for model in models.values()],
        "endpoints": [_summary(endpoint)],
        "alerts": endpoint["alerts"],
        "runs": endpoint["runs"],
    }
    state["models"], state["endpoints"] = models, {"rain": endpoint}
    state["columns"] = {name: _column(name) for name in ("temp_max", "weather_yesterday")}
    return state


def alert(number: int, rule: str, severity: str, title: str, *, state: str = "firing", **more: Any) -> Json:
    """One alert of the endpoint ``rain``."""
    return {
        "id": number,
        "endpoint": "rain",
        "rule": rule,
        "severity": severity,
        "title": title,
        "detail": f"{title}. The reference has no such thing.",
        **{"column": None, "window": None, "window_start": None, "since": None, "silenced_until": None},
        **{"value": None, "threshold": None},
        "state": state,
        "first_seen": "2026-11-21T01:40:00+00:00",
        "last_seen": NOW,
        "count": 3,
        **more,
    }


def _summary(detail: Json) -> Json:
    left_out = {
        "windows",
        "columns",
        "slices",
        "concept",
        "quality",
        "schema",
        "alerts",
        "timeline",
        "shadow_report",
        "runs",
    }
    left_out |= {"signature", "parity", "lineage", "environment", "bento"}
    return {key: value for key, value in detail.items() if key not in left_out}


def _model(tag: str) -> Json:
    name, version = tag.split(":")
    check = {"level": "blocking", "result": "passed", "remedy": ""}
    return {
        "tag": tag,
        "name": name,
        "version": version,
        "created": "2026-11-20T22:10:00+00:00",
        "framework": "sklearn",
        "task": "classification",
        "size_bytes": 48_213,
        "live_on": ["rain"] if tag == LIVE else [],
        "shadow_on": ["rain"] if tag == SHADOW else [],
        "tags": ["champion"] if tag == LIVE else [],
        "imported": None,
        "preflight": {
            "ok": True,
            "replayed": True,
            "checks": [
                {**check, "name": "parity", "reason": "All 365 rows agree within tolerance."},
                {**check, "name": "no_pickle", "reason": "The model is ONNX; no code is loaded with it."},
                {**check, "name": "environment_lock", "reason": "Each of 9 needed packages is pinned."},
                {
                    "name": "seeds",
                    "level": "warning",
                    "result": "waived",
                    "reason": "random_state of LogisticRegression is not set.",
                    "remedy": "Set random_state.",
                },
            ],
        },
        "signature": {
            "inputs": [
                {
                    "name": column,
                    "dtype": "string" if column.startswith("weather") else "float64",
                    "nullable": False,
                    "categories": ["drizzle", "fog", "rain", "snow", "sun"]
                    if column.startswith("weather")
                    else None,
                    "minimum": None if column.startswith("weather") else -7.1,
                    "maximum": None if column.startswith("weather") else 35.6,
                }
                for column in COLUMNS
            ],
            "outputs": [
                {"name": "label", "dtype": "string", "shape": []},
                {"name": "probability_rain", "dtype": "float64", "shape": []},
            ],
        },
        "parity": {"passed": True, "precision": "float32", "rows": 365, "differing": 0, "absolute": 1e-5},
        "lineage": {
            "notebook": "rain_train.ipynb",
            "git_commit": "2e493aa0c1d2",
            "git_dirty": False,
            "data_digest": "9f86d081884c7d65",
            "run": None,
        },
        "environment": {
            "python": "3.11.2",
            "platform": "Linux",
            "cpus": 2,
            "memory_bytes": 25_000_000_000,
            "needed": {"onnxruntime": "1.27.0", "numpy": "2.4.0", "orjson": "3.11.4"},
        },
        "bento": tag,
    }


def _windows() -> list[Json]:
    windows = []
    for month in range(36):
        year, number = 2013 + month // 12, month % 12 + 1
        season = math.cos(2 * math.pi * (number - 7) / 12)
        drift = []
        for index, column in enumerate(COLUMNS):
            psi = round(max(0.0, 0.02 + abs(season) * (0.6 - 0.14 * index)), 4)
            drifted = psi >= 0.2
            drift.append(
                {
                    "column": column,
                    "psi": psi,
                    "statistic": round(psi / 2, 4),
                    "p_value": 1e-6 if drifted else 0.4,
                    "drifted": drifted,
                    "kind": "categorical" if column.startswith("weather") else "numeric",
                }
            )
        value = round(0.81 - 0.12 * abs(season) + (0.05 if month > 24 else 0), 4)
        windows.append(
            {
                "start": f"{year}-{number:02}-01T00:00:00+00:00",
                "end": f"{year + number // 12}-{number % 12 + 1:02}-01T00:00:00+00:00",
                "model": LIVE,
                "role": "live",
                "rows": 30,
                "drift": drift,
                "multivariate": _together(0.5 + 0.4 * abs(season)),
                "estimated": {
                    **{"method": "cbpe", "metric": "accuracy", "n": 30, "baseline": 0.8, "text": ""},
                    **{"value": value + 0.02, "low": value - 0.04, "high": value + 0.08},
                },
                "performance": {
                    "metric": "accuracy",
                    "value": value,
                    "low": value - 0.13,
                    "high": min(1.0, value + 0.1),
                    "n": 29,
                    "coverage": 0.97 if month < 34 else 0.4,
                },
            }
        )
        if month > 30:
            better = {
                **windows[-1]["performance"],
                "value": value + 0.06,
                "low": value - 0.05,
                "high": value + 0.14,
            }
            windows.append({**windows[-1], "model": SHADOW, "role": "shadow", "performance": better})
    return windows


def _together(auc: float) -> Json:
    return {"auc": auc, "low": auc - 0.05, "high": auc + 0.05, "p_value": 0.001, "drifted": auc > 0.7}


def _columns() -> list[Json]:
    newest = [window for window in _windows() if window["role"] == "live"][-1]
    more = {"window": newest["start"], "ever": True, "gone": False, "contribution": 0.2, "text": "moved"}
    return [{**entry, **more, "peak": 0.62} for entry in newest["drift"]]


def _slices() -> Json:
    def part(value: str, accuracy: float, gap: float) -> Json:
        return {
            **{"column": "weather_yesterday", "value": value, "name": f"weather_yesterday = {value!r}"},
            **{"n_predictions": 16, "n_labelled": 15, "coverage": 0.94, "gap": gap, "p_value": 0.004},
            "metrics": {"accuracy": {"value": accuracy, "low": accuracy - 0.1, "high": accuracy + 0.1}},
            "worse": gap < -0.1,
        }

    slices = [part("fog", 0.52, -0.21), part("sun", 0.83, 0.12)]
    return {
        "window": "2015-12-01T00:00:00+00:00",
        "model": LIVE,
        "metric": "accuracy",
        "slices": slices,
    }


def _column(name: str) -> Json:
    """A column as ``taxiway.control.column_detail`` gives it; the figures are made up."""
    text = name.startswith("weather")
    summary = {
        **{"column": name, "rows": 30, "nulls": 1, "infinities": 0, "kind": "numeric", "distinct": 5.0},
        **{"types": {"string" if text else "fractional": 29}, "mean": None, "stddev": None},
        **{"minimum": None, "maximum": None, "quantiles": {}, "frequent": []},
    }
    shares = {"reference": [0.1, 0.4, 0.4, 0.1], "window": [0.0, 0.1, 0.3, 0.6]}
    distribution = {
        **{"kind": "categorical" if text else "numeric", "edges": [0.0, 10.0, 20.0, 30.0, 40.0], **shares},
        "categories": [
            {"value": "rain", "reference": 0.6, "window": 0.0, "new": False, "vanished": True},
            {"value": "sun", "reference": 0.4, "window": 0.7, "new": False, "vanished": False},
            {"value": "hail", "reference": 0.0, "window": 0.3, "new": True, "vanished": False},
        ],
        **{"others": [0.0, 0.0], "text": ""},
    }
    windows = [window for window in _windows() if window["role"] == "live"]
    brief: Json = {"quantiles": None, "shares": {"rain": 0.5, "sun": 0.5}}
    if not text:
        brief = {"quantiles": [2.0, 8.0, 15.0, 22.0, 30.0], "shares": {}}
    return {
        "detail": {
            **{"column": name, "end": NOW, "model": LIVE, "rows": 30, "drift": windows[-1]["drift"][0]},
            **{"reference": summary, "present": summary, "distribution": distribution},
        },
        "history": {
            "levels": [0.05, 0.25, 0.5, 0.75, 0.95],
            "windows": [{"start": one["start"], "model": LIVE, **brief} for one in windows],
            "reference": brief,
            "total": len(windows),
        },
    }


def _report() -> Json:
    def difference(n: int, live: float, shadow: float, low: float, high: float, p_value: float) -> Json:
        return {
            "metric": "accuracy",
            "n": n,
            "live": live,
            "shadow": shadow,
            "value": shadow - live,
            "low": low,
            "high": high,
            "p_value": p_value,
            "spread": 0.4,
        }

    def part(column: str, value: str, worse: bool, gap: Json) -> Json:
        name = f"{column} = {value!r}"
        return {
            "column": column,
            "value": value,
            "name": name,
            "difference": gap,
            "p_value": 0.2,
            "worse": worse,
        }

    return {
        "task": "classification",
        "metric": "accuracy",
        "n_pairs": 412,
        "n_labelled": 398,
        "agreement": 0.912,
        "errors": 0,
        "unanswered": 2,
        "live_latency": {"p50": 1.24, "p99": 3.9},
        "shadow_latency": {"p50": 1.31, "p99": 4.4},
        "margin": 0.01,
        "difference": difference(398, 0.741, 0.802, 0.021, 0.103, 0.004),
        "slices": [
            part("weather_yesterday", "rain", False, difference(170, 0.71, 0.81, 0.03, 0.17, 0.01)),
            part("weather_yesterday", "sun", False, difference(160, 0.78, 0.80, -0.02, 0.06, 0.4)),
        ],
        "needed": None,
        "verdict": "promote",
        "reasons": [
            "Accuracy 80.2 % beside 74.1 % on the same 398 rows.",
            "No slice is significantly worse.",
        ],
    }


def _endpoint() -> Json:
    title = "New column `account_type` in requests to rain (1 request, example 'gold')"
    seen = {"first_seen": "2026-11-21T01:40:00+00:00", "last_seen": NOW, "model": LIVE}
    return {
        "name": "rain",
        "backend": "local",
        "status": "READY",
        "reason": "",
        "url": "http://127.0.0.1:43111",
        "live": LIVE,
        "shadow": SHADOW,
        "window": "month",
        "requests": 1096,
        "outcomes": 1061,
        "drifted_columns": ["temp_max", "temp_min"],
        "accuracy": {"value": 0.741, "low": 0.714, "high": 0.767, "n": 1061},
        "open_alerts": 2,
        "updated": NOW,
        "windows": _windows(),
        "columns": _columns(),
        "slices": _slices(),
        "concept": {
            "method": "adwin",
            "metric": "error",
            "n": 1061,
            "changes": [{"time": "2014-07-11T00:00:00+00:00", "before": 0.21, "after": 0.34, "n": 540}],
            "drifted": True,
            "text": "the error rose from 21.0 % to 34.0 % on 11 Jul 2014",
        },
        "quality": [
            {
                **{"kind": "rescaled", "column": "wind", "related": "", "value": 1000.0, "now": True},
                **{"text": "is 1,000 times larger than the reference's: another unit?", "windows": 2},
                **{"expected": "median 3", "found": "median 3100", "example": 3100.0},
                **{"first": "2015-11-01T00:00:00+00:00", "last": "2015-12-01T00:00:00+00:00"},
            }
        ],
        "schema": [
            {
                **seen,
                "kind": "extra",
                "column": "account_type",
                "count": 1,
                "example": "gold",
                "rejected": False,
            }
            | {"expected": "no such column", "found": "string"},
            {**seen, "kind": "retyped", "column": "wind", "count": 4, "example": "strong", "rejected": True}
            | {"expected": "float64", "found": "string"},
        ],
        "alerts": [
            alert(1, "schema_added", "warning", title, column="account_type"),
            alert(2, "performance_drop", "critical", "Accuracy of rain fell to 62.0 % in December 2014"),
            alert(3, "data_drift", "warning", "Column `temp_max` of rain drifted", state="acknowledged")
            | {"column": "temp_max", "window": "Dec 2015", "window_start": "2015-12-01T00:00:00+00:00"}
            | {"value": 0.62, "threshold": 0.2},
            alert(4, "data_drift", "info", "Column `wind` of rain drifted", state="resolved"),
        ],
        "timeline": [
            {
                "time": "2026-11-20T22:11:00+00:00",
                "event": "deployed",
                "actor": "ada",
                "text": f"{LIVE} went live.",
            },
            {
                "time": "2026-11-21T00:01:00+00:00",
                "event": "retrained",
                "actor": "agent",
                "text": "Drift of temp_max.",
            },
            {
                "time": "2026-11-21T00:03:00+00:00",
                "event": "shadow",
                "actor": "agent",
                "text": f"{SHADOW} started.",
            },
        ],
        "shadow_report": _report(),
        "runs": [
            _run("run-2", "running", {"cell": 4, "cells": 11}, None, None),
            _run("run-1", "succeeded", None, SHADOW, None),
            _run("run-0", "failed", None, None, "KeyError in cell 3: 'precipitation'"),
        ],
    }


def _run(name: str, state: str, progress: Json | None, model: str | None, error: str | None) -> Json:
    return {
        "id": name,
        "notebook": "notebooks/rain_train.ipynb",
        "endpoint": "rain",
        "state": state,
        "trigger": "drift of temp_max",
        "started": "2026-11-21T00:01:00+00:00",
        "ended": None if state == "running" else "2026-11-21T00:02:40+00:00",
        "progress": progress,
        "model": model,
        "error": error,
        "output": None,
    }
