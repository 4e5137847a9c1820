from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import pytest

from taxiway.backends import Resources, Status
from taxiway.errors import InputError
from taxiway_backends.local.confinement import Confiner, own_groups
from tests.backends.conftest import Endpoint
from tests.load import ask

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process from outside")
MIB = 2**20


@linux
def test_each_process_is_held_to_its_limits_and_the_status_says_how(endpoint: Endpoint) -> None:
    seen = endpoint.start(limits=Resources(cpus=0.5, memory_bytes=900 * MIB))
    pid = endpoint.worker("live").pid
    memory, cores = seen.notes
    assert "900 MiB" in memory
    if "control group" in memory:
        assert "control group" in cores
    else:
        assert resource.prlimit(pid, resource.RLIMIT_DATA) == (900 * MIB, 900 * MIB)
        assert "1 cores" in cores
        assert len(os.sched_getaffinity(pid)) == 1
    assert ask(seen.url, "/predict", endpoint.models[0].rows(3))[0] == 200
    # Other limits come by a switch, like all else.
    assert endpoint.start().notes == ()
    assert endpoint.worker("live").pid != pid


@linux
def test_a_model_that_does_not_fit_its_limit_says_so(endpoint: Endpoint) -> None:
    endpoint.backend.apply(endpoint.spec(limits=Resources(memory_bytes=64 * MIB)), token="a")
    seen = endpoint.until(lambda seen: seen.status is Status.FAILED or "times in a row" in seen.reason)
    assert "does not stay up" in seen.reason
    assert "64 MiB of memory" in seen.reason or "wanted more memory" in seen.reason
    assert "need None" not in seen.reason


def test_limits_that_cannot_be_are_refused(endpoint: Endpoint) -> None:
    for limits, what in ((Resources(cpus=0), "0 cores"), (Resources(memory_bytes=1000), "1000 bytes")):
        with pytest.raises(InputError, match=what):
            endpoint.backend.apply(endpoint.spec(limits=limits), token="a")


def test_a_control_group_is_made_filled_and_removed(tmp_path: Path) -> None:
    """Plain folders stand for the kernel's here: what is written where is all that there is to see."""
    parent = tmp_path / "user.slice"
    parent.mkdir()
    (parent / "cgroup.subtree_control").write_text("memory")
    confiner = Confiner(tmp_path / "iris", parents=[tmp_path / "missing", parent])
    held = confiner.confine(4711, Resources(cpus=1.5, memory_bytes=512 * MIB))
    assert held.group is not None
    assert held.group.parent == parent
    assert (held.group / "cpu.max").read_text() == "150000 100000"
    assert (held.group / "memory.max").read_text() == str(512 * MIB)
    assert (held.group / "memory.swap.max").read_text() == "0"
    assert (held.group / "cgroup.procs").read_text() == "4711"
    assert (parent / "cgroup.subtree_control").read_text() == "+cpu"
    assert all("control group" in words for words in held.words)
    assert not held.killed_for_memory()
    (held.group / "memory.events").write_text("low 0\noom 2\noom_kill 1\n")
    assert held.killed_for_memory()
    for entry in held.group.iterdir():
        entry.unlink()  # the kernel's vanish with the folder
    Confiner(tmp_path / "iris", parents=[parent])
    assert not held.group.exists(), "what a killed master left is removed"


def test_the_groups_above_a_process_come_before_its_own(tmp_path: Path) -> None:
    mounts, membership = tmp_path / "mountinfo", tmp_path / "cgroup"
    root = tmp_path / "sys"
    (root / "user.slice" / "app.scope").mkdir(parents=True)
    mounts.write_text(f"31 25 0:27 / {root} rw,nosuid shared:9 - cgroup2 cgroup2 rw\n")
    membership.write_text("9:name=systemd:/\n0::/user.slice/app.scope\n")
    found = own_groups(mounts, membership)
    assert found == [root / "user.slice", root, root / "user.slice" / "app.scope"]
    assert own_groups(mounts, tmp_path / "missing") == []


def test_no_limit_leaves_a_process_alone() -> None:
    held = Confiner(Path("iris"), parents=[]).confine(os.getpid(), Resources())
    assert (held.words, held.group) == ((), None)
