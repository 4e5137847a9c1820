"""Bringing an endpoint to its design in steps; whichever was the last, the next time it is found done."""

from __future__ import annotations

import time

from taxiway.backends import EndpointRef, Routing
from taxiway.errors import ConflictError
from taxiway_backends.sagemaker import log, scaling
from taxiway_backends.sagemaker.account import OWNER_TAG, TOKEN_TAG, UNDER_WAY, Account, Native
from taxiway_backends.sagemaker.design import Design, native_name, prefix
from taxiway_backends.sagemaker.images import Images
from taxiway_backends.sagemaker.refusals import AwsError, is_busy, is_missing
from taxiway_backends.sagemaker.storage import Storage

LOOK_SECONDS = 1.0


class Rollout:
    """Changes one endpoint.

    Parameters
    ----------
    account, storage, images
        Where its parts are.
    leave_seconds
        The longest that its deletion is waited for.
    """

    def __init__(self, account: Account, storage: Storage, images: Images, leave_seconds: float) -> None:
        self._account = account
        self._storage = storage
        self._images = images
        self._session = account.session
        self._leave_seconds = leave_seconds

    def apply(self, design: Design, routing: Routing, token: str) -> None:
        """Bring the endpoint to its design, or one step nearer to it.

        What was sent back under the same token is left as it is: only somebody who asks again tries again.

        Raises
        ------
        ConflictError
            The endpoint of that name is a stranger's.
        AwsError
            AWS refused a step.
        """
        native = self._account.endpoint(design.endpoint)
        self.refuse_stranger(native, design.ref)
        if native is None:
            self._start(design, routing, token)
        elif native.status == "Failed":
            if not _was_tried(native, design, token):
                self._delete(design.endpoint)
                self._await_absence(design.endpoint)
                self._start(design, routing, token)
        elif native.status in UNDER_WAY or native.status == "Deleting":
            return  # what is to come after it comes the next time
        elif native.config == design.name:
            self._storage.upload(design, routing)
            self._account.mark(native, design, token)
            self.settle(design)
        elif not (native.was_sent_back and _was_tried(native, design, token)):
            self._update(native, design, routing, token)

    def _start(self, design: Design, routing: Routing, token: str) -> None:
        self._prepare(design, routing, token)
        if self._account.start(design, token):
            return
        native = self._account.endpoint(design.endpoint)
        # One with our configuration is ours, even where its tags do not show yet
        if native and native.config != design.name and self.is_strangers(native, design.ref):
            self._withdraw(design)
            self.refuse_stranger(native, design.ref)

    def _withdraw(self, design: Design) -> None:
        """Take back what was made for an endpoint that somebody else was quicker to create."""
        models = {design.name, f"{design.name}s"}
        self._storage.forget(design)
        if design.image not in self._account.images_in_use(models):
            self._images.remove(design.image)
        for kind, name in (("config", design.name), *(("model", model) for model in models)):
            self._account.remove(kind, name)

    def _update(self, native: Native, design: Design, routing: Routing, token: str) -> None:
        self._prepare(design, routing, token)
        alarms = scaling.set_alarms(self._session, design)
        if native.status == "InService" and design.autoscale is None:
            scaling.unscale(self._session, design.endpoint)
        self._account.mark(native, design, token)
        try:
            self._account.update(design, scaling.deployment(design, alarms))
        except AwsError as error:
            if is_busy(error.__cause__ or error):  # another change came first; this one comes after it
                return
            raise

    def _prepare(self, design: Design, routing: Routing, token: str) -> None:
        """Make all that the endpoint needs; whatever is there already is the same, by its name."""
        self._images.provide(
            design.image, routing.live.path, gpu=design.gpu, note=lambda: self._storage.write(design)
        )
        self._storage.upload(design, routing)
        self._account.create(design, token)

    def settle(self, design: Design) -> None:
        """Finish what is in service: autoscaling as wanted, and nothing left of earlier designs."""
        if design.mode != "serverless":
            scaling.scale(self._session, design)
        if design.bake is None:
            scaling.remove_alarms(self._session, design.endpoint)
        kept = {("config", design.name), ("model", design.name), ("model", f"{design.name}s")}
        for kind, name in self._account.owned(design.endpoint):
            if (kind, name) not in kept:
                self._account.remove(kind, name)
        self._storage.reap(design.endpoint, design)

    def destroy(self, ref: EndpointRef) -> bool:
        """Delete all that is ours of an endpoint, but the prediction log; wait for its end for a while.

        Its images go before what names them: killed at any moment, it is brought to its end the next time.

        Returns
        -------
        bool
            Whether the endpoint is ours, and not a stranger's, of which nothing is touched.
        """
        native = self._account.endpoint(ref.name)
        if self.is_strangers(native, ref):
            return False
        owned = self._account.owned(ref.name)
        if native is None and not owned and self._storage.is_empty(ref.name):
            return True
        scaling.unscale(self._session, ref.name)
        if native is not None:
            self._delete(ref.name)
            self._await_absence(ref.name)
        self._remove_images(ref.name, {name for kind, name in owned if kind == "model"})
        for kind, name in owned:
            self._account.remove(kind, name)
        scaling.remove_alarms(self._session, ref.name)
        log.remove(self._session, ref.name)
        if self._storage.is_there():
            self._storage.reap(ref.name, None)
        return True

    def _remove_images(self, endpoint: str, models: set[str]) -> None:
        """Remove the images that an endpoint used and none does any more."""
        images = {design.image for design in self._storage.designs(endpoint)}
        images |= {image for model in models if (image := self._account.image_of(model))}
        if images:
            for image in images - self._account.images_in_use(models):
                self._images.remove(image)

    def refuse_stranger(self, native: Native | None, ref: EndpointRef) -> None:
        """Raise ConflictError where an endpoint of that name is not ours: it is never touched."""
        if not self.is_strangers(native, ref):
            return
        name = native_name(ref.name)
        if native is not None and OWNER_TAG not in native.tags:
            raise ConflictError(
                f"There is an endpoint {name} in this account that Taxiway did not make.",
                hint="Choose another name, or delete that endpoint yourself.",
            )
        raise ConflictError(
            f"There is an endpoint {name} in this account that another Taxiway made.",
            hint="Choose another name; if that Taxiway's ledger is lost, remove the endpoint's tag "
            f"{OWNER_TAG}, or what lies under {prefix(ref.name)} in {self._storage.bucket}.",
        )

    def is_strangers(self, native: Native | None, ref: EndpointRef) -> bool:
        """Tell whose it is: by its tags; where there is no endpoint (yet, any more), by its designs in S3."""
        if native is not None:
            return not native.is_of(ref)
        if not ref.owner:
            return False
        owners = {one.owner for one in self._storage.designs(ref.name)}
        return bool(owners) and owners.isdisjoint(("", ref.owner))

    def _delete(self, endpoint: str) -> None:
        """Ask for the endpoint's deletion; one that is just being changed is waited for."""
        deadline = time.monotonic() + self._leave_seconds
        while True:
            try:
                self._account.delete(endpoint)
                return
            except AwsError as error:
                cause = error.__cause__ or error
                if is_missing(cause):
                    return
                if not is_busy(cause) or time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_SECONDS)

    def _await_absence(self, endpoint: str) -> None:
        deadline = time.monotonic() + self._leave_seconds
        while self._account.endpoint(endpoint) is not None and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS / 4)


def _was_tried(native: Native, design: Design, token: str) -> bool:
    """Tell whether just this was asked for under this token, and did not come to be."""
    return native.wanted == design.name and native.tags.get(TOKEN_TAG) == token[:256]
