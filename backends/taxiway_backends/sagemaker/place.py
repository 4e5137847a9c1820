"""One account's region and bucket, with all that is asked there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from taxiway_backends.sagemaker.account import Account
from taxiway_backends.sagemaker.images import Images
from taxiway_backends.sagemaker.observation import Observer
from taxiway_backends.sagemaker.refusals import CredentialsError
from taxiway_backends.sagemaker.session import Session
from taxiway_backends.sagemaker.storage import Storage


class Place:
    """Where an endpoint is.

    Parameters
    ----------
    region, bucket
        Empty for those of the environment.
    stuck_seconds
        As in ``Observer``.
    """

    def __init__(self, region: str, bucket: str, stuck_seconds: float) -> None:
        self.session = Session(region)
        self.account = Account(self.session)
        self.storage = Storage(self.session, bucket)
        self.images = Images(self.session)
        self.observer = Observer(self.account, stuck_seconds)

    def is_same(self, other: Place) -> bool:
        """Tell whether it is the same region and bucket as another, whoever named them."""
        return (self.session.region, self.storage.bucket) == (other.session.region, other.storage.bucket)

    @contextmanager
    def kept_fresh(self) -> Iterator[None]:
        """Read credentials anew the next time, where those that are held turn out not to hold."""
        try:
            yield
        except CredentialsError:
            self.session.forget()
            raise
