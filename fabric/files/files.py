"""Files of users: upload, look up, list, delete, and the deletion of objects that nobody needs any more.

A file is an extent of an object: the files of one multipart upload lie in one object, a *pack*, so that many small ones cost
one write. No object is ever without a row: before an upload is stored its key stands in `garbage_objects`, and the
transaction that records the files takes it off. A crash in between leaves garbage that is collected.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fabric.core.errors import Conflict, Invalid, Malformed, NotFound, TooLarge
from fabric.core.ids import FileId, UserId
from fabric.db.engine import Database, Reader, Transaction
from fabric.files.store import (
    Row,
    due_garbage,
    expire_pending,
    forget_garbage,
    insert_files,
    mark_deleted,
    mark_garbage,
    mark_ready,
    rescue,
    select_files,
    select_page,
    set_expiry,
)
from fabric.storage.base import ObjectStore, SignedUrl
from fabric.storage.keys import file_key

NAME_CHARACTERS_MAX = 255
GARBAGE_DELAY_S = 86_400.0  # jobs that are already submitted may still read a deleted file for so long
UPLOAD_S_MAX = 86_400.0
RESCUE_MARGIN_S = 3_600.0
COMPLETE_GRACE_S = 3_600.0  # after the signed URL has expired
GARBAGE_BATCH = 500


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file of a user."""

    id: FileId
    name: str
    media_type: str
    size: int
    sha256: bytes | None  # None while pending
    object_key: str
    object_offset: int
    status: str  # pending or ready
    created_at: datetime


@dataclass(frozen=True, slots=True)
class FileStart:
    """In an upload: from here on bytes belong to a file of this name."""

    name: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Received:
    """An upload that lies in the store but is not yet anybody's."""

    object_key: str
    parts: tuple[tuple[FileId, FileStart, int, int, bytes], ...]  # id, name and type, offset, size, SHA-256

    @property
    def fingerprint(self) -> bytes:
        """Equal for equal uploads, however they were framed."""
        digest = hashlib.sha256()
        for _, start, _, size, sha256 in self.parts:
            digest.update(repr((start.name, start.media_type, size, sha256)).encode())
        return digest.digest()


@dataclass(frozen=True, slots=True)
class PendingUpload:
    """A file whose bytes go straight to the store."""

    file: FileFacts
    url: SignedUrl


async def receive_upload(
    database: Database, store: ObjectStore, incoming: AsyncIterator[FileStart | bytes], *, size_max: int, files_max: int
) -> Received:
    """Store the files of one upload as one object; `record_upload` then makes them somebody's.

    Raises:
        TooLarge: more than `size_max` bytes or `files_max` files; nothing stays.
        Malformed: no file at all.
        StorageUnavailable: the store fails.
    """
    pack = _Pack(incoming, files_max)
    key = file_key(pack.first_id)
    async with database.transaction() as tx:
        await mark_garbage(tx, [key], UPLOAD_S_MAX)
    await store.put(key, pack.chunks(), size_max=size_max)
    if not pack.parts:
        raise Malformed("the upload contains no file")
    return Received(key, tuple(pack.parts))


async def record_upload(tx: Transaction, owner_id: UserId, received: Received) -> list[FileFacts]:
    """Give what was received to `owner_id`.

    Raises:
        Conflict: the upload took so long that its bytes may be gone.
    """
    if not await rescue(tx, received.object_key, RESCUE_MARGIN_S):
        raise Conflict("the upload took too long; send it again")
    rows = [
        {
            "id": file_id, "owner_id": owner_id, "name": start.name, "media_type": start.media_type, "size": size,
            "sha256": sha256, "object_key": received.object_key, "object_offset": offset, "status": "ready",
        }
        for file_id, start, offset, size, sha256 in received.parts
    ]  # fmt: skip
    return [_facts(row) for row in await insert_files(tx, rows)]


async def begin_signed_upload(
    tx: Transaction, store: ObjectStore, owner_id: UserId, start: FileStart, *, size: int, size_max: int, expires_s: int
) -> PendingUpload:
    """Promise a file of exactly `size` bytes; its owner PUTs them to the URL, then calls `complete_upload`.

    Raises:
        TooLarge: `size` is over the limit.
    """
    if size > size_max:
        raise TooLarge(f"{size} bytes announced, {size_max} allowed")
    file_id = FileId.new()
    key = file_key(file_id)
    row = {
        "id": file_id, "owner_id": owner_id, "name": checked_name(start.name), "media_type": start.media_type, "size": size,
        "sha256": None, "object_key": key, "object_offset": 0, "status": "pending",
    }  # fmt: skip
    written = await insert_files(tx, [row])
    await set_expiry(tx, file_id, expires_s + COMPLETE_GRACE_S)
    return PendingUpload(_facts(written[0]), store.signed_put(key, size_max=size, exact=True, expires_s=expires_s))


