"""The environment contract: what is recorded, and what counts as another place."""

from __future__ import annotations

import importlib
import json
import logging
import os
import random
import site
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from packaging.utils import canonicalize_name
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from uv import find_uv_bin

import taxiway
from taxiway.errors import InputError
from taxiway.packaging import checks, distributions, environment, hardware, seeds, sources
from taxiway.packaging.environment import Environment
from taxiway.packaging.git import Tree

from .conftest import Packaged, Weather


@pytest.fixture
def recorded(packaged_home: Packaged) -> Environment:
    return packaged_home.model.environment


def test_the_same_place_is_the_same(packaged_home: Packaged) -> None:
    assert packaged_home.model.check_environment().verdict == "same"


def test_what_the_model_needs_is_recorded_with_exact_versions(recorded: Environment) -> None:
    assert {"scikit-learn", "numpy", "scipy"} <= recorded.needed.keys()
    assert "pytest" in recorded.imported
    assert recorded.cpus >= 1
    assert recorded.memory_bytes > 0


def test_a_difference_is_named_and_weighed(recorded: Environment) -> None:
    patch = replace(recorded, needed={**recorded.needed, "numpy": "2.4.99"}, memory_bytes=1)
    found = recorded.compare(patch)
    assert found.verdict == "compatible"
    assert [difference.name for difference in found.differences] == ["memory_bytes", "numpy"]
    assert "numpy: 2.4.6 → 2.4.99" in str(found) or "→ 2.4.99" in str(found)
    for other in (
        replace(recorded, needed={**recorded.needed, "numpy": "1.26.4"}),
        replace(recorded, needed={name: v for name, v in recorded.needed.items() if name != "scipy"}),
        replace(recorded, python="3.12.1"),
        replace(recorded, machine="riscv64"),
    ):
        assert recorded.compare(other).verdict == "differs"
    minor = replace(recorded, imported={**recorded.imported, "pytest": "1.0"})
    assert recorded.compare(minor).verdict == "compatible"


def test_no_value_of_an_environment_variable_is_in_any_byte_of_the_store(
    monkeypatch: pytest.MonkeyPatch, taxiway_home: Path, weather: Weather, classifier: Pipeline
) -> None:
    secret = "correct-horse-battery-staple"
    monkeypatch.setenv("MY_SECRET_TOKEN", secret)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("PYTHONHASHSEED", "12345")
    model = taxiway.package(classifier, name="rain", reference=weather.inputs, target=weather.rain)
    assert model.checks["clean_replay"].result == "passed"
    assert model.environment.seeds["PYTHONHASHSEED"] == "12345"
    files = [path for path in taxiway_home.rglob("*") if path.is_file()]
    assert any(path.name == "environment.json" for path in files)
    assert any("bentos" in path.parts for path in files)
    assert [path for path in files if secret.encode() in path.read_bytes()] == []
    recorded = (model.path / "environment.json").read_text() + (model.path / "model.json").read_text()
    for name, value in os.environ.items():
        if len(value) > 15 and name not in ("JPY_SESSION_NAME", "PWD", "OLDPWD"):
            assert value not in recorded, name


def test_looking_at_the_seeds_does_not_change_them() -> None:
    random.seed(3)
    np.random.seed(3)
    first = seeds.in_force({"model.random_state": 3})
    assert seeds.in_force({"model.random_state": 3}) == first
    np.random.rand()
    assert seeds.in_force({})["numpy"] != first["numpy"]
    assert first["estimator"] == {"model.random_state": 3}


def test_pins_are_exact_and_include_what_is_required_in_turn() -> None:
    pins = dict(line.split("==") for line in distributions.pins())
    assert {"numpy", "onnxruntime", "orjson", "uvicorn", "h11", "protobuf"} <= pins.keys()
    assert "pandas" not in pins


def test_code_that_no_distribution_holds_is_local() -> None:
    assert distributions.unowned(["sklearn", "json", "my_own_module"]) == ["my_own_module"]


