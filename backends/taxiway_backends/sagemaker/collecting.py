"""An endpoint's prediction log in S3, as its containers ship it.

It is what the containers ship themselves, and not SageMaker's data capture: that knows neither Model, role
nor latency, has no outcomes, and leaves serverless endpoints out. So one log is read from everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from taxiway_backends.sagemaker.design import spool_prefix
from taxiway_backends.sagemaker.refusals import is_missing, told
from taxiway_backends.sagemaker.storage import Storage


class PredictionLog:
    """See ``taxiway_backends.cloud.collecting.Shelf``.

    Parameters
    ----------
    storage
        Where the objects are.
    endpoint
        Whose.
    """

    def __init__(self, storage: Storage, endpoint: str) -> None:
        self._storage = storage
        self._beginning = spool_prefix(endpoint)

    def names(self) -> Iterator[str]:
        """Name all objects, as paths below the log."""
        return (key.removeprefix(self._beginning) for key in self._storage.keys(self._beginning))

    def read(self, name: str) -> bytes | None:
        """Give an object's content; None where it is gone."""
        key = self._beginning + name
        with told(f"fetch {key}"):
            try:
                found = self._storage.client.get_object(Bucket=self._storage.bucket, Key=key)
                content: bytes = found["Body"].read()
            except Exception as error:
                if is_missing(error):
                    return None
                raise
        return content

    def delete(self, names: list[str]) -> None:
        """Remove objects; those that are gone do not matter."""
        self._storage.delete([self._beginning + name for name in names])