async def complete_upload(database: Database, store: ObjectStore, owner_id: UserId, file_id: FileId) -> FileFacts:
    """Look at what was uploaded and make the file ready; a ready file stays as it is.

    Raises:
        NotFound: no such file of this owner.
        Conflict: nothing has been uploaded yet.
        Invalid: another number of bytes than announced lies there; they are removed, so that the upload can be repeated.
    """
    async with database.reading() as reader:
        file = await get(reader, owner_id, file_id)
    if file.status == "ready":
        return file
    try:
        facts = await store.describe(file.object_key)
    except NotFound:
        raise Conflict("nothing has been uploaded to the signed URL yet") from None
    if facts.size != file.size:
        await store.delete(file.object_key)
        raise Invalid(f"{facts.size} bytes were uploaded, {file.size} were announced")
    async with database.transaction() as tx:
        await mark_ready(tx, owner_id, file_id, facts.sha256)
        return await get(tx, owner_id, file_id)


async def get(reader: Reader, owner_id: UserId, file_id: FileId) -> FileFacts:
    """One file of this owner. Raises NotFound."""
    return (await get_many(reader, owner_id, [file_id]))[0]


async def get_many(reader: Reader, owner_id: UserId, ids: Sequence[FileId]) -> list[FileFacts]:
    """Files of this owner in the order of `ids`, pending ones too.

    Raises:
        NotFound: one of them does not exist or is somebody else's.
    """
    found = await select_files(reader, owner_id, ids)
    missing = [file_id for file_id in ids if file_id not in found]
    if missing:
        raise NotFound(f"there is no file {FileId.of(missing[0])} of yours")
    return [_facts(found[file_id]) for file_id in ids]


async def list_files(reader: Reader, owner_id: UserId, *, before: UUID | None, limit: int) -> list[FileFacts]:
    """This owner's files, newest first, older than `before`."""
    return [_facts(row) for row in await select_page(reader, owner_id, before, limit)]


async def delete(tx: Transaction, owner_id: UserId, file_id: FileId) -> None:
    """Delete a file; its bytes go when no file of its object is left and submitted jobs have had time to read them.

    Raises:
        NotFound: no such file of this owner.
    """
    emptied = await mark_deleted(tx, owner_id, file_id)
    if emptied is None:
        raise NotFound(f"there is no file {FileId.of(file_id)} of yours")
    if emptied:
        await mark_garbage(tx, [emptied], GARBAGE_DELAY_S)


async def collect_garbage(database: Database, store: ObjectStore) -> int:
    """Loop body: give up overdue uploads and delete objects that are due; says how many objects went."""
    async with database.transaction() as tx:
        await mark_garbage(tx, await expire_pending(tx, GARBAGE_BATCH), 0.0)
    async with database.reading() as reader:
        keys = await due_garbage(reader, GARBAGE_BATCH)
    for key in keys:
        await store.delete(key)
    if keys:
        async with database.transaction() as tx:
            await forget_garbage(tx, keys)
    return len(keys)


def checked_name(name: str) -> str:
    """A file's name without folders and control characters.

    Raises:
        Invalid: nothing is left of it, or it is too long.
    """
    kept = "".join(c for c in name.replace("\\", "/").rpartition("/")[2] if c.isprintable()).strip()
    if not kept or len(kept) > NAME_CHARACTERS_MAX:
        raise Invalid(f"a file needs a name of 1 to {NAME_CHARACTERS_MAX} printable characters")
    return kept


class _Pack:
    """The files of an upload, one after another, with their extents."""

    def __init__(self, incoming: AsyncIterator[FileStart | bytes], files_max: int) -> None:
        self._incoming = incoming
        self._files_max = files_max
        self.first_id = FileId.new()
        self.parts: list[tuple[FileId, FileStart, int, int, bytes]] = []

    async def chunks(self) -> AsyncIterator[bytes]:
        offset = start_offset = 0
        start: FileStart | None = None
        digest = hashlib.sha256()
        async for item in self._incoming:
            if isinstance(item, bytes):
                digest.update(item)
                offset += len(item)
                yield item
                continue
            if start is not None:
                self._end(start, start_offset, offset, digest.digest())
            if len(self.parts) == self._files_max:
                raise TooLarge(f"more than {self._files_max} files in one upload")
            start, start_offset, digest = FileStart(checked_name(item.name), item.media_type), offset, hashlib.sha256()
        if start is not None:
            self._end(start, start_offset, offset, digest.digest())

    def _end(self, start: FileStart, first: int, end: int, sha256: bytes) -> None:
        file_id = FileId.new() if self.parts else self.first_id
        self.parts.append((file_id, start, first, end - first, sha256))


def _facts(row: Row) -> FileFacts:
    fields: dict[str, Any] = {name: row[name] for name in FileFacts.__slots__ if name != "id"}
    return FileFacts(id=FileId.of(row["id"]), **fields)