def test_an_environment_is_read_as_it_was_written(recorded: Environment, tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    path.write_text(json.dumps(recorded.to_dict()))
    assert Environment.read(path) == recorded


def test_a_description_of_hardware_is_recorded(recorded: Environment) -> None:
    if Path("/proc/cpuinfo").exists():
        assert recorded.cpu_flags == tuple(sorted(recorded.cpu_flags))
        assert hardware.KERNEL_FLAGS.intersection(recorded.cpu_flags)
    assert "CPUExecutionProvider" in recorded.cuda["providers of onnxruntime"]


NVIDIA_SMI = """#!/bin/sh
[ "$1 $2" = "-q -x" ] || exit 1
cat <<'END'
<?xml version="1.0" ?>
<nvidia_smi_log>
  <driver_version>570.86.15</driver_version>
  <cuda_version>12.8</cuda_version>
  <gpu id="00000000:18:00.0">
    <product_name>NVIDIA H200</product_name>
    <gpu_module_id>2</gpu_module_id>
    <fb_memory_usage><total>143771 MiB</total><used>1 MiB</used></fb_memory_usage>
    <bar1_memory_usage><total>262144 MiB</total></bar1_memory_usage>
  </gpu>
  <gpu id="00000000:2A:00.0">
    <product_name>NVIDIA T4</product_name>
    <fb_memory_usage><total>15360 MiB</total></fb_memory_usage>
  </gpu>
</nvidia_smi_log>
END
"""


def test_gpus_driver_and_cuda_are_read_from_nvidia_smi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: Environment
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(NVIDIA_SMI)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    hardware._nvidia.cache_clear()
    try:
        found = environment.record((), {}, needed=recorded.needed)
    finally:
        hardware._nvidia.cache_clear()
    assert found.gpus == ("NVIDIA H200, 143771 MiB", "NVIDIA T4, 15360 MiB")
    assert (found.cuda["driver"], found.cuda["CUDA"]) == ("570.86.15", "12.8")
    if not recorded.gpus:
        differences = recorded.compare(found).differences
        assert {"gpus", "driver", "CUDA"} <= {one.name for one in differences}
        assert recorded.compare(found).verdict == "compatible"


def test_only_cpu_flags_that_kernels_choose_by_are_compared(recorded: Environment) -> None:
    one = replace(recorded, cpu_flags=("avx2", "fma", "syscall"))
    assert one.compare(replace(one, cpu_flags=("avx2", "fma", "lm"))).verdict == "same"
    other = one.compare(replace(one, cpu_flags=("avx2", "avx512f")))
    assert [str(difference) for difference in other.differences] == ["cpu_flags: fma → avx512f"]
    assert other.verdict == "compatible"
    assert one.compare(replace(one, cpu_flags=())).verdict == "same", "another system does not name them"


def test_a_machine_that_calls_its_memory_a_little_less_is_the_same(recorded: Environment) -> None:
    less = replace(recorded, memory_bytes=int(recorded.memory_bytes * 0.995))
    assert recorded.compare(less).verdict == "same"


def test_loading_warns_in_one_line_only_where_it_differs(
    packaged_home: Packaged, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tag = packaged_home.model.tag
    with caplog.at_level(logging.WARNING):
        assert taxiway.load(tag) == packaged_home.model
        assert caplog.records == []
        real = environment.record

        def elsewhere(*arguments: object, **keywords: object) -> Environment:
            here = real(*arguments, **keywords)  # type: ignore[arg-type]
            return replace(here, needed={**here.needed, "scikit-learn": "0.1.0"})

        monkeypatch.setattr(environment, "record", elsewhere)
        assert taxiway.load(tag) == packaged_home.model
    (line,) = caplog.messages
    assert "\n" not in line
    assert tag in line
    assert "scikit-learn: 1" in line
    assert "→ 0.1.0" in line


def test_what_is_installed_is_read_as_importlib_metadata_reads_it() -> None:
    expected = {
        module: {canonicalize_name(name) for name in names}
        for module, names in metadata.packages_distributions().items()
    }
    found = {
        module: {one.name for one in holding} for module, holding in distributions._index().holders.items()
    }
    # of modules that are a file each, Python 3.11's own way sees only those in Python
    native = {module for module in found if module not in expected}
    assert all(
        any(Path(place).glob(f"{module}.*so")) for module in native for place in site.getsitepackages()
    )
    assert {module: names for module, names in found.items() if module not in native} == expected
    for one in metadata.distributions():
        name = one.metadata["Name"]
        assert distributions.installed([name]) == {canonicalize_name(name): metadata.version(name)}


def test_an_installation_while_the_kernel_runs_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    assert distributions.installed(["late-arrival"]) == {}
    folder = tmp_path / "late_arrival-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: Late.Arrival\nVersion: 1.2\nRequires-Dist: idna\n\nBody\n")
    (folder / "RECORD").write_text("late_module.py,,\n")
    assert distributions.installed(["late-arrival"]) == {"late-arrival": "1.2"}
    assert list(distributions.needed_by(["late_module"])) == ["idna", "late-arrival"]


BACKEND = """
import os, zipfile

def write(directory, files):
    info = "tiny_own-1.0.dist-info"
    files = {**files, f"{info}/METADATA": "Metadata-Version: 2.1\\nName: tiny-own\\nVersion: 1.0\\n"
             "Requires-Dist: idna\\n", f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: own\\n"
             "Root-Is-Purelib: true\\nTag: py3-none-any\\n"}
    files[f"{info}/RECORD"] = "".join(f"{name},,\\n" for name in [*files, f"{info}/RECORD"])
    name = "tiny_own-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name

def build_wheel(directory, config_settings=None, metadata_directory=None):
    return write(directory, {"tiny_own.py": open("src/tiny_own.py").read()})

def build_editable(directory, config_settings=None, metadata_directory=None):
    return write(directory, {"tiny_own.pth": os.path.abspath("src")})
"""


@pytest.fixture
def own_project(tmp_path: Path) -> Path:
    """A project with one module, and a build backend that needs nothing."""
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src" / "tiny_own.py").write_text("import idna\n\nclass Step:\n    pass\n")
    (project / "own_backend.py").write_text(BACKEND)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "own_backend"\nbackend-path = ["."]\n'
        '[project]\nname = "tiny-own"\nversion = "1.0"\n'
    )
    return project


