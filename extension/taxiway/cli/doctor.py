"""Examining this machine: what is there, what is missing, what mends it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

from taxiway.errors import TaxiwayError
from taxiway.settings import settings

NEEDED_BYTES = 1_000_000_000
DISTRIBUTIONS = ("bentoml", "whylogs", "papermill", "jupyterlab", "onnxruntime", "skl2onnx", "uv")


def examine() -> list[dict[str, Any]]:
    """Run every check; one that breaks is a finding, not an error.

    Returns
    -------
    list of dict
        ``name``, ``ok``, ``found`` and ``remedy`` (empty when ok).
    """
    checks: dict[str, Callable[[], tuple[bool, str, str]]] = {
        "python": _python,
        "distributions": _distributions,
        "home": _home,
        "disk": _disk,
        "ledger": _ledger,
        "agent": _agent,
        **{f"back end {name}": partial(_backend, name) for name in ("local", *_far_ones())},
        "kernel": _kernel,
        "jupyterlab extension": _labextension,
        "jupyter server extension": _server_extension,
        "gpu": _gpu,
    }
    findings = []
    for name, check in checks.items():
        try:
            ok, found, remedy = check()
        except TaxiwayError as error:
            ok, found, remedy = False, error.message, error.hint
        except Exception as error:  # noqa: BLE001 - the doctor must survive every patient
            ok, found, remedy = False, f"{type(error).__name__}: {error}", "Reinstall Taxiway."
        findings.append({"name": name, "ok": ok, "found": found, "remedy": "" if ok else remedy})
    return findings


def _python() -> tuple[bool, str, str]:
    found = ".".join(map(str, sys.version_info[:3]))
    ok = (3, 11) <= sys.version_info[:2] < (3, 13)
    return ok, found, "Install Python 3.11 or 3.12; whylogs has no wheel for others."


def _distributions() -> tuple[bool, str, str]:
    found, missing = [], []
    for name in DISTRIBUTIONS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    remedy = f"{sys.executable} -m pip install {' '.join(missing)}"
    return not missing, ", ".join(found), remedy


def _home() -> tuple[bool, str, str]:
    home = settings().home
    parent = home
    while not parent.exists():
        parent = parent.parent
    ok = os.access(parent, os.W_OK)
    return ok, str(home), f"Make {parent} writable, or set TAXIWAY_HOME to another folder."


def _disk() -> tuple[bool, str, str]:
    parent: Path = settings().home
    while not parent.exists():
        parent = parent.parent
    free = shutil.disk_usage(parent).free
    return free > NEEDED_BYTES, f"{free / 1e9:.1f} GB free", "Free at least 1 GB, or move TAXIWAY_HOME."


def _ledger() -> tuple[bool, str, str]:
    from taxiway.control.audit import audit
    from taxiway.control.ledger import ledger

    with ledger().reading() as session:
        findings = audit(session).findings
    url = ledger().engine.url.render_as_string(hide_password=True)
    if findings:
        return False, f"{url}: {findings[0].text}", "taxiway audit"
    return True, url, ""


def _agent() -> tuple[bool, str, str]:
    from taxiway.control import agent_process
    from taxiway.control.views import endpoints

    state = agent_process.status()
    if state.running:
        return True, f"process {state.pid}, {state.doing}", ""
    waiting = len(endpoints())
    return not waiting, f"not running, {waiting} endpoints wait for it", "taxiway agent start"


def _far_ones() -> list[str]:
    return sorted({entry.name for entry in entry_points(group="taxiway.backends")} - {"local"})


def _backend(name: str) -> tuple[bool, str, str]:
    """Look at a back end; what a cloud lacks is a fault only where an endpoint is to be on it."""
    from taxiway.control.reconcile import backend
    from taxiway.control.views import endpoints

    diagnosis = backend(name).check()
    if diagnosis.ok:
        return True, ", ".join(f"{key} {value}" for key, value in diagnosis.facts.items()), ""
    problem, remedy = diagnosis.problems[0]
    if name == "local" or any(row["backend"] == name for row in endpoints()):
        return False, problem, remedy
    return True, f"not in use. {problem} {remedy}", ""


def _kernel() -> tuple[bool, str, str]:
    from jupyter_client.kernelspec import KernelSpecManager

    specs = KernelSpecManager().find_kernel_specs()
    remedy = f"{sys.executable} -m ipykernel install --sys-prefix"
    return "python3" in specs, specs.get("python3", "no kernel named python3"), remedy


def _labextension() -> tuple[bool, str, str]:
    from jupyter_core.paths import jupyter_path

    for folder in jupyter_path("labextensions"):
        if (Path(folder) / "taxiway" / "package.json").is_file():
            return True, str(Path(folder) / "taxiway"), ""
    return False, "not installed", "make setup"


def _server_extension() -> tuple[bool, str, str]:
    from jupyter_core.paths import jupyter_config_path

    for folder in jupyter_config_path():
        if (Path(folder) / "jupyter_server_config.d" / "taxiway.json").is_file():
            return True, folder, ""
    return False, "not enabled", "jupyter server extension enable taxiway"


def _gpu() -> tuple[bool, str, str]:
    from taxiway_backends.local.gpu import MISSING, GpuError, inventory, library

    try:
        gpus = inventory(library())
    except GpuError as error:
        if str(error) == MISSING and shutil.which("nvidia-smi") is None:
            return True, "none; Models run on the CPU", ""
        remedy = "pip install 'taxiway[cuda]'" if str(error) == MISSING else "See nvidia-smi."
        return False, str(error), remedy
    if not gpus:
        return True, "none; Models run on the CPU", ""
    found = "; ".join(map(str, gpus))
    if "CUDAExecutionProvider" not in _providers():
        remedy = f"{sys.executable} -m pip install onnxruntime-gpu, in the place of onnxruntime"
        return False, f"{found}; onnxruntime here cannot use it", remedy
    return True, found, ""


def _providers() -> list[str]:
    import onnxruntime

    return list(onnxruntime.get_available_providers())
