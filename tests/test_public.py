"""The public surface, what importing it costs, and what no part of Taxiway may do."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import taxiway

HEAVY = {
    "numpy",
    "pandas",
    "pydantic",
    "sqlalchemy",
    "whylogs",
    "bentoml",
    "onnxruntime",
    "sklearn",
    "papermill",
}
EXPECTED = [
    "Endpoint",
    "Model",
    "TaxiwayError",
    "delete",
    "deploy",
    "endpoint",
    "endpoints",
    "import_model",
    "load",
    "models",
    "package",
    "profile",
    "signature_of",
    "tag",
    "untag",
]


def run(code: str, *arguments: str, **environment: str) -> str:
    """Run Python code in a fresh process and give what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_public_names_are_these_and_each_can_be_had() -> None:
    assert sorted(taxiway.__all__) == sorted(EXPECTED)
    for name in EXPECTED:
        assert getattr(taxiway, name) is not None
    assert not {name for name in dir(taxiway) if not name.startswith("_")} - set(EXPECTED)


def test_import_taxiway_brings_nothing_heavy() -> None:
    loaded = json.loads(run("import json, sys, taxiway; print(json.dumps(sorted(sys.modules)))"))
    assert not HEAVY & set(loaded)


@pytest.mark.alone
def test_import_taxiway_takes_less_than_a_fifth_of_a_second() -> None:
    # in the process's own CPU time, and the median of seven, since the machine is noisy
    code = "import time; a = time.process_time(); import taxiway; print(time.process_time() - a)"
    assert statistics.median(float(run(code)) for _ in range(7)) <= 0.2


def test_the_control_plane_imports_no_whylogs_pandas_or_bentoml() -> None:
    code = "import json, sys, taxiway.control.agent; print(json.dumps(sorted(sys.modules)))"
    assert not {"whylogs", "pandas", "bentoml", "papermill", "sklearn"} & set(json.loads(run(code)))


def test_imports_point_one_way() -> None:
    """A package may import what stands below it in design.md, and nothing above."""
    import ast

    below: dict[str, set[str]] = {
        "serving": {"signature"},
        "packaging": {"signature", "errors", "settings", "serving", "monitoring.profiles"},
        "monitoring": {"errors", "settings", "signature", "serving.rows"},
        "shadow": {"errors", "settings", "signature", "monitoring", "packaging"},
        "retraining": {"errors", "settings"},
    }
    root = Path(taxiway.__file__).parent
    wrong = []
    for package, allowed in below.items():
        for path in (root / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = []
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = [f"{node.module}.{alias.name}" for alias in node.names]
                elif isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                for name in names:
                    if not name.startswith("taxiway.") or name == "taxiway.__version__":
                        continue
                    inner = name.removeprefix("taxiway.")
                    fits = any(inner == one or inner.startswith(one + ".") for one in {*allowed, package})
                    # the displays are the one thing that a Model asks of what stands above it, lazily
                    if not fits and not inner.startswith("lab.display"):
                        wrong.append(f"{path.relative_to(root)} imports {name}")
    assert wrong == []


def test_packaging_opens_no_socket_but_to_this_machine(taxiway_home: Path, tmp_path: Path) -> None:
    """Neither whylogs nor bentoml phones home, nor does the process that builds the Bento."""
    log = tmp_path / "sockets"
    watch = tmp_path / "sitecustomize.py"
    watch.write_text(
        "import os, sys\n"
        "def hook(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'):\n"
        "        with open(os.environ['SOCKETS'], 'a') as file:\n"
        "            file.write(f'{event} {arguments}\\n')\n"
        "sys.addaudithook(hook)\n"
    )
    code = (
        "from taxiway.demo import weather\n"
        "import taxiway\n"
        "days = weather.days().head(200)\n"
        "fitted = weather.pipeline().set_params(randomforestclassifier__n_estimators=3)\n"
        "fitted.fit(days[weather.FEATURES], days['rain'])\n"
        "inputs = days[weather.FEATURES]\n"
        "taxiway.package(fitted, name='rain', reference=inputs, target=days['rain'], replay=False)\n"
    )
    environment = {"PYTHONPATH": str(tmp_path), "SOCKETS": str(log), "TAXIWAY_HOME": str(taxiway_home)}
    for name in ("BENTOML_DO_NOT_TRACK", "WHYLOGS_NO_ANALYTICS"):
        environment[name] = ""
    run(code, **environment)
    opened = log.read_text().splitlines() if log.exists() else []
    assert [line for line in opened if "127.0.0.1" not in line and "::1" not in line] == []
