"""SQL for models and their versions."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, RowMapping, Uuid, any_, cast, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from fabric.core.ids import ModelId, ModelVersionId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables import model_versions, models

Row = RowMapping
COLUMNS = (
    model_versions.c.id, model_versions.c.model_id, model_versions.c.version, model_versions.c.sha256, model_versions.c.size,
    model_versions.c.object_key, model_versions.c.card, model_versions.c.inspection, model_versions.c.profile,
    model_versions.c.created_at, models.c.name, models.c.owner_id, models.c.visibility,
)  # fmt: skip
VERSIONS = select(*COLUMNS).join(models, models.c.id == model_versions.c.model_id)
LIVE = models.c.deleted_at.is_(None) & model_versions.c.deleted_at.is_(None)


async def upsert_model(tx: Transaction, model_id: ModelId, owner_id: UserId, name: str) -> UUID:
    """The model of this name, made when there is none; its row stays locked, so that versions are numbered one by one."""
    statement = upsert(models).values(id=model_id, owner_id=owner_id, name=name)
    statement = statement.on_conflict_do_update(
        index_elements=["owner_id", "name"], index_where=models.c.deleted_at.is_(None), set_={"name": statement.excluded.name}
    )
    return UUID(int=(await tx.execute(statement.returning(models.c.id))).scalar_one().int)


async def insert_version(tx: Transaction, model_id: UUID, values: Mapping[str, Any]) -> Row:
    """Write the next version of a locked model; numbers of deleted versions are not used again."""
    newest = select(func.max(model_versions.c.version)).where(model_versions.c.model_id == model_id)
    number = ((await tx.execute(newest)).scalar_one_or_none() or 0) + 1
    await tx.execute(insert(model_versions).values(**values, model_id=model_id, version=number))
    return (await tx.execute(VERSIONS.where(model_versions.c.id == values["id"]))).mappings().one()


async def select_versions(reader: Reader, ids: Sequence[ModelVersionId]) -> list[Row]:
    """Versions by id, whoever owns them, deleted ones too."""
    statement = VERSIONS.where(model_versions.c.id == any_(cast(list(ids), ARRAY(Uuid))))
    return list((await reader.execute(statement)).mappings())


async def newest_of_name(reader: Reader, caller: UserId, name: str, version: int | None) -> Row | None:
    """A version by name: the caller's own model before a public one, an older public one before a younger."""
    statement = VERSIONS.where(models.c.name == name, _visible_to(caller), LIVE)
    if version is not None:
        statement = statement.where(model_versions.c.version == version)
    order = ((models.c.owner_id == caller).desc(), models.c.id, model_versions.c.version.desc())
    return (await reader.execute(statement.order_by(*order).limit(1))).mappings().one_or_none()


async def newest_of_model(reader: Reader, caller: UserId, model_id: ModelId) -> Row | None:
    """The newest version of a model by its id."""
    statement = VERSIONS.where(models.c.id == model_id, _visible_to(caller), LIVE)
    return (await reader.execute(statement.order_by(model_versions.c.version.desc()).limit(1))).mappings().one_or_none()


async def version_of_id(reader: Reader, caller: UserId, version_id: ModelVersionId) -> Row | None:
    """One version by its id."""
    statement = VERSIONS.where(model_versions.c.id == version_id, _visible_to(caller), LIVE)
    return (await reader.execute(statement)).mappings().one_or_none()


async def select_page(reader: Reader, caller: UserId, before: UUID | None, limit: int) -> list[Row]:
    """The newest version of each model that the caller may run; youngest models first."""
    statement = VERSIONS.distinct(models.c.id).where(_visible_to(caller), LIVE)
    if before is not None:
        statement = statement.where(models.c.id < before)
    statement = statement.order_by(models.c.id.desc(), model_versions.c.version.desc()).limit(limit)
    return list((await reader.execute(statement)).mappings())


async def select_versions_of(reader: Reader, model_id: UUID, before: int | None, limit: int) -> list[Row]:
    """All versions of a model, newest first."""
    statement = VERSIONS.where(models.c.id == model_id, LIVE).order_by(model_versions.c.version.desc()).limit(limit)
    if before is not None:
        statement = statement.where(model_versions.c.version < before)
    return list((await reader.execute(statement)).mappings())


async def set_visibility(tx: Transaction, owner_id: UserId, name: str, visibility: str) -> bool:
    """Publish a model or withdraw it; False when the owner has none of that name."""
    statement = update(models).where(models.c.owner_id == owner_id, models.c.name == name, models.c.deleted_at.is_(None))
    return (await tx.execute(statement.values(visibility=visibility))).rowcount == 1


async def delete_model(tx: Transaction, owner_id: UserId, name: str) -> list[str] | None:
    """Retire a model with all its versions; gives the keys of their objects, None when the owner has none of that name."""
    mine = (models.c.owner_id == owner_id, models.c.name == name, models.c.deleted_at.is_(None))
    model_id = (await tx.execute(update(models).where(*mine).values(deleted_at=func.now()).returning(models.c.id))).scalar()
    if model_id is None:
        return None
    versions = update(model_versions).where(model_versions.c.model_id == model_id, model_versions.c.deleted_at.is_(None))
    keys = await tx.execute(versions.values(deleted_at=func.now()).returning(model_versions.c.object_key))
    return list(keys.scalars())


async def delete_version(tx: Transaction, owner_id: UserId, name: str, version: int) -> list[str] | None:
    """Retire one version; gives the key of its object, None when there is no such version."""
    mine = select(models.c.id).where(models.c.owner_id == owner_id, models.c.name == name, models.c.deleted_at.is_(None))
    statement = update(model_versions).where(
        model_versions.c.model_id.in_(mine), model_versions.c.version == version, model_versions.c.deleted_at.is_(None)
    )
    keys = await tx.execute(statement.values(deleted_at=func.now()).returning(model_versions.c.object_key))
    return list(keys.scalars()) or None


def _visible_to(caller: UserId) -> ColumnElement[bool]:
    return or_(models.c.owner_id == caller, models.c.visibility == "public")
