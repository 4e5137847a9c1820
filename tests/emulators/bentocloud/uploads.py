"""Repositories, Bentos and models over HTTP: registering, uploading in three ways, downloading."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from tests.emulators.bentocloud.faults import Refusal
from tests.emulators.bentocloud.shapes import Json, page
from tests.emulators.bentocloud.shelf import KINDS, Artifact, Kind
from tests.emulators.bentocloud.site import Handler, Site, hang_up, routes, text


@dataclass(frozen=True)
class _Signed:
    """What a presigned URL is good for."""

    artifact: Artifact
    method: str
    part: int | None = None


class Uploads:
    """The routes of the stores; what a presigned URL points to is on the same server."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._signed: dict[str, _Signed] = {}

    def routes(self) -> list[Route]:
        """Of the API, and of the storage behind it."""
        storage = "/storage/{signature}"
        signed = [
            ("PUT", storage, "put_object", self._put_object),
            ("GET", storage, "get_object", self._get_object),
        ]
        stores = [route for kind in KINDS for route in self._of(kind)]
        return [*stores, *routes(self._site, signed, signed=True)]

    def _of(self, kind: Kind) -> list[Route]:
        repositories = f"/api/v1/{kind}_repositories"
        versions = repositories + f"/{{name}}/{kind}s"
        one = versions + "/{version}"
        said: list[tuple[str, str, str, Handler]] = [
            ("GET", repositories, f"get_{kind}_repositories_list", self._repositories),
            ("POST", repositories, f"create_{kind}_repository", self._add_repository),
            ("GET", repositories + "/{name}", f"get_{kind}_repository", self._repository),
            ("GET", versions, f"list_{kind}s", self._versions),
            ("POST", versions, f"create_{kind}", self._add),
            ("GET", one, f"get_{kind}", self._get),
            ("PATCH", one, f"update_{kind}", self._update),
            ("GET", f"/api/v1/{kind}s", f"get_{kind}s_list", self._all),
            ("PUT", one + "/upload", f"upload_{kind}", self._upload),
            ("GET", one + "/download", f"download_{kind}", self._download),
        ]
        for word, operation, step in (
            ("start_upload", f"start_upload_{kind}", self._start),
            ("finish_upload", f"finish_upload_{kind}", self._finish),
            ("presign_upload_url", f"presign_{kind}_upload_url", self._presign_upload),
            ("presign_download_url", f"presign_{kind}_download_url", self._presign_download),
            ("start_multipart_upload", f"start_{kind}_multipart_upload", self._start_parts),
            ("presign_multipart_upload_url", f"presign_{kind}_multipart_upload_url", self._presign_part),
            ("complete_multipart_upload", f"complete_{kind}_multipart_upload", self._join_parts),
        ):
            said.append(("PATCH", f"{one}/{word}", operation, step))
        return routes(
            self._site,
            [(method, path, operation, self._for(kind, step)) for method, path, operation, step in said],
        )

    @staticmethod
    def _for(kind: Kind, step: Handler) -> Handler:
        async def handler(request: Request) -> Response | Json | list[Json]:
            request.state.kind = kind
            return await step(request)

        return handler

    def _artifact(self, request: Request) -> Artifact:
        return self._site.shelf.artifact(request.state.kind, text(request, "name"), text(request, "version"))

    # What there is

    async def _repositories(self, request: Request) -> Json:
        return page([one.answer() for one in self._site.shelf.repositories(request.state.kind)], request)

    async def _add_repository(self, request: Request) -> Json:
        said = await request.json()
        made = self._site.shelf.add_repository(request.state.kind, said["name"], said["description"])
        return made.answer()

    async def _repository(self, request: Request) -> Json:
        return self._site.shelf.repository(request.state.kind, text(request, "name")).answer()

    async def _versions(self, request: Request) -> Json:
        repository = self._site.shelf.repository(request.state.kind, text(request, "name"))
        return page([one.answer() for one in reversed(repository.artifacts.values())], request)

    async def _all(self, request: Request) -> Json:
        found = [
            {**one.answer(), "repository": self._site.shelf.repository(one.kind, one.repository).answer()}
            for one in self._site.shelf.artifacts(request.state.kind)
        ]
        return page(found, request)

    async def _add(self, request: Request) -> Json:
        said = await request.json()
        return self._site.shelf.add(request.state.kind, text(request, "name"), said).answer()

    async def _get(self, request: Request) -> Json:
        return self._artifact(request).answer()

    async def _update(self, request: Request) -> Json:
        artifact, said = self._artifact(request), await request.json()
        artifact.said.update({name: value for name, value in said.items() if value is not None})
        return artifact.answer()

    # Uploading

    async def _start(self, request: Request) -> Json:
        artifact = self._artifact(request)
        artifact.begin()
        return artifact.answer()

    async def _finish(self, request: Request) -> Json:
        artifact, said = self._artifact(request), await request.json()
        artifact.finish(said["status"], said["reason"] or "")
        return artifact.answer()

    async def _upload(self, request: Request) -> Json:
        artifact = self._artifact(request)
        await self._take_in(request, artifact.file)
        artifact.finish("success")
        return artifact.answer()

    async def _presign_upload(self, request: Request) -> Json:
        artifact = self._artifact(request)
        return artifact.answer(upload_url=self._sign(_Signed(artifact, "PUT")))

    async def _start_parts(self, request: Request) -> Json:
        artifact = self._artifact(request)
        artifact.upload_id, artifact.parts = secrets.token_hex(8), {}
        return artifact.answer()

    async def _presign_part(self, request: Request) -> Json:
        artifact, said = self._artifact(request), await request.json()
        _check_upload(artifact, said)
        return artifact.answer(upload_url=self._sign(_Signed(artifact, "PUT", int(said["part_number"]))))

    async def _join_parts(self, request: Request) -> Json:
        artifact, said = self._artifact(request), await request.json()
        _check_upload(artifact, said)
        with artifact.file.open("wb") as whole:
            for number, part in enumerate(said["parts"], 1):
                etag, file = artifact.parts.get(int(part["part_number"]), ("", Path()))
                if int(part["part_number"]) != number or part["etag"] != etag:
                    raise Refusal(400, f"part {number} of {artifact.tag} is missing or not what was uploaded")
                whole.write(file.read_bytes())
                file.unlink()
        artifact.upload_id, artifact.parts = None, {}
        return artifact.answer()

    async def _put_object(self, request: Request) -> Response:
        signed = self._open(request)
        artifact, file = signed.artifact, signed.artifact.file
        if signed.part is not None:
            file = file.with_suffix(f".{signed.part}")
        etag = await self._take_in(request, file)
        if signed.part is not None:
            artifact.parts[signed.part] = (etag, file)
        return Response(headers={"ETag": etag})

    async def _take_in(self, request: Request, file: Path) -> str:
        """Write the body to a file, which is there whole or not at all; its ETag."""
        if "content-length" not in request.headers:
            raise Refusal(411, "MissingContentLength")
        length, faults = int(request.headers["content-length"]), self._site.faults
        cut, sum_, taken = faults.next_cut(), hashlib.md5(usedforsecurity=False), 0
        arriving = file.with_name(f"{file.name}.arriving")
        try:
            with arriving.open("wb") as target:
                async for chunk in request.stream():
                    target.write(chunk)
                    sum_.update(chunk)
                    taken += len(chunk)
                    if cut is not None and taken >= cut * length:
                        await hang_up(request)
                        raise ClientDisconnect
                    if faults.bytes_per_second:
                        await asyncio.sleep(len(chunk) / faults.bytes_per_second)
        except ClientDisconnect:
            arriving.unlink()
            raise Refusal(400, "the upload was cut") from None
        arriving.rename(file)
        return f'"{sum_.hexdigest()}"'

    # Downloading

    async def _presign_download(self, request: Request) -> Json:
        artifact = self._artifact(request)
        return artifact.answer(download_url=self._sign(_Signed(artifact, "GET")))

    async def _download(self, request: Request) -> Response:
        return _file(self._artifact(request))

    async def _get_object(self, request: Request) -> Response:
        return _file(self._open(request).artifact)

    # Signatures

    def _sign(self, signed: _Signed) -> str:
        signature = secrets.token_urlsafe(24)
        self._signed[signature] = signed
        return f"{self._site.url}/storage/{signature}"

    def _open(self, request: Request) -> _Signed:
        signed = self._signed.get(text(request, "signature"))
        if signed is None or signed.method != request.method:
            raise Refusal(403, "SignatureDoesNotMatch")
        return signed


def _check_upload(artifact: Artifact, said: Json) -> None:
    if not artifact.upload_id or said["upload_id"] != artifact.upload_id:
        raise Refusal(404, "NoSuchUpload")


def _file(artifact: Artifact) -> Response:
    if not artifact.uploaded:
        raise Refusal(404, f"{artifact.kind} {artifact.tag}: record not found")
    return FileResponse(artifact.file, media_type="application/octet-stream")
