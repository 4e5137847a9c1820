"""The agent as a service of this user, so that it comes back when the machine does.

On Linux a systemd user unit, on macOS a launchd agent. It stands by while an agent that was started on demand
works, and takes over when that one goes; serving processes are none of the service's business, and go on.
"""

from __future__ import annotations

import os
import plistlib
import shlex
import sys
from pathlib import Path

from taxiway.settings import settings

NAME = "taxiway-agent"
LABEL = "io.taxiway.agent"
# Of the shell that installs it, beside what begins with TAXIWAY_ or OTEL_
KEPT = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "BENTOML_HOME", "JUPYTER_PATH", "LANG")
NOT_KEPT = ("TAXIWAY_TOKEN", "TAXIWAY_HOME", "TAXIWAY_AGENT_HOLDER")

_UNIT = """\
[Unit]
Description=Taxiway's agent: keeps what is deployed running
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
WorkingDirectory={home}
EnvironmentFile={environment}
Restart=on-failure
RestartSec=2
# Only the agent: what serves goes on without it, and is found again
KillMode=process
UMask=0077

[Install]
WantedBy=default.target
"""


def command() -> list[str]:
    """Give the command that runs the agent as a service."""
    return [sys.executable, "-P", "-m", "taxiway.control.agent", "--standby"]


def environment() -> dict[str, str]:
    """Give the variables with which the agent runs: those of this process that are set for Taxiway."""
    found = {
        name: value
        for name, value in os.environ.items()
        if (name.startswith(("TAXIWAY_", "OTEL_")) or name in KEPT) and name not in NOT_KEPT
    }
    return {**found, "TAXIWAY_HOME": str(settings().home)}


def files() -> dict[Path, str]:
    """Give the files that make the service, and what is in them."""
    home = settings().home
    if sys.platform == "darwin":
        entry = {
            "Label": LABEL,
            "ProgramArguments": command(),
            "WorkingDirectory": str(home),
            "EnvironmentVariables": environment(),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "AbandonProcessGroup": True,  # what serves goes on without the agent
            "StandardErrorPath": str(home / "agent.log"),
            "Umask": 0o077,
        }
        return {_path(): plistlib.dumps(entry).decode()}
    variables = "".join(f"{name}={_value(value)}\n" for name, value in sorted(environment().items()))
    unit = _UNIT.format(
        command=" ".join(_word(word) for word in command()),
        home=_path_in_unit(home),
        environment=_path_in_unit(_variables()),
    )
    # The variables apart: a unit's own can be read by others, and the ledger's URL may hold a password.
    return {_path(): unit, _variables(): variables}


def install(content: dict[Path, str]) -> None:
    """Write the service's files, for their owner only."""
    settings().home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path, text in content.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{os.getpid()}")
        file = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w") as stream:
            stream.write(text)
        staged.replace(path)


def uninstall() -> list[Path]:
    """Remove the service's files; give those that were there."""
    found = [path for path in (_path(), _variables()) if path.is_file()]
    for path in found:
        path.unlink()
    return found


def installed() -> Path | None:
    """Give the service's file if it is installed."""
    return path if (path := _path()).is_file() else None


def start_commands() -> list[str]:
    """Give what is run to start it now, and whenever the machine starts."""
    if sys.platform == "darwin":
        return [f"launchctl bootstrap gui/{os.getuid()} {shlex.quote(str(_path()))}"]
    return [
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {NAME}",
        "loginctl enable-linger   # also while you are not logged in",
    ]


def stop_commands() -> list[str]:
    """Give what is run to end it, now that its files are gone."""
    if sys.platform == "darwin":
        return [f"launchctl bootout gui/{os.getuid()}/{LABEL}"]
    return [f"systemctl --user disable --now {NAME}", "systemctl --user daemon-reload"]


def _path() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"
    configuration = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(configuration) / "systemd" / "user" / f"{NAME}.service"


def _variables() -> Path:
    return settings().home / "agent.env"


def _word(text: str) -> str:
    """Write a word of a command as systemd reads it; no word but the first, a path, may hold a variable."""
    for letter, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%")):
        text = text.replace(letter, written)
    return f'"{text}"' if " " in text or '"' in text else text


def _path_in_unit(path: Path) -> str:
    return str(path).replace("%", "%%")


def _value(text: str) -> str:
    """Write a variable's value as systemd reads it from a file."""
    for letter in '\\"`$':
        text = text.replace(letter, f"\\{letter}")
    return f'"{text}"'
