"""Deleting takes a Model with all that was made of it, and never one that is needed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from taxiway.control import desired, models, reconcile, views
from taxiway.control.api import deploy
from taxiway.control.ledger import ledger
from taxiway.control.tables import EventRow
from taxiway.errors import ConflictError, InputError, NotFoundError, PackagingError
from taxiway.packaging import bento, registry, tags, transfer
from taxiway.packaging.origin import Origin
from taxiway.packaging.staging import stage
from taxiway.settings import settings


@pytest.fixture
def bentos(home: Path, two_versions: Path) -> Path:
    """The Bentos of both Models, in the home of this test."""
    shutil.copytree(two_versions / "bentoml", home / "bentoml", symlinks=True)
    return home / "bentoml"


@pytest.fixture
def both(home: Path) -> tuple[str, str]:
    """The older and the newer Model's tag."""
    newer, older = registry.list_models("rain")
    return older.tag, newer.tag


def ask_for(endpoint: str, model: str) -> None:
    """Make a Model live in the ledger; no agent runs."""
    with ledger().transaction() as session:
        desired.deploy(
            session,
            endpoint=endpoint,
            model=model,
            backend="local",
            window="hour",
            workers=1,
            policies={},
            overridden=(),
            by="ann",
        )


def traces(version: str) -> list[Path]:
    """Whatever is left of a version anywhere under home."""
    return [path for path in settings().home.rglob(f"*{version}*") if path.name != "tags.json"]


def test_what_is_deleted_is_gone_with_its_bento_and_records(bentos: Path, both: tuple[str, str]) -> None:
    older, newer = both
    version = older.partition(":")[2]
    Origin("s3://somewhere", "2026-01-01T00:00:00+00:00", "ann").write("rain", version)
    record = registry.preflight_of("rain", version)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text("{}")
    assert len(traces(version)) > 4
    assert models.delete(older) == older
    assert traces(version) == []
    assert list((settings().store / ".staging").rglob("stage-*")) == []
    assert [model.tag for model in registry.list_models()] == [newer]
    assert bento.exists(newer)
    assert not bento.exists(older)
    with pytest.raises(NotFoundError):
        models.delete(older)
    with ledger().reading() as session:
        events = session.scalars(select(EventRow)).all()
    assert [(event.kind, event.data["model"]) for event in events] == [("model deleted", older)]


def test_bentoml_lists_its_store_after_a_deletion(bentos: Path, both: tuple[str, str]) -> None:
    older, newer = both
    models.delete(newer)
    code = "import bentoml; print([str(one.tag) for one in [*bentoml.list(), *bentoml.models.list()]])"
    code += "; print(bentoml.get('rain:latest').tag)"

    def listed() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", code], env=bento.environment(), capture_output=True, text=True, check=False
        )
        return done.stdout.splitlines()

    assert listed() == [str([older, older]), older]
    models.delete(older)
    assert listed() == ["[]"]


@pytest.mark.parametrize("force", [False, True])
def test_a_live_model_is_not_deleted(bentos: Path, both: tuple[str, str], force: bool) -> None:
    older, newer = both
    ask_for("rain-eu", older)
    ask_for("rain-us", older)
    with ledger().transaction() as session:
        desired.start_shadow(session, "rain-us", newer, by="ann")
    with pytest.raises(ConflictError, match="live on rain-eu, live on rain-us"):
        models.delete(older, force=force)
    with pytest.raises(ConflictError, match="the shadow on rain-us"):
        models.delete(newer, force=force)
    assert len(registry.list_models()) == 2
    assert bento.exists(older)
    assert bento.exists(newer)
    with ledger().transaction() as session:
        for name in ("rain-eu", "rain-us"):
            desired.delete(session, name, by="ann")
    models.delete(older)
    models.delete(newer)


def test_the_way_back_is_deleted_only_by_force_and_is_then_none(bentos: Path, both: tuple[str, str]) -> None:
    older, newer = both
    ask_for("rain", older)
    ask_for("rain", newer)
    with pytest.raises(ConflictError, match="rollback on rain"):
        models.delete(older)
    models.delete(older, force=True)
    with ledger().transaction() as session, pytest.raises(ConflictError, match="No other Model"):
        desired.rollback(session, "rain", by="ann")


def test_a_tagged_model_is_deleted_only_by_force_and_the_tag_goes_too(
    bentos: Path, both: tuple[str, str]
) -> None:
    older, newer = both
    models.tag(older, "champion")
    models.tag(newer, "challenger")
    with pytest.raises(ConflictError, match="champion"):
        models.delete("rain:champion")
    assert models.delete("rain:champion", force=True) == older
    assert dict(registry.tags("rain").words) == {"challenger": newer.partition(":")[2]}
    assert registry.tags("rain").history[-1].after is None


