"""SQL for files and for objects that wait to be deleted."""

import datetime
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, RowMapping, Uuid, any_, cast, delete, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from fabric.core.ids import FileId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables import files, garbage_objects

Row = RowMapping
LIVE = files.c.deleted_at.is_(None)
COLUMNS = (
    files.c.id, files.c.name, files.c.media_type, files.c.size, files.c.sha256, files.c.object_key, files.c.object_offset,
    files.c.status, files.c.created_at,
)  # fmt: skip


async def insert_files(tx: Transaction, rows: Sequence[dict[str, Any]]) -> list[Row]:
    """Write new files; gives them in the same order."""
    statement = insert(files).returning(*COLUMNS, sort_by_parameter_order=True)
    return list((await tx.execute(statement, list(rows))).mappings())


async def set_expiry(tx: Transaction, file_id: FileId, expires_in_s: float) -> None:
    """A pending upload is given up after so long, on the database's clock."""
    await tx.execute(update(files).where(files.c.id == file_id).values(expires_at=_in_seconds(expires_in_s)))


async def select_files(reader: Reader, owner_id: UserId, ids: Sequence[FileId]) -> dict[UUID, Row]:
    """Those of the caller's files among `ids` that are not deleted."""
    among = any_(cast(list(ids), ARRAY(Uuid)))
    statement = select(*COLUMNS).where(files.c.id == among, files.c.owner_id == owner_id, LIVE)
    return {row["id"]: row for row in (await reader.execute(statement)).mappings()}


async def select_page(reader: Reader, owner_id: UserId, before: UUID | None, limit: int) -> list[Row]:
    """The caller's files, newest first."""
    statement = select(*COLUMNS).where(files.c.owner_id == owner_id, LIVE).order_by(files.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(files.c.id < before)
    return list((await reader.execute(statement)).mappings())


async def mark_ready(tx: Transaction, owner_id: UserId, file_id: FileId, sha256: bytes) -> bool:
    """A pending upload has arrived; False when it is pending no longer."""
    statement = (
        update(files)
        .where(files.c.id == file_id, files.c.owner_id == owner_id, files.c.status == "pending", LIVE)
        .values(status="ready", sha256=sha256, expires_at=None)
    )
    return (await tx.execute(statement)).rowcount == 1


async def mark_deleted(tx: Transaction, owner_id: UserId, file_id: FileId) -> str | None:
    """Delete one file; gives the key of its object when that was the last file in it.

    The object's rows are locked first: two deletions of its last two files would otherwise each see the other's still there.
    """
    key = select(files.c.object_key).where(files.c.id == file_id, files.c.owner_id == owner_id, LIVE).scalar_subquery()
    locked = select(files.c.id, files.c.object_key).where(files.c.object_key == key, LIVE).order_by(files.c.id).with_for_update()
    rows = (await tx.execute(locked)).all()
    if file_id not in {row.id for row in rows}:
        return None
    await tx.execute(update(files).where(files.c.id == file_id).values(deleted_at=func.now()))
    return str(rows[0].object_key) if len(rows) == 1 else ""


async def expire_pending(tx: Transaction, limit: int) -> list[str]:
    """Delete uploads that were never completed; gives the keys of their objects."""
    overdue = (
        select(files.c.id)
        .where(files.c.status == "pending", files.c.expires_at < func.now(), LIVE)
        .limit(limit).with_for_update(skip_locked=True)
    )  # fmt: skip
    statement = update(files).where(files.c.id.in_(overdue)).values(deleted_at=func.now()).returning(files.c.object_key)
    return list((await tx.execute(statement)).scalars())


async def mark_garbage(tx: Transaction, keys: Sequence[str], delay_s: float) -> None:
    """These objects may be deleted after `delay_s`; a key that waits already keeps its time."""
    if keys:
        values = [{"object_key": key, "not_before": _in_seconds(delay_s)} for key in keys]
        await tx.execute(upsert(garbage_objects).values(values).on_conflict_do_nothing())


async def waiting_garbage(reader: Reader, keys: Sequence[str]) -> set[str]:
    """Which of these objects wait to be deleted."""
    statement = select(garbage_objects.c.object_key).where(garbage_objects.c.object_key.in_(keys))
    return set((await reader.execute(statement)).scalars())


async def rescue(tx: Transaction, key: str, margin_s: float) -> bool:
    """Take an object off the list; False when it is not on it, or due within `margin_s` and so perhaps gone already."""
    statement = delete(garbage_objects).where(
        garbage_objects.c.object_key == key, garbage_objects.c.not_before > _in_seconds(margin_s)
    )
    return (await tx.execute(statement)).rowcount == 1


async def due_garbage(reader: Reader, limit: int) -> list[str]:
    """Objects to delete now."""
    statement = select(garbage_objects.c.object_key).where(garbage_objects.c.not_before < func.now()).limit(limit)
    return list((await reader.execute(statement)).scalars())


async def forget_garbage(tx: Transaction, keys: Sequence[str]) -> None:
    """These objects are gone."""
    await tx.execute(delete(garbage_objects).where(garbage_objects.c.object_key.in_(keys)))


def _in_seconds(seconds: float) -> ColumnElement[datetime.datetime]:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, literal(float(seconds)))
