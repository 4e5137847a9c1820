"""ECR as its API tells of it: addresses, logins and manifests are those of the registry on loopback."""

from __future__ import annotations

import base64
import time
from typing import Any

from tests.emulators.sagemaker.calls import ACCOUNT, AwsError, Call, invalid
from tests.emulators.sagemaker.site import Site

_DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


def check_image(site: Site, region: str, image: str) -> None:
    """Refuse an image that ECR does not hold, or not with Docker's media types.

    Raises
    ------
    AwsError
        As SageMaker words it.
    """
    if site.registry is None or not image:
        return
    host, _, rest = image.partition("/")
    repository, _, reference = rest.partition("@") if "@" in rest else rest.partition(":")
    held = site.client("ecr", region).describe_repositories()["repositories"]
    found = site.registry.manifest(repository, reference or "latest") if host == site.registry.host else None
    if found is None or repository not in {one["repositoryName"] for one in held}:
        raise invalid(f"Requested image {image} not found.")
    if found.media_type != _DOCKER:
        raise invalid(f"Unsupported manifest media type {found.media_type} for image {image}.")


def answer(site: Site, call: Call) -> dict[str, Any] | None:
    """What the registry knows better than moto; None for all else."""
    registry, said = site.registry, call.members if call.request.headers.get("X-Amz-Target") else {}
    if registry is None:
        return None
    if call.operation == "GetAuthorizationToken":
        token = base64.b64encode(f"{registry.user}:{registry.password}".encode()).decode()
        data = {
            "authorizationToken": token,
            "expiresAt": time.time() + 12 * 3600,
            "proxyEndpoint": f"http://{registry.host}",
        }
        return {"authorizationData": [data]}
    if call.operation not in ("DescribeImages", "ListImages", "BatchDeleteImage", "BatchGetImage"):
        return None
    name = said["repositoryName"]
    held = site.client("ecr", call.region).describe_repositories()["repositories"]
    if name not in {one["repositoryName"] for one in held}:
        raise AwsError(
            "RepositoryNotFoundException",
            f"The repository with name '{name}' does not exist in the registry with id '{ACCOUNT}'",
        )
    images = registry.images(name)
    wanted = said.get("imageIds")
    chosen = [
        image
        for image in images
        if wanted is None
        or any(one.get("imageTag") in image.tags or one.get("imageDigest") == image.digest for one in wanted)
    ]
    if call.operation == "ListImages":
        return {
            "imageIds": [
                {"imageDigest": image.digest, "imageTag": tag} for image in images for tag in image.tags
            ]
        }
    if call.operation == "BatchDeleteImage":
        for image in chosen:
            registry.delete(name, image.digest)
        gone = [{"imageDigest": image.digest, "imageTag": tag} for image in chosen for tag in image.tags]
        failures = (
            [] if chosen else [{"imageId": one, "failureCode": "ImageNotFound"} for one in wanted or ()]
        )
        return {"imageIds": gone, "failures": failures}
    if call.operation == "BatchGetImage":
        return {
            "images": [
                {
                    "repositoryName": name,
                    "imageId": {"imageDigest": image.digest, "imageTag": image.tags[0]},
                    "imageManifest": image.text,
                    "imageManifestMediaType": image.media_type,
                }
                for image in chosen
            ],
            "failures": []
            if chosen
            else [{"imageId": one, "failureCode": "ImageNotFound"} for one in wanted or ()],
        }
    if wanted is not None and not chosen:
        raise AwsError(
            "ImageNotFoundException", f"The image with imageId {wanted} does not exist within '{name}'"
        )
    details = [
        {
            "registryId": ACCOUNT,
            "repositoryName": name,
            "imageDigest": image.digest,
            "imageTags": image.tags,
            "imageSizeInBytes": image.size,
            "imageManifestMediaType": image.media_type,
        }
        for image in chosen
    ]
    return {"imageDetails": details}


def mended(site: Site, body: bytes) -> bytes:
    """moto's answer with the registry's address in place of ECR's."""
    if site.registry is None:
        return body
    text = body.decode()
    import re

    return re.sub(rf"{ACCOUNT}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com", site.registry.host, text).encode()
