"""Whatever interrupts packaging, nothing half-written is left, and the next attempt succeeds.

Real processes: killed at many moments, on a full disk, on a read-only one, and two at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taxiway.packaging import bento, registry
from tests.conftest import processes_of
from tests.forked import Forked
from tests.waiting import wait_until

#: Packages a forest of as many trees as it is told; ends in two lines if it cannot.
PACKAGE = """
import sys
import taxiway
from taxiway.demo import weather
days = weather.days().head(300)
fitted = weather.pipeline().set_params(randomforestclassifier__n_estimators=int(sys.argv[1]))
fitted.fit(days[weather.FEATURES], days["rain"])
try:
    model = taxiway.package(
        fitted,
        name="rain",
        reference=days[weather.FEATURES],
        target=days["rain"],
        replay=False,
        progress=lambda line: print(line, flush=True),
    )
except taxiway.TaxiwayError as error:
    print(error.message, error.hint, sep="\\n", file=sys.stderr)
    raise SystemExit(3)
print(model.tag)
"""

#: Counts what is done to files under home, in every process, and kills them all at the n-th.
KILLER = """
import os, signal, sys
COUNT, HOME = os.environ.get("KILL_COUNT"), os.environ.get("TAXIWAY_HOME")
LAST = int(os.environ.get("KILL_AT", -1))
CHANGING = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.truncate"}
def hook(event, arguments):
    if event == "open":
        path, _, flags = arguments
        if not flags & (os.O_WRONLY | os.O_RDWR):
            return
    elif event not in CHANGING:
        return
    if not any(isinstance(one, str | os.PathLike) and str(one).startswith(HOME) for one in arguments):
        return
    os.write(counter, b"x")
    if os.fstat(counter).st_size == LAST:
        os.killpg(0, signal.SIGKILL)
if COUNT and HOME:
    counter = os.open(COUNT, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    sys.addaudithook(hook)
"""


def start(trees: int = 3, **more: str) -> Forked:
    """Begin to package, in a process group of its own."""
    return Forked(PACKAGE, str(trees), environment={**bento.environment(), **more})


def package(trees: int = 3, **more: str) -> str:
    """Package in a process, which succeeds; give the tag."""
    done = start(trees, **more).wait()
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def names(home: Path) -> set[str]:
    """Every path under home; two homes in which the same was done have the same."""
    return {path.relative_to(home).as_posix() for path in home.rglob("*")}


def at_home(home: Path, patch: pytest.MonkeyPatch) -> Path:
    home.mkdir(exist_ok=True)
    patch.setenv("TAXIWAY_HOME", str(home))
    return home


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[set[str], str, int]]:
    """What an undisturbed packaging leaves, its tag, and how often it changes something under home."""
    folder = tmp_path_factory.mktemp("clean")
    (folder / "sitecustomize.py").write_text(KILLER)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BENTOML_HOME", "TAXIWAY_DATABASE_URL", "TAXIWAY_RUN_DIR"):
            patch.delenv(name, raising=False)
        home = at_home(folder / "home", patch)
        tag = package(PYTHONPATH=watching(folder), KILL_COUNT=str(folder / "count"))
        yield names(home), tag, (folder / "count").stat().st_size


def watching(folder: Path) -> str:
    return os.pathsep.join((str(folder), bento.environment()["PYTHONPATH"]))


def whole(home: Path, clean: tuple[set[str], str, int]) -> None:
    """Insist that home holds exactly what an undisturbed packaging leaves, and that it is sound."""
    left, tag, _ = clean
    assert names(home) == left
    assert registry.load(tag).tag == tag
    assert bento.exists(tag)


# --- content-addressed


def test_the_same_thing_has_the_same_version_in_any_process(
    clean: tuple[set[str], str, int], taxiway_home: Path
) -> None:
    for seed in ("0", "1", "4711"):
        environment = {**bento.environment(), "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", PACKAGE, "3"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == clean[1]
    assert len(registry.list_models()) == 1
    whole(taxiway_home, clean)


# --- killed


@pytest.mark.parametrize("moment", [0.01, 0.2, 0.4, 0.6, 0.8, -8, -6, -4, -2, -1, 0])
def test_after_a_kill_at_any_moment_the_next_attempt_succeeds_and_leaves_no_orphan(
    clean: tuple[set[str], str, int], taxiway_home: Path, tmp_path: Path, moment: float
) -> None:
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    last = round(clean[2] * moment) if moment > 0 else clean[2] + int(moment)  # the last ones put it in place
    process = start(PYTHONPATH=watching(tmp_path), KILL_COUNT=str(tmp_path / "count"), KILL_AT=str(last))
    assert process.wait().returncode == -signal.SIGKILL
    for model in registry.list_models():
        registry.load(model.tag)  # there whole, or not at all
    assert package() == clean[1]
    whole(taxiway_home, clean)


def test_a_kernel_killed_while_the_bento_is_built_harms_no_next_attempt(
    clean: tuple[set[str], str, int], taxiway_home: Path
) -> None:
    """The process that builds it lives on for a while."""
    process = start()
    wait_until(lambda: "Bento" in process.written, "the Bento to be built")
    process.kill()
    process.wait()
    assert package() == clean[1]
    wait_until(lambda: not processes_of(taxiway_home), "what built it to end")
    assert package() == clean[1]
    whole(taxiway_home, clean)


# --- no room, no right


@pytest.fixture
def disk(taxiway_home: Path) -> Iterator[Path]:
    """Home as a file system of its own, in memory."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(taxiway_home)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root may mount a file system")
    yield taxiway_home
    subprocess.run(["umount", "--lazy", str(taxiway_home)], check=True)


