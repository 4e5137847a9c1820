"""Where the prediction log is brought: an object store, or a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

#: What opens a store that is no folder.
REQUIREMENT = "obstore==0.12.1"
_REQUEST_SECONDS = 30.0


class Store(Protocol):
    """Where objects are put."""

    def put(self, name: str, content: bytes) -> None:
        """Put an object, in place of one with that name.

        Raises
        ------
        Exception
            It may not be there.
        """
        ...


def open_store(url: str) -> Store:
    """Open ``s3://``, ``gs://`` or ``az://``, with the credentials that the machine has, or ``file://``.

    Raises
    ------
    ImportError
        obstore is not installed, which all need but ``file://``.
    Exception
        The address cannot be used.
    """
    if url.startswith("file://"):
        return _Folder(Path(url.removeprefix("file://")))
    import obstore.store

    # An address that the environment names as http is meant so: a store on this machine or network.
    plain = any(os.environ.get(name, "").startswith("http:") for name in os.environ if "ENDPOINT" in name)
    options = {"timeout": f"{_REQUEST_SECONDS:g}s", "connect_timeout": "5s", "allow_http": plain}
    return _Obstore(obstore.store.from_url(url, client_options=options, retry_config={"max_retries": 1}))


class _Obstore:
    def __init__(self, store: object) -> None:
        self._store = store

    def put(self, name: str, content: bytes) -> None:
        self._store.put(name, content)  # type: ignore[attr-defined]


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes) -> None:
        path = self._folder / name
        hidden = path.with_name(f".{path.name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_bytes(content)
        hidden.replace(path)
