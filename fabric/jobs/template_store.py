"""SQL for job templates."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from fabric.core.errors import Conflict, NotFound
from fabric.core.ids import JobTemplateId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables import job_templates


@dataclass(frozen=True, slots=True)
class JobTemplate:
    """A job body that its owner saved under a name."""

    id: JobTemplateId
    name: str
    request: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


async def write_template(
    tx: Transaction, owner_id: UserId, name: str, request: Mapping[str, Any], templates_max: int
) -> JobTemplate:
    """Save a template, in place of one of the same name.

    Raises:
        Conflict: the owner has as many as allowed.
    """
    statement = upsert(job_templates).values(id=JobTemplateId.new(), owner_id=owner_id, name=name, request=dict(request))
    changed = {"request": statement.excluded.request, "updated_at": func.now()}
    written = statement.on_conflict_do_update(index_elements=["owner_id", "name"], set_=changed).returning(*_TEMPLATE)
    row = (await tx.execute(written)).mappings().one()
    counted = select(func.count()).select_from(job_templates).where(job_templates.c.owner_id == owner_id)
    if int((await tx.execute(counted)).scalar_one()) > templates_max:
        raise Conflict(f"You have {templates_max} templates; delete one first.")
    return _template(dict(row))


async def get_template(reader: Reader, owner_id: UserId, name: str) -> JobTemplate:
    """One template of this owner.

    Raises:
        NotFound: there is none of that name.
    """
    statement = select(*_TEMPLATE).where(job_templates.c.owner_id == owner_id, job_templates.c.name == name)
    row = (await reader.execute(statement)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"You have no template {name[:100]!r}.")
    return _template(dict(row))


async def list_templates(reader: Reader, owner_id: UserId, *, before: UUID | None, limit: int) -> list[JobTemplate]:
    """This owner's templates, youngest first."""
    statement = select(*_TEMPLATE).where(job_templates.c.owner_id == owner_id).order_by(job_templates.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(job_templates.c.id < before)
    return [_template(dict(row)) for row in (await reader.execute(statement)).mappings()]


async def delete_template(tx: Transaction, owner_id: UserId, name: str) -> None:
    """Forget a template.

    Raises:
        NotFound: there is none of that name.
    """
    statement = delete(job_templates).where(job_templates.c.owner_id == owner_id, job_templates.c.name == name)
    if (await tx.execute(statement)).rowcount != 1:
        raise NotFound(f"You have no template {name[:100]!r}.")


_TEMPLATE = tuple(job_templates.c[name] for name in JobTemplate.__slots__)


def _template(row: Mapping[str, Any]) -> JobTemplate:
    return JobTemplate(**{**row, "id": JobTemplateId.of(row["id"])})
