"""The image of an endpoint, in ECR under the digest of its environment's lock; made where it is not."""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from taxiway_backends.sagemaker.design import Design
from taxiway_backends.sagemaker.refusals import AwsError, is_missing, is_there_already, told
from taxiway_backends.sagemaker.session import Service, Session

if TYPE_CHECKING:
    from taxiway_backends.sagemaker.image import Registry

REPOSITORY = "taxiway-serving"
TAG = "taxiway:repository"
_TAG_DIGITS = 16  # as many as the image module tags its images with
#: What SageMaker takes, compressed or not.
LARGEST_BYTES = 10 * 10**9

#: By the major version of CUDA that their driver knows.
MACHINES = {"12": "al2-ami-sagemaker-inference-gpu-3-1", "13": "al2023-ami-sagemaker-inference-gpu-4-1"}

log = logging.getLogger("taxiway.sagemaker")
_building = threading.Lock()


class Images(Service):
    """Our repository in ECR."""

    service = "ecr"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._host = ""

    def uri(self, model: Path, *, gpu: bool = False) -> str:
        """Name the image of a Model's environment, whether it is there or not."""
        from taxiway_backends.sagemaker import image

        if not self._host:
            self._host = self._login().url.rpartition("//")[2]
        return f"{self._host}/{REPOSITORY}:{image.lock_digest(model, gpu=gpu)[:_TAG_DIGITS]}"

    def machine(self, model: Path) -> str:
        """Name the system of an instance with a GPU: its driver must know the image's CUDA.

        The one that SageMaker takes by itself has, for many types, a driver for CUDA 11 only. Names and
        drivers are those of the documentation of ``ProductionVariant``, ``InferenceAmiVersion``.
        """
        from taxiway_backends.sagemaker import image

        return MACHINES.get(image.cuda(model), "")

    def refit(self, design: Design, model: Path) -> Design:
        """Give a design the image of a Model's environment, and a machine whose driver knows its CUDA.

        An image of the user's own stays, and so does a machine that Taxiway would not choose.
        """
        if not self.is_ours(design.image):
            return design
        machine = design.machine
        if design.gpu and machine in ("", *MACHINES.values()):
            machine = self.machine(model)
        return replace(design, image=self.uri(model, gpu=design.gpu), machine=machine)

    def is_ours(self, uri: str) -> bool:
        """Tell whether an image is one that we push."""
        return f"/{REPOSITORY}:" in uri

    def is_there(self, uri: str) -> bool:
        """Tell whether our repository has an image."""
        with told(f"look for the image {uri}"):
            try:
                self.client.describe_images(
                    repositoryName=REPOSITORY, imageIds=[{"imageTag": uri.rsplit(":", 1)[-1]}]
                )
            except Exception as error:
                if is_missing(error):
                    return False
                raise
        return True

    def provide(self, uri: str, model: Path, *, gpu: bool, note: Callable[[], None]) -> None:
        """Build, try out and push an image of ours that is not in ECR yet.

        Parameters
        ----------
        gpu
            Whether it has what a GPU needs.
        note
            Called before the push: it writes down who uses the image, so that it can be removed again.
        """
        if not self.is_ours(uri):
            return
        with _building:
            if not self.is_there(uri):
                self._push(model, gpu, note)

    def _push(self, model: Path, gpu: bool, note: Callable[[], None]) -> None:
        from taxiway_backends.sagemaker import image

        built = image.build(model, gpu=gpu, progress=_progress)
        if built.size_bytes > LARGEST_BYTES:
            raise AwsError(
                f"The image of {built.size_bytes / 1e9:.1f} GB is too large: SageMaker takes 10 GB.",
                hint="Package the model with fewer dependencies.",
            )
        image.try_out(built, model, progress=_progress)
        note()
        with told(f"make the repository {REPOSITORY}"):
            try:
                self.client.create_repository(
                    repositoryName=REPOSITORY, tags=[{"Key": TAG, "Value": "serving"}]
                )
            except Exception as error:
                if not is_there_already(error):
                    raise
        pushed = image.push(built, self._login(), REPOSITORY, progress=_progress)
        log.info("pushed %s (%s)", pushed.uri, pushed.digest)

    def _login(self) -> Registry:
        """Ask ECR where its registry is, and for a password that lasts some hours."""
        from taxiway_backends.sagemaker import image

        with told("log in to ECR"):
            (given,) = self.client.get_authorization_token()["authorizationData"]
        user, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
        return image.Registry(given["proxyEndpoint"], user, password)

    def remove(self, uri: str) -> None:
        """Delete an image of ours that nothing uses any more, and the repository with its last one."""
        if not self.is_ours(uri):
            return
        with told(f"delete the image {uri}"):
            try:
                self.client.batch_delete_image(
                    repositoryName=REPOSITORY, imageIds=[{"imageTag": uri.rsplit(":", 1)[-1]}]
                )
                (found,) = self.client.describe_repositories(repositoryNames=[REPOSITORY])["repositories"]
                tags = self.client.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]
                left = self.client.list_images(repositoryName=REPOSITORY, maxResults=1)["imageIds"]
                if not left and any(tag["Key"] == TAG for tag in tags):
                    self.client.delete_repository(repositoryName=REPOSITORY)
            except Exception as error:
                if not is_missing(error):
                    raise


def _progress(words: str) -> None:
    log.info("%s", words)
