"""What the README tells a person with an AWS account is what there is: commands, names and the price."""

from __future__ import annotations

import re
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any

from typer.main import get_command

from taxiway.cli.commands import app
from taxiway_backends.sagemaker import choices, prices, session

README = Path(__file__).parents[3] / "README.md"


def test_the_readmes_section_on_sagemaker_can_be_followed() -> None:
    text = README.read_text(encoding="utf-8")
    (section,) = re.findall(r"^## Amazon SageMaker\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    block = "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    commands = [words[1:] for words in lines if words[:1] == ["taxiway"]]
    assert commands
    settings: dict[str, str] = {}
    for words in commands:
        command: Any = get_command(app)
        while hasattr(command, "resolve_command"):
            _, command, words = command.resolve_command(command.context_class(command), words)
        given = command.make_context("taxiway", list(words)).params
        settings |= dict(pair.split("=", 1) for pair in given.get("set_") or ())
    choices.read(settings)
    assert "taxiway[sagemaker]" in block
    assert "sagemaker" in (metadata.metadata("taxiway").get_all("Provides-Extra") or ())
    assert f"export {session.ROLE_VARIABLE}=" in block
    assert session.SERVICE in block
    for price, kind in re.findall(r"\$([\d.]+) an hour for one `(ml\.[a-z0-9.]+)`", section):
        assert float(price) == round(prices.HOURLY[kind], 2)
