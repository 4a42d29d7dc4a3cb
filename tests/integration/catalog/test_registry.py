"""Versions of models in the database and the store."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from sqlalchemy import text

from fabric.catalog import registry
from fabric.core.errors import NotFound
from fabric.core.ids import ModelVersionId, UserId
from fabric.db.engine import Database
from fabric.files.files import collect_garbage
from tests.fixtures.onnx_models import affine


@pytest.fixture
async def owner(database: Database) -> UserId:
    user_id = UserId.new()
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO users (id, email, password_hash) VALUES (:id, 'a@example.com', '')"), {"id": user_id})
    return user_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(affine())
    return tmp_path / "model.onnx"


async def test_the_file_is_stored_by_its_hash(database, disk_store, owner, path):
    version = await registry.upload(database, disk_store, owner, name="tiny", path=path, card={})
    assert version.sha256 == hashlib.sha256(affine()).hexdigest()
    assert version.sha256 in version.object_key
    assert await disk_store.read(version.object_key) == affine()
    async with database.reading() as reader:
        assert await registry.find_version(reader, owner, "tiny") == version


async def test_uploads_at_once_become_versions_one_after_another(database, disk_store, owner, path):
    admitted = [await registry.admit_upload(database, disk_store, name="tiny", path=path, card={}) for _ in range(4)]

    async def record(one: registry.AdmittedUpload) -> int:
        async with database.transaction() as tx:
            return (await registry.record_version(tx, owner, one)).version

    assert sorted(await asyncio.gather(*(record(one) for one in admitted))) == [1, 2, 3, 4]


async def test_a_retired_version_stays_readable_for_jobs_that_run(database, disk_store, owner, path):
    version = await registry.upload(database, disk_store, owner, name="tiny", path=path, card={})
    async with database.transaction() as tx:
        await registry.delete(tx, owner, "tiny")
    async with database.reading() as reader:
        with pytest.raises(NotFound):
            await registry.find_version(reader, owner, "tiny")
        found = await registry.versions_by_id(reader, [version.id, ModelVersionId.new()])
    assert list(found) == [version.id]
    assert await collect_garbage(database, disk_store) == 0
    assert await disk_store.read(version.object_key) == affine()


async def test_the_file_of_a_retired_version_goes_in_the_end_and_its_twin_stays(database, disk_store, owner, path):
    versions = [await registry.upload(database, disk_store, owner, name="tiny", path=path, card={}) for _ in range(2)]
    async with database.transaction() as tx:
        await registry.delete(tx, owner, "tiny", version=1)
        await tx.execute(text("UPDATE garbage_objects SET not_before = now() - interval '1 second'"))
    assert await collect_garbage(database, disk_store) == 1
    with pytest.raises(NotFound):
        await disk_store.read(versions[0].object_key)
    assert await disk_store.read(versions[1].object_key) == affine()
