"""A tag is a word that names a version until it is moved; nobody loses a move."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taxiway.errors import CorruptionError, InputError, NotFoundError
from taxiway.packaging import registry, tags
from taxiway.packaging.bento import environment

from .conftest import Packaged


@pytest.fixture
def folder(packaged: Packaged, taxiway_home: Path) -> Path:
    """The folder of ``rain`` in a home of this test."""
    shutil.copytree(packaged.home / "store", taxiway_home / "store")
    return registry.folder_of("rain", packaged.model.version).parent


@pytest.fixture
def version(packaged: Packaged) -> str:
    return packaged.model.version


def test_a_tag_resolves_wherever_a_model_is_named(folder: Path, version: str) -> None:
    tags.move(folder, "champion", version, by="ann")
    assert registry.load("rain:champion").version == version
    assert registry.tags("rain").of(version) == ["champion"]
    assert [model.version for model in registry.list_models()] == [version]


def test_a_tag_is_moved_and_moved_back_and_who_did_it_is_on_record(folder: Path, version: str) -> None:
    other = "0123456789ab"
    (folder / other).mkdir()
    first = tags.move(folder, "champion", version, by="ann")
    assert (first.before, first.after) == (None, version)
    moved = tags.move(folder, "champion", other, by="bob")
    assert (moved.before, moved.after, moved.by) == (version, other, "bob")
    tags.move(folder, "champion", moved.before, by="bob")
    assert registry.load("rain:champion").version == version
    history = registry.tags("rain").history
    assert [(move.by, move.before, move.after) for move in history] == [
        ("ann", None, version),
        ("bob", version, other),
        ("bob", other, version),
    ]
    assert [move.time for move in history] == sorted(move.time for move in history)


def test_moving_a_tag_to_where_it_is_records_nothing(folder: Path, version: str) -> None:
    for _ in range(3):
        tags.move(folder, "champion", version, by="ann")
    assert len(registry.tags("rain").history) == 1


def test_a_removed_tag_names_nothing(folder: Path, version: str) -> None:
    tags.move(folder, "champion", version, by="ann")
    tags.move(folder, "champion", None, by="ann")
    with pytest.raises(NotFoundError, match="champion"):
        registry.load("rain:champion")
    with pytest.raises(NotFoundError):
        tags.move(folder, "champion", None, by="ann")


def test_what_is_not_tagged_is_said_with_what_is(folder: Path, version: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        registry.load("rain:champion")
    assert version in caught.value.hint
    tags.move(folder, "champion", version, by="ann")
    with pytest.raises(NotFoundError) as caught:
        registry.load("rain:challenger")
    assert "champion" in caught.value.hint
    with pytest.raises(NotFoundError):
        tags.move(folder, "champion", "000000000000", by="ann")


@pytest.mark.parametrize(
    "word", ["latest", "abcdefabcdef", "0123", "", "Champion", "a b", "../x", "a/b", "a..b", "a" * 64, "x\n"]
)
def test_no_word_is_taken_for_a_version_for_latest_or_for_a_path(
    folder: Path, version: str, word: str
) -> None:
    with pytest.raises(InputError):
        tags.move(folder, word, version, by="ann")
    assert not (folder / tags.FILE).exists()


def test_a_tag_of_one_name_is_none_of_another(folder: Path, version: str) -> None:
    tags.move(folder, "champion", version, by="ann")
    with pytest.raises(NotFoundError):
        registry.load("snow:champion")


def test_an_altered_file_is_said_and_versions_still_load(folder: Path, version: str) -> None:
    for body in ("x", "[]", '{"words": 1}', json.dumps({"words": {}, "history": [1]})):
        (folder / tags.FILE).write_text(body)
        with pytest.raises(CorruptionError) as caught:
            registry.load("rain:champion")
        assert caught.value.hint
        assert registry.load(f"rain:{version}").version == version


def test_many_who_tag_at_once_lose_no_move(folder: Path, version: str) -> None:
    code = (
        "import sys; from taxiway.packaging import registry, tags\n"
        "model = registry.list_models('rain')[0]\n"
        "for number in range(20):\n"
        "    tags.move(model.path.parent, f'{sys.argv[1]}{number}', model.version, by='x')"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, word], env=environment()) for word in ("a", "b", "c")
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    expected = {f"{word}{number}" for word in "abc" for number in range(20)}
    assert set(registry.tags("rain").words) == expected
    assert len(registry.tags("rain").history) == 60


def test_the_history_is_bounded(folder: Path, version: str) -> None:
    for number in range(120):
        tags.move(folder, f"t{number}", version, by="ann")
    found = registry.tags("rain")
    assert len(found.history) == 100
    assert found.history[-1].word == "t119"
    assert len(found.words) == 120
