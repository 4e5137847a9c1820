"""Clean replay: what it proves, what it says when it fails, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from taxiway.errors import PackagingError
from taxiway.packaging import environments, preflight, registry
from taxiway.packaging import replay as replay_module
from taxiway.packaging.model import ENVIRONMENT, REQUIREMENTS, SAMPLE, Model
from taxiway.packaging.preflight import Check
from taxiway.packaging.rehearsal import rehearse
from taxiway.packaging.replay import differences, replay
from tests.waiting import wait_until

from .conftest import Packaged

PYTHON = sys.version.partition(" ")[0]


def pin(name: str) -> list[str]:
    return [f"{name}=={metadata.version(name)}"]


def replays(temporary: Path) -> list[psutil.Process]:
    """Serving processes that were started for a replay of this test."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if "taxiway.serving" in words and f"{temporary}/taxiway-replay-" in " ".join(words):
            found.append(process)
    return found


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that no other test's replay uses."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture
def copied(packaged: Packaged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The packaged Model in a home of this test's own, with the environments of the shared one."""
    home = tmp_path / "home"
    shutil.copytree(packaged.home, home, ignore=shutil.ignore_patterns("environments"))
    shared = packaged.home / "environments"
    shared.mkdir(exist_ok=True)
    (home / "environments").symlink_to(shared)
    monkeypatch.setenv("TAXIWAY_HOME", str(home))
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    return registry.load(packaged.model.tag)


def bento_of(model: Model) -> Path:
    return model.path.parents[3] / "bentoml" / "bentos" / model.name / model.version


def replayed(model: Model) -> Check:
    return next(iter(replay(model, bento_of(model), lambda line: None)))


def test_the_bento_answers_in_a_fresh_environment_and_it_is_recorded(copied: Model, temporary: Path) -> None:
    lines: list[str] = []
    found = copied.preflight(lambda what: lines.append(str(what)))
    assert found["clean_replay"].result == "passed", str(found)
    assert "rows answered alike in a fresh environment" in found["clean_replay"].reason
    assert "over HTTP" in found["latency_budget"].reason
    assert "of memory" in found["size_and_memory"].reason
    assert [line for line in lines if line.startswith("ok ")], lines
    again: list[str] = []
    copied.preflight(lambda what: again.append(str(what)))
    assert not [line for line in again if "making an environment" in line]
    loaded = registry.load(copied.tag)
    assert loaded.checks["clean_replay"].result == "passed"
    assert not any(temporary.iterdir())
    assert not replays(temporary)


def test_only_the_bentos_own_source_and_the_pins_are_there(
    copied: Model, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXIWAY_SECRET_OF_MINE", "hush")
    pins = (copied.path / REQUIREMENTS).read_text().split()
    with (
        environments.environment(pins, PYTHON, lambda line: None) as folder,
        rehearse(environments.python_of(folder), bento_of(copied) / "src", copied.path) as process,
    ):
        [child] = replays(temporary)
        assert "TAXIWAY_SECRET_OF_MINE" not in child.environ()
        assert child.cwd().startswith(str(temporary))
        opened = {Path(one.path) for one in child.memory_maps() if one.path.startswith("/")}
        assert not [path for path in opened if Path(sys.prefix) in path.parents]
        assert process.memory() > 10_000_000
        probe = "import sys, taxiway; print(taxiway.__file__)\nimport pandas"
        done = subprocess.run(
            [child.cmdline()[0], "-c", probe],
            env=child.environ(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip().startswith(str(bento_of(copied)))
        assert "No module named 'pandas'" in done.stderr


def test_answers_that_differ_are_told_by_row_output_and_value(copied: Model) -> None:
    sample = copied.sample()
    sample["original"]["probability_True"][3] += 0.25
    (copied.path / SAMPLE).write_text(json.dumps(sample))
    check = replayed(copied)
    assert (check.level, check.result) == ("blocking", "failed")
    assert "1 of 20 rows are answered otherwise: row 3, output 'probability_True'" in check.reason
    assert check.remedy


def test_what_the_pins_lack_is_named_though_it_is_installed_here(copied: Model) -> None:
    pins = [line for line in (copied.path / REQUIREMENTS).read_text().split() if "onnxruntime" not in line]
    (copied.path / REQUIREMENTS).write_text("\n".join(pins))
    check = replayed(copied)
    assert check.result == "failed"
    assert "did not start" in check.reason
    assert "onnxruntime" in check.reason


def test_a_bento_whose_model_was_altered_does_not_start(copied: Model) -> None:
    onnx = bento_of(copied).parents[2] / "models" / copied.name / copied.version / "model.onnx"
    onnx.write_bytes(onnx.read_bytes() + b" ")
    check = replayed(copied)
    assert "did not start" in check.reason
    assert "is not what it was when it was packaged" in check.reason


def test_without_an_index_the_reason_is_uvs_and_nothing_is_half_made(
    taxiway_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with (
        pytest.raises(PackagingError, match="An environment could not be made") as caught,
        environments.environment(pin("h11"), PYTHON, lambda line: None),
    ):
        pass
    assert "onnect" in caught.value.message or "127.0.0.1" in caught.value.message
    assert "network" in caught.value.hint
    assert [path.name for path in (taxiway_home / "environments").iterdir()] == [".locks"]


@pytest.mark.parametrize("form", ["{}", "{}.11", "../{}", "3.11;{}", "", ">=3.8", "3.11.1\n", "python"])
def test_what_is_not_a_version_is_never_asked_of_uv_as_an_interpreter(
    copied: Model, tmp_path: Path, form: str
) -> None:
    """A path would be executed by uv."""
    program, ran = tmp_path / "evil", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    shutil.copy(program, tmp_path / "evil.11")
    body = json.loads((copied.path / ENVIRONMENT).read_text())
    (copied.path / ENVIRONMENT).write_text(json.dumps({**body, "python": form.format(program)}))
    check = replayed(copied)
    assert (check.result, ran.exists()) == ("failed", False)
    assert "is not a version of Python" in check.reason


def test_a_projects_settings_do_not_choose_where_packages_come_from(
    taxiway_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither those of the folder the user is in, nor those above TAXIWAY_HOME."""
    project = tmp_path / "cloned"
    project.mkdir()
    evil = 'index-url = "http://127.0.0.1:9/simple"'
    for folder in (project, taxiway_home):
        (folder / "pyproject.toml").write_text(f"[tool.uv]\n{evil}\n")
        (folder / "uv.toml").write_text(f"{evil}\n")
    monkeypatch.chdir(project)
    with environments.environment(pin("h11"), PYTHON, lambda line: None) as folder:
        assert list(folder.glob("lib/*/site-packages/h11"))


@pytest.mark.parametrize("file", ["tiny-1.0.tar.gz", "tiny-1.0-cp27-none-win32.whl"])
def test_a_wheel_that_is_missing_is_said_to_be(
    taxiway_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    folder = tmp_path / "index" / "tiny"
    folder.mkdir(parents=True)
    (folder / file).touch()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("COLUMNS", "40")  # as in a narrow terminal
        try:
            with (
                pytest.raises(PackagingError, match=r"tiny==1\.0 has no .*wheels") as caught,
                environments.environment(["tiny==1.0"], PYTHON, lambda line: None),
            ):
                pass
        finally:
            server.shutdown()
    assert "wheel" in caught.value.hint
    assert "network" not in caught.value.hint


@pytest.fixture
def silent_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An index that takes a connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.getsockname()[1]}/simple")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        yield


def installing(made: Path) -> list[psutil.Process]:
    """What installs packages into a folder of environments."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if "pip" in words and any(word.startswith(str(made)) for word in words):
            found.append(process)
    return found


@contextmanager
def preflight_process(tag: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "taxiway", "preflight", tag]
    # as at a prompt, wherever the tests are run: in the background of a script interrupts are ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        yield process


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return
    raise AssertionError(f"it ended before it said {text!r}: {lines}")


@pytest.mark.usefixtures("silent_index")
def test_ctrl_c_while_an_environment_is_made_leaves_nothing_and_mends_a_kill(
    copied: Model, tmp_path: Path
) -> None:
    made = tmp_path / "home" / "environments"
    made.unlink()
    orphan: psutil.Process | None = None
    for number in (signal.SIGKILL, signal.SIGINT):
        with preflight_process(copied.tag) as process:
            read_until(process, "making an environment")
            assert orphan not in installing(made), "the uv of one that was killed goes on"
            wait_until(lambda: installing(made), "uv to ask the index")
            [orphan] = installing(made)
            process.send_signal(number)
            assert process.wait(20) != 0
    assert [path.name for path in made.iterdir()] == [".locks"]
    assert not installing(made)


def test_ctrl_c_and_a_kill_while_the_bento_runs_leave_no_process(copied: Model, temporary: Path) -> None:
    for number in (signal.SIGKILL, signal.SIGINT):
        with preflight_process(copied.tag) as process:
            read_until(process, "timing it")
            assert replays(temporary)
            process.send_signal(number)
            assert process.wait(20) != 0
        wait_until(lambda: not replays(temporary), f"the Bento to leave after {number!r}")
        # what the one that was killed left, the next one took away
        assert any(temporary.iterdir()) == (number == signal.SIGKILL)


def test_what_a_killed_maker_left_is_swept(taxiway_home: Path) -> None:
    root = taxiway_home / "environments"
    (root / ".partial-0123456789abcdef-xyz" / "made").mkdir(parents=True)
    with environments.environment(pin("h11"), PYTHON, lambda line: None) as folder:
        assert folder.is_dir()
    assert sorted(path.name for path in root.iterdir()) == [".locks", folder.name]


def test_two_at_once_make_one_environment(taxiway_home: Path) -> None:
    lines: list[str] = []
    folders: list[Path] = []
    together = threading.Barrier(2, timeout=30)

    def use() -> None:
        together.wait()
        with environments.environment(pin("h11"), PYTHON, lines.append) as folder:
            together.wait()  # both are inside at once: using is shared
            folders.append(folder)

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(lines) == 1
    assert folders[0] == folders[1]


def test_the_least_recently_used_environments_go_unless_they_are_in_use(
    taxiway_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "MOST_KEPT", 2)

    def make(name: str) -> Path:
        with environments.environment(pin(name), PYTHON, lambda line: None) as folder:
            return folder

    with environments.environment(pin("h11"), PYTHON, lambda line: None) as busy:
        os.utime(busy, (1, 1))
        second = make("click")
        os.utime(second, (2, 2))
        third = make("idna")
        assert busy.is_dir()
        assert third.is_dir()
    os.utime(busy, (1, 1))
    fourth = make("packaging")
    kept = {path for path in (busy, second, third, fourth) if path.is_dir()}
    assert kept == {third, fourth}


def test_numbers_are_compared_within_parity_and_labels_exactly() -> None:
    def found(expected: object, given: object, tolerance: tuple[float, float] = (1e-5, 1e-4)) -> int:
        return len(list(differences({"score": [expected]}, [{"score": given}], {"score": tolerance})))

    exactly = (0.0, 0.0)  # a label's
    assert found(1.0, 1.00009) == 0
    assert found(1.0, 1.0002) == 1
    assert found(None, None) == 0
    assert found(1.0, None) == 1
    assert found(2, 2.0001, exactly) == 1
    assert found("rain", "rain", exactly) == 0
    assert found("rain", "snow", exactly) == 1
    assert found(True, 1.00001) == 1


class Answering:
    """A serving process that gives these rows, whatever it is asked."""

    seconds = 1.0

    def __init__(self, rows: list[dict[str, object]]) -> None:
        self._rows = rows

    def predict(self, records: object) -> list[dict[str, object]]:
        return self._rows


def test_answers_are_counted_before_they_are_compared(copied: Model) -> None:
    answers = copied.sample()["original"]
    rows = [dict(zip(answers, row, strict=True)) for row in zip(*answers.values(), strict=True)]
    compared = partial(replay_module._compared, copied)
    assert compared(Answering(rows), 1).result == "passed"
    for some in ([], rows[:-1], [*rows, rows[0]]):
        check = compared(Answering(some), 1)
        assert check.result == "failed"
        assert f"20 rows are asked, and {len(some)} are answered" in check.reason


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        ({"records": [], "outputs": {}}, "nothing to compare"),
        ({"records": [{}], "outputs": {}}, "nothing to compare"),
        ({"records": [{}], "outputs": {"label": []}}, "1 rows, but 0 answers of output 'label'"),
        ({"records": [{}], "outputs": {"label": [0, 1]}}, "1 rows, but 2 answers"),
        ({"records": [{}], "outputs": {"label": [1], "evil": [1]}}, "no tolerance for 'evil'"),
    ],
)
def test_a_sample_that_proves_nothing_is_a_failed_check(
    copied: Model, sample: dict[str, object], reason: str
) -> None:
    (copied.path / SAMPLE).write_text(json.dumps(sample))
    rows: list[dict[str, object]] = [{"label": 1}] * len(list(sample["records"]))
    check = replay_module._compared(copied, Answering(rows), 1)
    assert check.result == "failed"
    assert reason in check.reason


def test_a_model_known_to_differ_is_held_to_its_own_answers(copied: Model) -> None:
    sample = copied.sample()
    sample["original"]["probability_True"][3] += 0.25
    (copied.path / SAMPLE).write_text(json.dumps(sample))
    (copied.path / "parity.json").write_text(json.dumps({**copied.parity.to_dict(), "waived": True}))
    del copied.__dict__["parity"]
    assert replayed(copied).result == "passed"


def test_a_replay_that_fails_stops_a_deploy_unless_it_is_overridden(copied: Model) -> None:
    failed = preflight.failed("clean_replay", "It did not start.", "Mend it.")
    report = copied.checks.updated(preflight.Preflight((failed,)))
    with pytest.raises(PackagingError, match="clean_replay"):
        report.require(copied.tag)
    report.require(copied.tag, override=["clean_replay"])
