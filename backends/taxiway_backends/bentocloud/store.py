"""The store to which replicas ship an endpoint's prediction log, as it is read from here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from taxiway_backends.bentocloud.refusals import CloudError


class Store:
    """The objects under one address; see ``taxiway_backends.cloud.collecting.Shelf``.

    Parameters
    ----------
    url
        ``s3://bucket/prefix``, or another that fsspec knows.

    Raises
    ------
    CloudError
        Its package is not installed, or it cannot be used.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self._url = url
        with self._told():
            found: tuple[Any, str] = fsspec.url_to_fs(url, use_listings_cache=False)
            self._files, self._root = found[0], found[1].rstrip("/")

    def names(self) -> list[str]:
        """Name all objects, as paths below the address."""
        with self._told():
            try:
                found = self._files.find(self._root)
            except FileNotFoundError:
                return []
        return [path.removeprefix(f"{self._root}/") for path in found]

    def read(self, name: str) -> bytes | None:
        """Give an object's content; None where it is gone."""
        with self._told():
            try:
                return bytes(self._files.cat_file(f"{self._root}/{name}"))
            except FileNotFoundError:
                return None

    def delete(self, names: list[str]) -> None:
        """Remove objects; those that are gone do not matter."""
        with self._told():
            for name in names:
                try:
                    self._files.rm_file(f"{self._root}/{name}")
                except FileNotFoundError:
                    continue

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except ImportError as error:
            scheme = self._url.partition(":")[0]
            extra = {"gs": "gcs", "az": "azure"}.get(scheme, scheme)
            raise CloudError(
                f"The prediction log at {self._url} cannot be read without another package.",
                hint=f"Install it: pip install 'taxiway[{extra}]'.",
            ) from error
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".")
            raise CloudError(
                f"The prediction log at {self._url} cannot be read: {reason}.",
                hint="Look at the address and at this machine's credentials for it.",
            ) from error
