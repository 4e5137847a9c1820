"""`taxiway models …`, as a shell sees it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from taxiway.packaging import registry
from tests import forked
from tests.cli.test_commands import taxiway
from tests.control.conftest import home  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("home")


def listed() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(taxiway("models", "list", "--json").stdout)
    return rows


def test_two_models_are_compared() -> None:
    newer, older = (str(row["tag"]) for row in listed())
    text = taxiway("models", "diff", older, newer).stdout
    assert older in text
    assert "data_digest" in text
    body = json.loads(taxiway("models", "diff", older, newer, "--json").stdout)
    assert body["before"] == older
    assert {"about", "name", "kind", "before", "after", "difference"} == body["changes"][0].keys()
    assert taxiway("models", "diff", "rain", newer).stdout == (
        f"Nothing differs between {newer} and {newer}.\n"
    )
    assert json.loads(taxiway("models", "diff", newer, newer, "--json").stdout)["same"] is True


def test_a_tag_is_moved_listed_shown_and_undone() -> None:
    newer, older = (str(row["tag"]) for row in listed())
    first = taxiway("models", "tag", older, "champion").stdout
    assert "`taxiway models tag rain champion --remove` undoes it" in first
    moved = taxiway("models", "tag", "rain", "champion").stdout
    assert f"`taxiway models tag {older} champion` undoes it" in moved
    assert "already" in taxiway("models", "tag", newer, "champion").stdout
    assert [row["tags"] for row in listed()] == [["champion"], []]
    assert "champion" in taxiway("models", "list").stdout
    assert "tagged champion" in taxiway("models", "show", "rain:champion").stdout
    history = json.loads(taxiway("models", "show", "rain:champion", "--json").stdout)["tag_history"]
    assert history[-1]["before"] == older.partition(":")[2]
    assert history[-1]["by"].endswith("(cli)")
    taxiway("models", "tag", older, "champion")
    assert [row["tags"] for row in listed()] == [[], ["champion"]]
    assert older in taxiway("models", "tag", "rain", "champion", "--remove").stdout
    assert [row["tags"] for row in listed()] == [[], []]


def test_a_model_goes_out_is_deleted_and_comes_in_again(tmp_path: Path) -> None:
    newer = str(listed()[0]["tag"])
    written = taxiway("models", "export", "rain", str(tmp_path)).stdout
    file = tmp_path / f"{newer.replace(':', '-')}.taxiway"
    assert str(file) in written
    assert "already" in taxiway("models", "export", "rain", str(tmp_path), ok=False).stderr
    taxiway("models", "export", "rain", str(tmp_path), "--overwrite")
    assert "nothing was written" in taxiway("models", "import", str(file)).stdout
    assert f"{newer} is gone" in taxiway("models", "delete", newer, "--yes").stdout
    assert len(listed()) == 1
    assert f"taxiway preflight {newer}" in taxiway("models", "import", str(file)).stdout
    assert "(imported)" in taxiway("models", "list").stdout
    assert f"from {file}" in taxiway("models", "show", newer).stdout


def test_what_another_wrote_is_shown_and_not_obeyed() -> None:
    """Markup and control signs in a Model that comes from elsewhere."""
    older, newer = registry.load(str(listed()[1]["tag"])), registry.load("rain")
    evil = "[/bold][red]\x1b]0;evil\x07\x9b31m\u202e"
    lineage = replace(newer.lineage, git_commit=evil, data_digest=evil)
    replace(newer.manifest, framework=f"mine{evil}", description=evil, target=evil, lineage=lineage).write(
        newer.path
    )
    for command in (("list",), ("show", newer.tag), ("diff", older.tag, newer.tag)):
        shown = taxiway("models", *command).stdout
        assert "[/bold][red]]0;evil31m" in shown
        assert [sign for sign in shown if not sign.isprintable() and sign != "\n"] == []


def test_a_deletion_asks_first() -> None:
    tag = str(listed()[0]["tag"])
    for answer, gone in (("n\n", False), ("", False), ("y\n", True)):
        done = forked.taxiway("models", "delete", tag, stdin=answer)
        assert f"Delete {tag}" in done.stdout
        assert (done.returncode == 0) is gone
        assert (tag in [row["tag"] for row in listed()]) is not gone


@pytest.mark.parametrize(
    "command",
    [
        ("diff", "rain", "nosuch"),
        ("tag", "nosuch", "champion"),
        ("tag", "rain", "latest"),
        ("tag", "rain", "champion", "--remove"),
        ("export", "nosuch", "."),
        ("export", "rain", "/nosuch/folder/x.taxiway"),
        ("export", "rain", "s3://bucket/"),
        ("import", "/nosuch/x.taxiway"),
        ("import", "/etc/hostname"),
        ("import", "nosuch://x"),
        ("delete", "rain", "--yes"),
        ("delete", "rain:000000000000", "--yes"),
        ("delete", "rain:champion", "--yes"),
    ],
    ids=" ".join,
)
def test_a_mistake_ends_in_two_lines(command: tuple[str, ...]) -> None:
    lines = taxiway("models", *command, ok=False).stderr.splitlines()
    assert len(lines) == 2, lines
    assert lines[0].startswith("Error: ")
    assert lines[1].startswith("  ")
    assert len(listed()) == 2


@pytest.mark.parametrize("command", ["list", "show", "diff", "tag", "export", "import", "delete"])
def test_every_command_explains_itself(command: str) -> None:
    text = taxiway("models", command, "--help").stdout
    assert f"models {command}" in text
    assert len(text.splitlines()) > 5
