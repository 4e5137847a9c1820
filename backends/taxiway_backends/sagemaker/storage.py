"""What an endpoint keeps in S3: the archives of its Models, its designs, and its prediction log."""

from __future__ import annotations

import gzip
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from taxiway.backends import ModelRef, Routing
from taxiway_backends.sagemaker.design import Design, design_key, designs_prefix, models_prefix, prefix
from taxiway_backends.sagemaker.refusals import AwsError, is_denied, is_missing, is_there_already, told
from taxiway_backends.sagemaker.session import Service, Session

_MOST_DELETED = 1000


class Storage(Service):
    """The objects of one bucket.

    Parameters
    ----------
    session
        Whose account.
    bucket
        Its name; empty for SageMaker's default bucket, which execution roles may usually read.
    """

    service = "s3"

    def __init__(self, session: Session, bucket: str = "") -> None:
        super().__init__(session)
        self._bucket = bucket

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._bucket or f"sagemaker-{self.session.region}-{self.session.account}"

    def is_there(self) -> bool:
        """Tell whether the bucket is there and can be used.

        Raises
        ------
        AwsError
            It is a stranger's, or may not be used.
        """
        with told(f"use the bucket {self.bucket}"):
            try:
                self.client.head_bucket(Bucket=self.bucket)
            except Exception as error:
                if is_missing(error):
                    return False
                raise
        return True

    def make(self) -> None:
        """Make the bucket if it is not there: encrypted, and closed to the public."""
        if self.is_there():
            return
        region = self.session.region
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        closed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        with told(f"make the bucket {self.bucket}"):
            try:
                self.client.create_bucket(Bucket=self.bucket, **place)
                self.client.put_public_access_block(
                    Bucket=self.bucket, PublicAccessBlockConfiguration=dict.fromkeys(closed, True)
                )
            except Exception as error:
                if not is_there_already(error):
                    raise

    def write(self, design: Design) -> None:
        """Write a design down; the bucket is made where it is not there."""
        self.make()
        with told("write the endpoint's design to S3"):
            self.client.put_object(
                Bucket=self.bucket,
                Key=design_key(design.endpoint, design.digest),
                Body=design.to_json().encode(),
                ContentType="application/json",
            )

    def upload(self, design: Design, routing: Routing) -> None:
        """Put the design, and the archives of its Models where they are not there yet."""
        self.write(design)
        live, shadow = routing.live, routing.shadow
        wanted = {
            design.archive(): {"live": live} | ({"shadow": shadow} if shadow and not design.native else {})
        }
        if shadow and design.native:
            wanted[design.archive("shadow")] = {"live": shadow}
        for key, folders in wanted.items():
            if self._has(key):
                continue
            with tempfile.TemporaryDirectory(prefix="taxiway-") as folder:
                archive = Path(folder) / "model.tar.gz"
                pack(archive, folders)
                with told(f"upload {key}"):
                    self.client.upload_file(str(archive), self.bucket, key)

    def design(self, endpoint: str, config: str) -> Design | None:
        """Read the design of an EndpointConfig; None where it was not written by us."""
        return self._read(design_key(endpoint, config.rsplit("-", 1)[-1]))

    def designs(self, endpoint: str) -> list[Design]:
        """Read all designs of an endpoint that are kept."""
        found = [self._read(key) for key in self.keys(designs_prefix(endpoint))]
        return [design for design in found if design is not None]

    def _read(self, key: str) -> Design | None:
        with told("read the endpoint's design from S3"):
            try:
                content: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            except Exception as error:
                if is_missing(error):
                    return None
                raise
        try:
            return Design.from_json(content)
        except (ValueError, TypeError, AttributeError):  # others may write into the bucket, too
            return None

    def keys(self, beginning: str, *, most: int | None = None) -> Iterator[str]:
        """List objects, by name."""
        with told(f"list the bucket {self.bucket}"):
            limit = {"PaginationConfig": {"MaxItems": most}} if most else {}
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=beginning, **limit
            )
            try:
                for page in pages:
                    for entry in page.get("Contents", []):
                        yield entry["Key"]
            except Exception as error:
                if not is_missing(error):
                    raise

    def is_empty(self, endpoint: str) -> bool:
        """Tell whether nothing of an endpoint is left; also where the bucket may not be looked at."""
        try:
            return next(self.keys(prefix(endpoint), most=1), None) is None
        except AwsError as error:
            if is_denied(error.__cause__ or error):
                return True
            raise

    def delete(self, keys: list[str]) -> None:
        """Delete objects; those that are gone do not matter."""
        for start in range(0, len(keys), _MOST_DELETED):
            chosen = [{"Key": key} for key in keys[start : start + _MOST_DELETED]]
            with told(f"remove objects of the bucket {self.bucket}"):
                self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": chosen, "Quiet": True})

    def reap(self, endpoint: str, kept: Design | None) -> None:
        """Delete archives and designs that no kept design needs; the prediction log stays.

        A design of another image stays as long as the endpoint: it is what tells of that image.
        """
        if kept is None:
            beginnings = (models_prefix(endpoint), designs_prefix(endpoint), f"{prefix(endpoint)}async/")
            self.delete([key for beginning in beginnings for key in self.keys(beginning)])
            return
        archives = {kept.archive(), kept.archive("shadow")}
        old = [key for key in self.keys(models_prefix(endpoint)) if key not in archives]
        old += [
            design_key(endpoint, one.digest)
            for one in self.designs(endpoint)
            if one.image == kept.image and one.digest != kept.digest
        ]
        self.delete(old)

    def forget(self, design: Design) -> None:
        """Delete a design, and the archives that no other one of its endpoint needs."""
        self.delete([design_key(design.endpoint, design.digest)])
        needed = {one.archive(role) for one in self.designs(design.endpoint) for role in ("live", "shadow")}
        self.delete([key for key in (design.archive(), design.archive("shadow")) if key not in needed])

    def _has(self, key: str) -> bool:
        with told(f"look for {key}"):
            try:
                self.client.head_object(Bucket=self.bucket, Key=key)
            except Exception as error:
                if is_missing(error):
                    return False
                raise
        return True


def pack(archive: Path, folders: dict[str, ModelRef]) -> None:
    """Write ``model.tar.gz``: each Model's folder under its role; the same Models give the same bytes."""
    with (
        archive.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for role, model in folders.items():
            for path in sorted(one for one in model.path.rglob("*") if one.is_file()):
                entry = tarfile.TarInfo(f"{role}/{path.relative_to(model.path).as_posix()}")
                entry.size, entry.mode = path.stat().st_size, 0o644
                with path.open("rb") as content:
                    tar.addfile(entry, content)