def installed_from(project: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Path:
    """Really install it, in a virtual environment whose packages this process then finds too."""
    venv = project.parent / "venv"
    uv = find_uv_bin()
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True)
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--python", str(venv / "bin" / "python")]
    subprocess.run([*install, *options, str(project)], check=True, cwd=project.parent)
    [site] = venv.glob("lib/*/site-packages")
    monkeypatch.syspath_prepend(project / "src")
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "tiny_own", raising=False)
    return site


@pytest.mark.parametrize("options", [("--editable",), ()], ids=["editable", "copied"])
def test_what_is_installed_from_a_folder_is_not_pinned_and_its_source_goes_along(
    own_project: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    site = installed_from(own_project, monkeypatch, *options)
    module = importlib.import_module("tiny_own")
    monkeypatch.setitem(sys.modules, "tiny_own", module)
    assert Path(str(module.__file__)).parent == (own_project / "src" if options else site)
    assert distributions.pins(["tiny-own"]) == [f"idna=={metadata.version('idna')}"]
    assert distributions.needed_by(["tiny_own"])["tiny-own"] == "1.0"
    assert list(sources.collect(["tiny_own"])) == ["tiny_own.py"]
    assert distributions.editable(["tiny-own"]) == (["tiny-own"] if options else [])


def test_what_conda_built_from_a_folder_elsewhere_is_pinned(
    own_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = installed_from(own_project, monkeypatch)
    [told] = site.glob("tiny_own-*/direct_url.json")
    told.write_text('{"url": "file:///home/conda/feedstock_root/tiny/work", "dir_info": {}}')
    assert "tiny-own==1.0" in distributions.pins(["tiny-own"])


def test_a_local_file_that_shares_a_distributions_name_is_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = ModuleType("idna")
    local.__file__ = str(tmp_path / "idna.py")
    assert distributions.unowned(["idna"]) == []
    monkeypatch.setitem(sys.modules, "idna", local)
    assert distributions.unowned(["idna"]) == ["idna"]


@pytest.mark.parametrize(
    ("requires", "message", "hint"),
    [
        ("no-such-thing", "'no-such-thing', which is not installed", "pip install"),
        ("sklearn", "'sklearn', which is not installed", "'scikit-learn'"),
        ("numpy<1", "'numpy<1', and here is numpy 2", "mend the version"),
        ("??", "names no distribution", "pip takes it"),
    ],
)
def test_a_declared_requirement_that_is_not_met_is_explained_and_nothing_is_written(
    requires: str,
    message: str,
    hint: str,
    taxiway_home: Path,
    weather: Weather,
    classifier: Pipeline,
) -> None:
    with pytest.raises(InputError) as caught:
        taxiway.package(classifier, name="rain", reference=weather.inputs, requires=[requires])
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert list(taxiway_home.iterdir()) == []


def test_what_is_declared_is_needed_with_all_that_it_requires() -> None:
    found = environment.record(["sklearn"], {}, declared=["httpx>=0.20"])
    assert {"httpx", "httpcore", "h11", "scikit-learn"} <= found.needed.keys()
    assert "httpx" not in environment.record(["sklearn"], {}).needed


def test_generators_of_the_notebook_and_of_the_model_are_found_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "rng", np.random.default_rng(42), raising=False)
    monkeypatch.setattr(main, "old", np.random.RandomState(7), raising=False)
    monkeypatch.setattr(main, "_kept", np.random.default_rng(1), raising=False)
    forest = RandomForestClassifier(random_state=np.random.RandomState(3))
    first = seeds.in_force({}, forest)
    assert first["generators"].keys() == {"old", "rng", "model.random_state"}
    assert first["generators"]["rng"]["seed"] == "42"
    assert seeds.in_force({}, forest) == first
    main.rng.random()  # type: ignore[attr-defined]
    second = seeds.in_force({}, forest)["generators"]
    assert second["rng"]["state"] != first["generators"]["rng"]["state"]
    assert second["old"] == first["generators"]["old"]
    json.dumps(first)


def test_the_lock_names_code_that_cannot_go_along_and_notes_what_does(recorded: Environment) -> None:
    assert checks.environment_locked(recorded).result == "passed"
    loose = replace(recorded, loose={"__main__": "it is defined in the notebook's own cells"})
    failed = checks.environment_locked(loose, "skops")
    assert (failed.result, failed.level) == ("failed", "blocking")
    assert "__main__: it is defined in the notebook's own cells" in failed.reason
    tree = Tree("0" * 40, dirty=True)
    local = checks.environment_locked(replace(recorded, local=("features",), trees={"features": tree}))
    assert local.result == "passed"
    assert "the source of features goes along (changed since its last commit: features)" in local.reason
