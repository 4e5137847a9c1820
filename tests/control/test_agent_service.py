"""The agent as a service: what is written, and that what is written runs."""

from __future__ import annotations

import os
import plistlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from taxiway.cli.commands import app
from taxiway.control import agent_process, service
from tests.control.agents import Agents


@pytest.fixture
def unit(taxiway_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "systemd" / "user" / "taxiway-agent.service"


def call(*words: str) -> str:
    result = CliRunner().invoke(app, ["agent", *words])
    assert result.exit_code == 0, result.output
    return result.output


def variables(path: Path) -> dict[str, str]:
    """Read a file of variables as systemd.exec(5) does."""
    pairs = (line.split("=", 1) for line in path.read_text().splitlines())
    return {name: re.sub(r"\\(.)", r"\1", value[1:-1]) for name, value in pairs}


def test_a_dry_run_shows_what_would_be_and_writes_nothing(unit: Path, taxiway_home: Path) -> None:
    shown = call("install", "--dry-run")
    assert "ExecStart=" in shown
    assert "systemctl --user enable --now taxiway-agent" in shown
    assert not unit.exists()
    assert not (taxiway_home / "agent.env").exists()


def test_what_is_installed_is_for_its_owner_only_and_goes_again(
    unit: Path, taxiway_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = 'postgresql://taxiway:se$cr"et\\1`@db/ledger'
    monkeypatch.setenv("TAXIWAY_DATABASE_URL", url)
    monkeypatch.setenv("TAXIWAY_TOKEN", "of-a-client")
    assert "loginctl enable-linger" in call("install")
    files = [unit, taxiway_home / "agent.env"]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600, 0o600]
    assert "postgresql" not in unit.read_text()  # which others can read of a running unit
    kept = variables(files[1])
    assert kept["TAXIWAY_DATABASE_URL"] == url
    assert kept["TAXIWAY_HOME"] == str(taxiway_home)
    assert "TAXIWAY_TOKEN" not in kept
    assert "systemctl --user disable" in call("uninstall")
    assert [path.exists() for path in files] == [False, False]
    assert "Nothing" in call("uninstall")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("folder", ["plain", "a b%n $HOME"])
def test_systemd_accepts_the_unit(
    unit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """Also where the interpreter lies in a folder with a blank and what systemd would replace."""
    python = tmp_path / folder / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    monkeypatch.setattr(service.sys, "executable", str(python))
    service.install(service.files())
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert unit.name not in checked.stderr, checked.stderr
    assert str(python) not in checked.stderr, checked.stderr


def test_launchd_gets_a_property_list(
    taxiway_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(service.sys, "platform", "darwin")
    service.install(service.files())
    path = service.installed()
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600
    entry = plistlib.loads(path.read_bytes())
    assert entry["ProgramArguments"] == service.command()
    assert entry["EnvironmentVariables"]["TAXIWAY_HOME"] == str(taxiway_home)
    assert "launchctl" in " ".join(service.start_commands() + service.stop_commands())


def test_the_units_own_command_brings_back_what_is_asked_for(
    agents: Agents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TAXIWAY_FAKE_BACKEND", str(agents.fake.folder))
    agents.ask("rain")
    call("install")
    unit = service.installed()
    assert unit is not None
    lines = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
    # Nothing but what the unit says, as after a reboot
    with (agents.home / "agent.log").open("ab") as log:
        process = subprocess.Popen(
            shlex.split(lines["ExecStart"]),
            env=variables(Path(lines["EnvironmentFile"])),
            cwd=lines["WorkingDirectory"],
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
    agents.started.append(process)
    agents.works(process)
    agents.ready("rain")
    shown = call("status")
    assert f"process {process.pid}" in shown
    assert "watching" in shown
    assert str(unit) in shown
    agent_process.stop(keep_serving=True)
    assert process.wait(20) == 0  # which systemd does not answer with a restart
