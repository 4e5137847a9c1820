from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from taxiway.serving.engines import EngineError, hardware, open_engine
from taxiway.serving.engines.hardware import CPU, Device, memory, need_memory, parse_device, processors
from tests.models import BuiltModel
from tests.serving.conftest import Serve

#: A CUDA driver of one device, as far as it is asked; it counts on being asked in the right order.
DRIVER = """
#include <stddef.h>
static int ready, retained, current;
int cuInit(unsigned flags) {{ ready = 1; return {init}; }}
int cuDeviceGetCount(int *count) {{ *count = ready; return 0; }}
int cuDeviceGet(int *device, int number) {{ *device = 40 + number; return number != 0; }}
int cuDevicePrimaryCtxRetain(void **context, int device) {{
  retained++; *context = &ready; return device != 40; }}
int cuCtxPushCurrent_v2(void *context) {{ current = context == &ready; return !current; }}
int cuMemGetInfo_v2(size_t *free, size_t *total) {{
  *free = {free}; *total = 24000000000; return !(current && retained == 1); }}
int cuCtxPopCurrent_v2(void **context) {{ current = 0; return 0; }}
int cuDevicePrimaryCtxRelease_v2(int device) {{ retained--; return 0; }}
"""

Driver = Callable[..., None]


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Put a driver in the place of the real one, compiled from ``DRIVER``."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")

    def place(free: int, init: int = 0) -> None:
        library = tmp_path / f"libcuda-{free}-{init}.so"
        command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
        subprocess.run(command, input=DRIVER.format(free=free, init=init), text=True, check=True)
        monkeypatch.setattr(hardware, "_DRIVER", str(library))

    return place


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("auto", None),
        ("cpu", CPU),
        ("cuda", Device("cuda", 0)),
        ("cuda:3", Device("cuda", 3)),
        ("tensorrt:1", Device("tensorrt", 1)),
    ],
)
def test_a_device_is_read(text: str, device: Device | None) -> None:
    assert parse_device(text) == device
    assert device is None or parse_device(str(device)) == device


@pytest.mark.parametrize("text", ["gpu", "cuda:", "cuda:-1", "cpu:0", "CUDA", "cuda:0 "])
def test_no_other_device_is_taken(text: str) -> None:
    with pytest.raises(EngineError, match="name auto, cpu, cuda"):
        parse_device(text)


def test_a_gpu_that_is_asked_for_and_not_there_is_not_replaced_by_the_cpu(serve: Serve) -> None:
    served = serve("--device", "cuda")
    assert served.process.wait(20) == 3
    assert served.process.stderr is not None
    said = served.process.stderr.read()
    assert "cannot use cuda:0" in said
    assert "--device cpu" in said


def test_onnx_runtimes_own_way_back_to_the_cpu_is_an_error(
    driver: Driver, iris: BuiltModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    driver(free=20 * 10**9)
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(EngineError, match="could not start its CUDAExecutionProvider for cuda:0"),
    ):
        open_engine(iris.path, "onnx", device="cuda")
    with caplog.at_level(logging.INFO), pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        engine = open_engine(iris.path, "onnx", device="auto")
    assert engine.device == "cpu"  # type: ignore[attr-defined]
    assert "no GPU is used: ONNX Runtime could not start" in caplog.text


def test_tensorrt_is_offered_a_model_before_cuda_and_refuses_one_of_which_it_runs_nothing(
    driver: Driver, iris: BuiltModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands for ONNX Runtime on a GPU places all operations where it is told to."""
    driver(free=20 * 10**9)
    kinds = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    offered: list[Any] = []
    placed = kinds[1]

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]
        def __init__(self, path: str, settings: Any, providers: list[Any], enable_fallback: int) -> None:
            assert not enable_fallback
            offered[:] = providers
            super().__init__(path, settings, providers=kinds[2:])

        def get_providers(self) -> list[str]:
            return kinds

        def get_provider_graph_assignment_info(self) -> list[Any]:
            return [SimpleNamespace(ep_name=placed, get_nodes=lambda: [1, 2])]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: kinds)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    with pytest.raises(EngineError, match="none of the model's operations can run on tensorrt:0"):
        open_engine(iris.path, "onnx", device="tensorrt")
    assert [one if isinstance(one, str) else one[0] for one in offered] == kinds
    assert [one[1]["device_id"] for one in offered[:2]] == ["0", "0"]
    placed = kinds[0]
    assert open_engine(iris.path, "onnx", device="tensorrt").device == "tensorrt:0"  # type: ignore[attr-defined]
    driver(free=10**8)
    offered.clear()
    with pytest.raises(EngineError, match=r"needs about 0\.5 GB of tensorrt:0, of which 0\.1 GB"):
        open_engine(iris.path, "onnx", device="tensorrt")
    assert not offered, "what has no room is not loaded"


def test_a_model_that_does_not_fit_into_the_devices_memory_is_refused_with_figures(driver: Driver) -> None:
    driver(free=3 * 10**9)
    assert memory(0) == (3 * 10**9, 24 * 10**9)
    need_memory(Device("cuda"), 2 * 10**9)
    with pytest.raises(
        EngineError, match=r"needs about 4\.5 GB of cuda:0, of which 3\.0 GB of 24\.0 GB are free"
    ):
        need_memory(Device("cuda"), 4 * 10**9)


def test_a_device_that_the_driver_does_not_show_is_named(driver: Driver) -> None:
    driver(free=3 * 10**9)
    with pytest.raises(EngineError, match="no device cuda:1: the driver shows 1"):
        memory(1)


def test_a_driver_that_fails_is_named(driver: Driver) -> None:
    driver(free=0, init=999)
    with pytest.raises(EngineError, match="refuses cuInit with status 999"):
        memory(0)


@pytest.mark.parametrize(("quota", "count"), [("150000 100000", 1), ("400000 100000", 4), ("max 100000", 6)])
def test_processors_are_those_that_the_container_may_use(
    quota: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(hardware, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(hardware.os, "sched_getaffinity", lambda _: set(range(6)))
    assert processors() == count
