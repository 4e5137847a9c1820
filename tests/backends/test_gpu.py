from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from taxiway.backends import Capability, EndpointSpec, Routing
from taxiway.cli import doctor
from taxiway.errors import BackendError
from taxiway_backends.local import LocalBackend, gpu, placement
from taxiway_backends.local.gpu import VISIBLE, WORKING_BYTES, GpuError, inventory, needed, place
from taxiway_backends.local.placement import find_place
from taxiway_backends.local.specifying import entry
from tests.backends.conftest import Endpoint, ref_of

GB = 10**9


@dataclass
class FakeLibrary:
    """What is used of ``pynvml``, for GPUs of these free gigabytes of 80."""

    free: list[float]
    broken: bool = False
    names: dict[int, str] = field(default_factory=dict)

    def nvmlInit(self) -> None:
        return

    def nvmlDeviceGetCount(self) -> int:
        if self.broken:
            raise RuntimeError("GPU is lost")
        return len(self.free)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{'abcdef'[handle]}000"

    def nvmlDeviceGetName(self, handle: int) -> str:
        return self.names.get(handle, "NVIDIA H200")

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(free=int(self.free[handle] * GB), total=80 * GB, used=0)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        if handle == 1:
            raise RuntimeError("Not Supported")
        return SimpleNamespace(gpu=37)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    """A machine whose NVML shows two GPUs."""
    fake = FakeLibrary([10, 60])
    for module in (gpu, placement):
        monkeypatch.setattr(module, "library", lambda: fake)
    monkeypatch.setattr("taxiway_backends.local.backend.library", lambda: fake)
    monkeypatch.delenv(VISIBLE, raising=False)
    gpu.has_gpu.cache_clear()
    yield fake
    gpu.has_gpu.cache_clear()


def test_the_inventory_tells_name_memory_and_use() -> None:
    first, second = inventory(FakeLibrary([10, 60]), {})
    assert str(first) == "GPU 0 NVIDIA H200: 10.0 GB of 80.0 GB free, 37 % busy"
    assert str(second) == "GPU 1 NVIDIA H200: 60.0 GB of 80.0 GB free"
    assert inventory(None) == []
    with pytest.raises(GpuError, match="GPU is lost"):
        inventory(FakeLibrary([10], broken=True))


def test_only_what_the_environment_leaves_is_used() -> None:
    library = FakeLibrary([10, 60, 20])
    for visible, numbers in (("1,0", [0, 1]), ("GPU-c0", [2]), ("-1", []), ("", [])):
        assert [one.number for one in inventory(library, {VISIBLE: visible})] == numbers


def test_the_gpu_with_most_room_is_chosen_and_what_is_promised_counts() -> None:
    gpus = inventory(FakeLibrary([10, 60]), {})
    assert place(5 * GB, gpus, {}).number == 1
    assert place(5 * GB, gpus, {"GPU-b000": 55 * GB}).number == 0
    with pytest.raises(GpuError, match=r"about 61\.0 GB .*10\.0 GB of 80\.0 GB free.*60\.0 GB of 80\.0"):
        place(61 * GB, gpus, {})
    with pytest.raises(GpuError, match=r"55\.0 GB are meant for processes that are starting"):
        place(20 * GB, gpus, {"GPU-b000": 55 * GB})


def test_a_process_sees_its_gpu_alone_and_falls_back_only_where_it_may(models) -> None:
    model = entry(ref_of(models[0]))
    assert needed(model) > WORKING_BYTES
    roomy, full = FakeLibrary([10, 60]), FakeLibrary([0.1])
    for device, flag in (("auto", "auto"), ("gpu", "cuda")):
        found = find_place(model, device, {}, roomy)
        assert (found.device, found.environment) == (flag, {VISIBLE: "GPU-b000"})
    for place_ in (find_place(model, "auto", {}, full), find_place(model, "cpu", {}, roomy)):
        assert (place_.device, place_.environment) == ("cpu", {VISIBLE: "-1"})
    with pytest.raises(GpuError, match=r"0\.1 GB of 80\.0 GB free"):
        find_place(model, "gpu", {}, full)


def test_a_gpu_that_is_demanded_and_has_no_room_is_refused_before_anything_starts(
    taxiway_home: Path, models, gpus: FakeLibrary
) -> None:
    gpus.free = [0.2, 0.3]
    backend = LocalBackend(taxiway_home)
    assert Capability.GPU in backend.capabilities
    spec = EndpointSpec("iris", Routing(ref_of(models[0])), device="gpu")
    (lack,) = backend.plan(spec).unsupported
    assert "0.3 GB of 80.0 GB free" in lack
    with pytest.raises(BackendError, match=r"0\.3 GB of 80\.0 GB free") as refused:
        backend.apply(spec, token="a")
    assert "auto or cpu" in refused.value.hint
    assert not (taxiway_home / "run" / "local" / "iris").exists()
    assert "GPU 1 NVIDIA H200" in backend.check().facts["gpu"]


def test_without_a_gpu_there_is_no_such_capability(endpoint: Endpoint) -> None:
    if gpu.has_gpu():
        pytest.skip("this machine has a GPU")
    assert Capability.GPU not in endpoint.backend.capabilities
    with pytest.raises(BackendError, match="GPU"):
        endpoint.backend.apply(endpoint.spec(device="gpu"), token="a")
    assert endpoint.backend.plan(endpoint.spec()).unsupported == ()


def test_the_real_gpus_are_seen() -> None:
    if not gpu.has_gpu():
        pytest.skip("NVML shows no GPU on this machine")
    for one in inventory(gpu.library()):
        assert one.uuid.startswith("GPU-")
        assert 0 < one.free <= one.total


def test_the_doctor_shows_each_gpu_and_what_keeps_models_from_it(
    monkeypatch: pytest.MonkeyPatch, gpus: FakeLibrary
) -> None:
    monkeypatch.setattr(doctor, "_providers", lambda: ["CPUExecutionProvider"])
    ok, found, remedy = doctor._gpu()
    assert not ok
    assert "GPU 0 NVIDIA H200: 10.0 GB of 80.0 GB free, 37 % busy; GPU 1" in found
    assert "onnxruntime-gpu" in remedy
    monkeypatch.setattr(doctor, "_providers", lambda: ["CUDAExecutionProvider"])
    assert doctor._gpu()[0]
    gpus.broken = True
    assert doctor._gpu() == (False, "NVML does not tell about the GPUs: GPU is lost", "See nvidia-smi.")
    gpus.broken, gpus.free = False, []
    assert doctor._gpu() == (True, "none; Models run on the CPU", "")
