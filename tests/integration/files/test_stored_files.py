"""Files of users: packs, signed uploads, deletion, garbage; with a real database and a real object server."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import text

from fabric.core.errors import Conflict, Invalid, Malformed, NotFound, TooLarge
from fabric.core.ids import FileId, UserId
from fabric.db.engine import Database
from fabric.files import files
from fabric.files.files import FileFacts, FileStart
from fabric.storage.local import LocalStore


@pytest.fixture
async def owner(database: Database) -> UserId:
    return await a_user(database)


@pytest.fixture
async def stranger(database: Database) -> UserId:
    return await a_user(database)


async def a_user(database: Database) -> UserId:
    user_id = UserId.new()
    async with database.transaction() as tx:
        values = {"id": user_id, "email": f"{user_id.hex}@example.com"}
        await tx.execute(text("INSERT INTO users (id, email, password_hash) VALUES (:id, :email, '')"), values)
    return user_id


async def incoming(*items: FileStart | bytes) -> AsyncIterator[FileStart | bytes]:
    for item in items:
        yield item


async def uploaded(database: Database, store: LocalStore, owner: UserId, *contents: bytes) -> list[FileFacts]:
    items = [item for number, content in enumerate(contents) for item in (FileStart(f"{number}.png", "image/png"), content)]
    received = await files.receive_upload(database, store, incoming(*items), size_max=1000, files_max=10)
    async with database.transaction() as tx:
        return await files.record_upload(tx, owner, received)


async def garbage(database: Database) -> set[str]:
    async with database.reading() as reader:
        return set((await reader.execute(text("SELECT object_key FROM garbage_objects"))).scalars())


async def make_garbage_due(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE garbage_objects SET not_before = now() - interval '1 second'"))


def objects(store: LocalStore) -> set[str]:
    return {str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file()}


async def test_the_files_of_one_upload_share_one_object(database, disk_store, owner):
    kept = await uploaded(database, disk_store, owner, b"one", b"", b"three")
    assert objects(disk_store) == {kept[0].object_key}
    assert [(file.object_offset, file.size, file.status) for file in kept] == [(0, 3, "ready"), (3, 0, "ready"), (3, 5, "ready")]
    assert [file.sha256 for file in kept] == [hashlib.sha256(content).digest() for content in (b"one", b"", b"three")]
    assert await disk_store.read(kept[2].object_key, kept[2].object_offset, kept[2].size) == b"three"
    assert await garbage(database) == set()


async def test_files_are_given_in_the_order_asked_and_only_to_their_owner(database, disk_store, owner, stranger):
    kept = await uploaded(database, disk_store, owner, b"1", b"2", b"3")
    async with database.reading() as reader:
        asked = [kept[2].id, kept[0].id, kept[2].id]
        assert [file.id for file in await files.get_many(reader, owner, asked)] == asked
        for caller, ids in ((stranger, [kept[0].id]), (owner, [kept[0].id, FileId.new()])):
            with pytest.raises(NotFound):
                await files.get_many(reader, caller, ids)
        assert await files.list_files(reader, stranger, before=None, limit=10) == []


async def test_lists_are_newest_first_and_go_on_where_they_stopped(database, disk_store, owner):
    kept = [(await uploaded(database, disk_store, owner, b"x"))[0].id for _ in range(3)]
    newest_first = sorted(kept, reverse=True)
    async with database.reading() as reader:
        first = await files.list_files(reader, owner, before=None, limit=2)
        rest = await files.list_files(reader, owner, before=first[-1].id, limit=2)
    assert [file.id for file in (*first, *rest)] == newest_first


async def test_an_upload_over_the_limit_leaves_nothing(database, disk_store, owner):
    upload = incoming(FileStart("big", "a/b"), b"x" * 600, b"x" * 600)
    with pytest.raises(TooLarge):
        await files.receive_upload(database, disk_store, upload, size_max=1000, files_max=10)
    assert objects(disk_store) == set()


async def test_an_upload_without_a_file_is_malformed(database, disk_store):
    with pytest.raises(Malformed):
        await files.receive_upload(database, disk_store, incoming(), size_max=1000, files_max=10)


async def test_an_upload_that_was_stored_but_never_recorded_is_collected(database, disk_store, owner):
    received = await files.receive_upload(database, disk_store, incoming(FileStart("a", "a/b"), b"1"), size_max=9, files_max=1)
    assert objects(disk_store) == await garbage(database) == {received.object_key}
    assert await files.collect_garbage(database, disk_store) == 0
    await make_garbage_due(database)
    assert await files.collect_garbage(database, disk_store) == 1
    assert objects(disk_store) == await garbage(database) == set()
    async with database.transaction() as tx:
        with pytest.raises(Conflict):
            await files.record_upload(tx, owner, received)


async def test_an_object_goes_with_its_last_file_and_not_before(database, disk_store, owner):
    one, other = await uploaded(database, disk_store, owner, b"1", b"2")
    async with database.transaction() as tx:
        await files.delete(tx, owner, one.id)
    assert await garbage(database) == set()
    async with database.transaction() as tx:
        await files.delete(tx, owner, other.id)
        with pytest.raises(NotFound):
            await files.get(tx, owner, other.id)
    assert await garbage(database) == {one.object_key}
    assert await disk_store.read(one.object_key) == b"12"  # submitted jobs may still read it
    await make_garbage_due(database)
    assert await files.collect_garbage(database, disk_store) == 1
    assert objects(disk_store) == set()


async def test_the_last_two_files_deleted_at_once_still_free_their_object(database, disk_store, owner):
    kept = await uploaded(database, disk_store, owner, *[b"x"] * 5)

    async def remove(file_id: FileId) -> None:
        async with database.transaction() as tx:
            await files.delete(tx, owner, file_id)

    await asyncio.gather(*(remove(file.id) for file in kept))
    assert await garbage(database) == {kept[0].object_key}


async def test_only_the_owner_deletes_and_only_once(database, disk_store, owner, stranger):
    (file,) = await uploaded(database, disk_store, owner, b"1")
    async with database.transaction() as tx:
        with pytest.raises(NotFound):
            await files.delete(tx, stranger, file.id)
        await files.delete(tx, owner, file.id)
        with pytest.raises(NotFound):
            await files.delete(tx, owner, file.id)


async def begun(database: Database, store: LocalStore, owner: UserId, size: int):
    async with database.transaction() as tx:
        start = FileStart("big.npy", "application/x-npy")
        return await files.begin_signed_upload(tx, store, owner, start, size=size, size_max=100, expires_s=60)


async def put(url: str, content: bytes) -> int:
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.put(url, content=content)).status_code


async def test_a_signed_upload_becomes_a_file_when_it_is_completed(database, disk_store, owner, stranger):
    pending = await begun(database, disk_store, owner, 4)
    assert (pending.file.status, pending.file.sha256) == ("pending", None)
    with pytest.raises(Conflict):
        await files.complete_upload(database, disk_store, owner, pending.file.id)
    assert await put(pending.url.url, b"four") == 200
    with pytest.raises(NotFound):
        await files.complete_upload(database, disk_store, stranger, pending.file.id)
    ready = await files.complete_upload(database, disk_store, owner, pending.file.id)
    assert (ready.status, ready.size, ready.sha256) == ("ready", 4, hashlib.sha256(b"four").digest())
    assert await files.complete_upload(database, disk_store, owner, pending.file.id) == ready


async def test_a_signed_upload_of_another_size_is_not_taken(database, disk_store, owner):
    pending = await begun(database, disk_store, owner, 4)
    assert await put(pending.url.url, b"five5") == 413
    await disk_store.put_bytes(pending.file.object_key, b"six six")  # S3 cannot always refuse by length
    with pytest.raises(Invalid):
        await files.complete_upload(database, disk_store, owner, pending.file.id)
    assert await put(pending.url.url, b"four") == 200
    assert (await files.complete_upload(database, disk_store, owner, pending.file.id)).status == "ready"


async def test_a_signed_upload_over_the_limit_is_refused_before_it_begins(database, disk_store, owner):
    with pytest.raises(TooLarge):
        await begun(database, disk_store, owner, 101)


async def test_a_signed_upload_that_is_never_completed_is_collected(database, disk_store, owner):
    pending = await begun(database, disk_store, owner, 4)
    await put(pending.url.url, b"four")
    assert await files.collect_garbage(database, disk_store) == 0
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE files SET expires_at = now() - interval '1 second'"))
    assert await files.collect_garbage(database, disk_store) == 1
    assert objects(disk_store) == set()
    with pytest.raises(NotFound):
        await files.complete_upload(database, disk_store, owner, pending.file.id)
