"""Pushing a Model's Bento: its model first, then the Bento, and nothing that BentoCloud has already."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taxiway.backends import ModelRef
from taxiway_backends.bentocloud.account import Account
from taxiway_backends.bentocloud.refusals import CloudError, told
from taxiway_backends.cloud.words import as_sentence

_DONE = "success"
_SECONDS = 1.0  # between two lines of an upload's progress
log = logging.getLogger("taxiway.bentocloud")
_pushing = threading.Lock()


def push(account: Account, model: ModelRef) -> None:
    """Bring a Model's Bento to BentoCloud.

    What an upload that broke off has brought whole is not sent again.

    Raises
    ------
    CloudError
        BentoCloud refused it, or the upload broke off.
    """
    with _pushing:
        if not is_there(account, model):
            from taxiway.packaging import bento
            from taxiway.settings import settings

            bento.ensure(model.path, model.tag)
            with _stores(settings().bentoml_home) as stored:
                _upload(account, model.tag, stored(model.tag))


def is_there(account: Account, model: ModelRef) -> bool:
    """Tell whether BentoCloud holds the whole Bento, and its model."""
    calls = account.cloud.client.v1
    with told(f"look for {model.tag}"):
        found = (calls.get_model(model.name, model.version), calls.get_bento(model.name, model.version))
    return all(one is not None and one.upload_status == _DONE for one in found)


def _upload(account: Account, tag: str, bento: Any) -> None:
    import httpx
    from bentoml._internal.cloud.bento import BentoAPI
    from bentoml.exceptions import BentoMLException

    progress = _progress()
    log.info("pushing %s to BentoCloud", tag)
    with told(f"push {tag}"):
        try:
            BentoAPI(account.cloud.client, progress).push(bento)
        except httpx.TransportError as error:
            raise _broken(tag, type(error).__name__) from error
        except BentoMLException as error:
            if not error.message.startswith("Failed to upload"):
                raise
            raise _broken(tag, progress.reason) from error
    log.info("pushed %s to BentoCloud", tag)


def _broken(tag: str, reason: str) -> CloudError:
    """Say that an upload broke off: the client keeps the reason for its own log."""
    return CloudError(
        as_sentence(f"The upload of {tag} to BentoCloud broke off: {reason or 'no reason was given'}"),
        hint="It is tried again by itself; what has arrived whole is not sent again.",
    )


def _progress() -> Any:
    """Make what the client reports to: lines in our log, instead of a picture on a terminal."""
    from bentoml._internal.cloud.base import Spinner
    from rich.console import Console

    class Reporter(Spinner):
        reason = ""

        def __init__(self) -> None:
            super().__init__(Console(file=io.StringIO()))
            bar: Any = self.transmission_progress
            update, said = bar.update, dict[Any, float]()

            def tell(task: Any, **given: Any) -> None:
                update(task, **given)
                now = bar.tasks[bar.task_ids.index(task)]
                is_whole = given.get("advance") and now.completed == now.total
                if is_whole or (now.completed and time.monotonic() - said.get(task, 0.0) >= _SECONDS):
                    said[task] = time.monotonic()
                    log.info("%s: %.1f of %.1f MB", now.description, now.completed / 1e6, now.total / 1e6)

            bar.update = tell

        def start(self) -> None:
            """Show nothing."""

        def stop(self) -> None:
            """Nothing was shown."""

        def log(self, message: str) -> None:
            words = message.rpartition("]")[2]
            if "ailed" in words:
                self.reason = words.partition(": ")[2] or self.reason

    return Reporter()


@contextmanager
def _stores(home: Path) -> Iterator[Any]:
    """Let the client find Bentos and models in our store, and give what finds a Bento there."""
    from bentoml._internal.bento.bento import BentoStore
    from bentoml._internal.configuration.containers import BentoMLContainer
    from bentoml._internal.models.model import ModelStore

    work = home / "tmp"
    work.mkdir(parents=True, exist_ok=True)
    BentoMLContainer.model_store.set(ModelStore(str(home / "models")))
    BentoMLContainer.tmp_bento_store_dir.set(str(work))
    try:
        yield BentoStore(str(home / "bentos")).get
    finally:
        BentoMLContainer.model_store.reset()
        BentoMLContainer.tmp_bento_store_dir.reset()
