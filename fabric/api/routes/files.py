"""/api/v1/files: bytes in and out."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from fabric.api.dependencies import FilesCaller, ServicesDep
from fabric.api.idempotency import idempotent
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.common import Page
from fabric.api.schemas.files import FileOut, FilesOut, UploadIn, UploadOut
from fabric.api.uploads import PartStart, body_chunks, is_multipart, media_type_of, parts
from fabric.core.errors import Conflict, Malformed, RangeNotSatisfiable
from fabric.core.ids import FileId
from fabric.db.engine import Transaction
from fabric.files import files
from fabric.files.files import FileFacts, FileStart
from fabric.wiring import Services

router = APIRouter(prefix="/api/v1/files", tags=["files"])
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.post("", status_code=201, response_model=FilesOut, openapi_extra=_UPLOAD_BODY)
async def upload(request: Request, principal: FilesCaller, services: ServicesDep, name: str = "file.bin") -> Response:
    """Upload files: several as multipart/form-data, or one as the raw body (`?name=`)."""
    limits = services.settings.limits
    received = await files.receive_upload(
        services.database,
        services.store,
        _incoming(request, name, services),
        size_max=limits.upload_bytes_max,
        files_max=limits.files_per_upload_max,
    )

    async def act(tx: Transaction) -> FilesOut:
        return FilesOut(data=[FileOut.of(file) for file in await files.record_upload(tx, principal.user_id, received)])

    return await idempotent(request, principal, services, received.fingerprint, act, status=201)


@router.post("/uploads", status_code=201, response_model=UploadOut)
async def begin_upload(request: Request, body: UploadIn, principal: FilesCaller, services: ServicesDep) -> Response:
    """Get a signed URL for a large file; its bytes then do not pass through this endpoint."""
    expires_s = services.settings.storage.url_expires_s

    async def act(tx: Transaction) -> UploadOut:
        pending = await files.begin_signed_upload(
            tx,
            services.store,
            principal.user_id,
            FileStart(body.name, media_type_of(body.media_type)),
            size=body.size,
            size_max=services.settings.limits.upload_bytes_max,
            expires_s=expires_s,
        )
        return UploadOut.of_pending(pending, expires_s)

    return await idempotent(request, principal, services, await request.body(), act, status=201)


@router.post("/{file_id}/complete")
async def complete_upload(file_id: str, principal: FilesCaller, services: ServicesDep) -> FileOut:
    """Say that the bytes are there. Saying it again is harmless."""
    file = await files.complete_upload(services.database, services.store, principal.user_id, FileId.parse(file_id))
    return FileOut.of(file)


@router.get("")
async def list_files(principal: FilesCaller, services: ServicesDep, page: PageDep) -> Page[FileOut]:
    """Your files, newest first."""
    async with services.database.reading() as reader:
        rows = await files.list_files(reader, principal.user_id, before=page.before, limit=page.fetch)
    return page_of(rows, page, cursor=lambda file: file.id, render=FileOut.of)


@router.get("/{file_id}")
async def show_file(file_id: str, principal: FilesCaller, services: ServicesDep) -> FileOut:
    """One file's facts."""
    return FileOut.of(await _file(file_id, principal, services))


@router.delete("/{file_id}", status_code=204)
async def delete_file(file_id: str, principal: FilesCaller, services: ServicesDep) -> None:
    """Delete a file. Jobs that were submitted before may still read it for a day."""
    async with services.database.transaction() as tx:
        await files.delete(tx, principal.user_id, FileId.parse(file_id))


@router.get("/{file_id}/content", response_class=StreamingResponse)
async def download(request: Request, file_id: str, principal: FilesCaller, services: ServicesDep) -> Response:
    """The bytes; `Range` (one range), `If-None-Match` and `If-Range` are honoured."""
    file = await _file(file_id, principal, services)
    if file.sha256 is None:
        raise Conflict("the upload of this file has not been completed")
    etag = f'"{file.sha256.hex()}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    if _matches(request.headers.get("If-None-Match", ""), etag):
        return Response(status_code=304, headers=headers)
    # A stranger's bytes from our own address: never let a browser run them.
    headers |= {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name)}",
        "X-Content-Type-Options": "nosniff",
    }
    status, offset, length = 200, 0, file.size
    asked = request.headers.get("Range", "")
    if asked and request.headers.get("If-Range", etag) == etag and (extent := _extent(asked, file.size)):
        status, (offset, length) = 206, extent
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{file.size}"
    headers["Content-Length"] = str(length)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=file.media_type)
    content = services.store.stream(file.object_key, file.object_offset + offset, length)
    # The first chunk is awaited here, so that trouble with the store is still an answer and not a broken stream.
    first = await anext(content, b"")
    return StreamingResponse(_chained(first, content), status_code=status, headers=headers, media_type=file.media_type)


router.add_api_route("/{file_id}/content", download, methods=["HEAD"], include_in_schema=False, response_class=StreamingResponse)


async def _incoming(request: Request, name: str, services: Services) -> AsyncIterator[FileStart | bytes]:
    if not is_multipart(request):
        yield FileStart(name, media_type_of(request.headers.get("Content-Type")))
        async for chunk in body_chunks(request):
            yield chunk
        return
    async for item in parts(request, parts_max=services.settings.limits.files_per_upload_max):
        if not isinstance(item, PartStart):
            yield item
        elif item.filename is None:
            raise Malformed(f"the field {item.field[:80]!r} is no file; send files only")
        else:
            yield FileStart(item.filename, item.media_type)


async def _file(file_id: str, principal: FilesCaller, services: Services) -> FileFacts:
    async with services.database.reading() as reader:
        return await files.get(reader, principal.user_id, FileId.parse(file_id))


def _matches(header: str, etag: str) -> bool:
    """RFC 9110 §13.1.2: a list of tags, weakly compared, or `*`."""
    return any(tag.strip().removeprefix("W/") in {etag, "*"} for tag in header.split(","))


def _extent(header: str, size: int) -> tuple[int, int] | None:
    """Offset and length of the range asked for; None where RFC 9110 §14.2 lets it be ignored (other units, several ranges).

    Raises:
        RangeNotSatisfiable: it lies outside.
    """
    asked = _RANGE.fullmatch(header.replace(" ", ""))
    if asked is None or asked.group(0) == "bytes=-":
        return None
    first, last = asked.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise RangeNotSatisfiable(f"the file has {size} bytes")
    return start, end - start


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