def resize(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def refused(process: Forked) -> list[str]:
    """The two lines in which packaging ended."""
    done = process.wait()
    assert done.returncode == 3, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 2, done.stderr
    return lines


@pytest.mark.parametrize("kilobytes", [16, 100, 240, 480])
def test_a_full_disk_is_one_sentence_and_nothing_is_half_written(
    clean: tuple[set[str], str, int], disk: Path, kilobytes: int
) -> None:
    resize(disk, f"size={kilobytes}k")
    message, hint = refused(start())
    assert "space" in f"{message} {hint}".lower()
    assert registry.list_models() == []
    assert not [name for name in names(disk) if "stage-" in name or clean[1].partition(":")[2] in name]
    resize(disk, "size=64m")
    assert package() == clean[1]
    whole(disk, clean)


def test_a_file_that_may_not_grow_is_one_sentence_and_nothing_is_half_written(
    clean: tuple[set[str], str, int], taxiway_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import resource, os\nresource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
    )
    message, hint = refused(start(PYTHONPATH=watching(tmp_path), PYTHONDONTWRITEBYTECODE="1"))
    assert "File too large" in message
    assert "half-written" in hint
    assert registry.list_models() == []
    assert package() == clean[1]
    whole(taxiway_home, clean)


def test_a_read_only_store_is_one_sentence(clean: tuple[set[str], str, int], disk: Path) -> None:
    resize(disk, "ro")
    message, hint = refused(start())
    assert "Read-only file system" in message
    assert str(disk) in hint
    resize(disk, "rw")
    assert package() == clean[1]
    whole(disk, clean)


# --- two at once


def test_two_who_package_the_same_at_once_get_one_version(
    clean: tuple[set[str], str, int], taxiway_home: Path
) -> None:
    both = [start(), start()]
    ends = [process.wait() for process in both]
    assert [done.returncode for done in ends] == [0, 0], ends
    assert [done.stdout.splitlines()[-1] for done in ends] == [clean[1]] * 2
    whole(taxiway_home, clean)


def test_two_who_package_different_models_at_once_get_two_versions(taxiway_home: Path) -> None:
    both = [start(3), start(5)]
    ends = [process.wait() for process in both]
    assert [done.returncode for done in ends] == [0, 0], ends
    tags = {done.stdout.splitlines()[-1] for done in ends}
    assert len(tags) == 2
    for tag in tags:
        assert registry.load(tag).tag == tag
        assert bento.exists(tag)
    assert {model.tag for model in registry.list_models()} == tags
    latest = (taxiway_home / "bentoml" / "bentos" / "rain" / "latest").read_text()
    assert f"rain:{latest}" in tags