@pytest.mark.parametrize("tag", ["rain", "rain:latest", "../rain:000000000000", "rain:../.."])
def test_a_deletion_must_say_which_version(home: Path, tag: str) -> None:
    with pytest.raises(InputError):
        models.delete(tag)
    assert len(registry.list_models()) == 2


def test_a_damaged_model_can_be_deleted(bentos: Path, both: tuple[str, str]) -> None:
    version = both[0].partition(":")[2]
    (registry.folder_of("rain", version) / "model.json").unlink()
    models.delete(both[0])
    assert traces(version) == []


@pytest.mark.parametrize("number", range(6))
def test_a_killed_deletion_leaves_a_whole_model_or_none(
    bentos: Path, both: tuple[str, str], number: int
) -> None:
    """Killed before the n-th rename or removal: what is left loads, and is deleted by the next attempt."""
    version = both[0].partition(":")[2]
    code = """
import os, signal, sys
seen = 0
def hook(event, arguments):
    global seen
    if event in ("os.rename", "shutil.rmtree") and sys.argv[2] in str(arguments):
        if seen == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1
from taxiway.control import models
sys.addaudithook(hook)
models.delete(sys.argv[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, both[0], version, str(number)], env=bento.environment(), check=False
    )
    killed = done.returncode == -signal.SIGKILL
    if not killed:
        assert done.returncode == 0
        assert number >= 4, "it was killed at several moments"
    for model in registry.list_models():
        assert registry.load(model.tag).tag == model.tag
    try:
        models.delete(both[0])
    except NotFoundError:
        models.delete(both[1])  # whatever is deleted next sweeps what the killed one left
    assert traces(version) == []


def test_a_model_that_cannot_be_deleted_is_said_and_stays(
    bentos: Path, both: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refused)
        with pytest.raises(PackagingError, match="Permission denied"):
            models.delete(both[0])
    assert registry.load(both[0])
    with ledger().reading() as session:
        assert session.scalars(select(EventRow)).all() == []
    models.delete(both[0])


def test_a_deletion_waits_for_a_packaging_of_the_same_name(bentos: Path, both: tuple[str, str]) -> None:
    code = "import sys; from taxiway.control import models; models.delete(sys.argv[1])"
    with stage(settings().store, "rain"):
        process = subprocess.Popen([sys.executable, "-c", code, both[0]], env=dict(os.environ))
        time.sleep(2)
        assert process.poll() is None
        assert registry.load(both[0])
        with ledger().transaction():
            pass  # and holds nothing else up meanwhile
    assert process.wait(30) == 0
    with pytest.raises(NotFoundError):
        registry.load(both[0])


def test_what_is_deleted_during_its_deployment_goes_not_live(
    bentos: Path, both: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the Model and the transaction that makes it live."""
    found = reconcile.backend("local")

    def slow(_: str) -> object:
        models.delete(both[0])
        return found

    monkeypatch.setattr(reconcile, "backend", slow)
    with pytest.raises(NotFoundError, match="deleted just now"):
        deploy(both[0], endpoint="rain", override=("clean_replay",), wait=False)
    assert views.endpoints() == []


def test_views_tell_tags_and_imports(home: Path, both: tuple[str, str], tmp_path: Path) -> None:
    older, newer = both
    before = views.change_token()
    models.tag(older, "champion")
    assert views.change_token() != before
    rows = {row["tag"]: row for row in views.models()}
    assert (rows[older]["tags"], rows[newer]["tags"]) == (["champion"], [])
    assert rows[older]["imported"] is None
    file = transfer.export(newer, tmp_path)
    models.delete(newer)
    assert models.import_model(file, channel="cli").new
    detail = views.model_detail(*newer.split(":"))
    assert detail["imported"]["source"] == file
    assert detail["imported"]["by"].endswith("(cli)")
    assert [row["imported"] is None for row in views.overview()["models"]] == [False, True]


def test_a_damaged_record_spoils_no_list(home: Path) -> None:
    (settings().store / "models" / "rain" / tags.FILE).write_text("x")
    assert [row["tags"] for row in views.models()] == [[], []]


def test_removing_a_tag_needs_its_name(home: Path) -> None:
    models.tag("rain", "champion")
    with pytest.raises(InputError):
        models.untag("rain")
    models.untag("rain:champion")
    assert views.models()[0]["tags"] == []
