"""SQL for subtasks, attempts and outputs outside the queue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, func, literal, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from fabric.core.ids import JobId, ProviderId, SubtaskId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables import attempts, providers, subtasks
from fabric.jobs.job import Attempt, Subtask


@dataclass(frozen=True, slots=True)
class ProviderShare:
    """What one machine did for a job."""

    provider_id: ProviderId
    name: str
    subtasks: int
    billed_us: int
    gross_nanos: int
    commission_nanos: int


@dataclass(frozen=True, slots=True)
class StoredOutput:
    """The output of a finished subtask: a tensor frame, here or in an object; neither when every item failed."""

    position: int
    item_start: int
    item_count: int
    output: bytes | None
    output_key: str | None
    output_size: int
    failed: tuple[int, ...]  # indices in the job


async def insert_subtasks(tx: Transaction, job_id: JobId, items_total: int, items_per_subtask: int) -> None:
    """Write all subtasks of a job, in input order."""
    statement = text(
        "INSERT INTO subtasks (id, job_id, position, item_start, item_count) "
        "SELECT uuidv7(), CAST(:job_id AS uuid), n, n * :size, least(:size, :total - n * :size) "
        "FROM generate_series(0, (:total - 1) / :size) AS n"
    )
    await tx.execute(statement, {"job_id": job_id, "size": items_per_subtask, "total": items_total})


async def missing_ranges(reader: Reader, job_id: JobId) -> list[tuple[int, int]]:
    """Items without a result, as (first, count): subtasks that were not done, and items that failed in those that were."""
    statement = (
        select(subtasks.c.item_start, subtasks.c.item_count, subtasks.c.status, subtasks.c.item_errors)
        .where(subtasks.c.job_id == job_id, or_(subtasks.c.status != "done", subtasks.c.item_errors.is_not(None)))
        .order_by(subtasks.c.position)
    )  # fmt: skip
    ranges: list[tuple[int, int]] = []
    for start, count, status, errors in await reader.execute(statement):
        ranges += [(int(error[0]), 1) for error in errors or ()] if status == "done" else [(start, count)]
    return ranges


async def shares_of_providers(reader: Reader, job_id: JobId) -> list[ProviderShare]:
    """Who did what of a job, the busiest first."""
    sums = (
        select(
            attempts.c.provider_id, func.count().label("subtasks"), func.sum(attempts.c.billed_us).label("billed_us"),
            func.coalesce(func.sum(attempts.c.gross_nanos), 0).label("gross"), func.sum(attempts.c.commission_nanos).label("fee"),
        )
        .where(attempts.c.job_id == job_id, attempts.c.outcome == "done").group_by(attempts.c.provider_id).subquery()
    )  # fmt: skip
    statement = (
        select(sums.c.provider_id, providers.c.name, sums.c.subtasks, sums.c.billed_us, sums.c.gross, sums.c.fee)
        .join(providers, providers.c.id == sums.c.provider_id).order_by(sums.c.gross.desc(), sums.c.provider_id)
    )  # fmt: skip
    rows = await reader.execute(statement)
    return [ProviderShare(ProviderId.of(p), name, int(n), int(us), int(paid), int(fee)) for p, name, n, us, paid, fee in rows]


async def list_subtasks(reader: Reader, job_id: JobId, *, after_position: int, limit: int) -> list[Subtask]:
    """Subtasks of a job in input order, each with what was tried. The caller has checked whose job it is."""
    statement = (
        select(subtasks).where(subtasks.c.job_id == job_id, subtasks.c.position > after_position)
        .order_by(subtasks.c.position).limit(limit).with_only_columns(
            *(subtasks.c[name] for name in Subtask.__slots__ if name != "attempts")
        )
    )  # fmt: skip
    rows = (await reader.execute(statement)).mappings().all()
    tried: dict[UUID, list[Attempt]] = {}
    columns = (attempts.c.subtask_id, *(attempts.c[name] for name in Attempt.__slots__))
    wanted = literal([row["id"] for row in rows], ARRAY(Uuid))
    history = select(*columns).where(attempts.c.subtask_id == func.any(wanted)).order_by(attempts.c.subtask_id, attempts.c.fence)
    for row in (await reader.execute(history)).mappings() if rows else ():
        fields = dict(row)
        tried.setdefault(fields.pop("subtask_id"), []).append(
            Attempt(**{**fields, "provider_id": ProviderId.of(fields["provider_id"])})
        )
    return [_subtask(dict(row), tried.get(row["id"], [])) for row in rows]


async def item_errors(reader: Reader, job_id: JobId, limit: int | None = None) -> list[tuple[int, str, str]]:
    """Items of a job that failed, all or the first `limit`: index in the job, code, detail; in input order."""
    statement = (
        select(subtasks.c.item_errors)
        .where(subtasks.c.job_id == job_id, subtasks.c.item_errors.is_not(None)).order_by(subtasks.c.position)
        .limit(limit)
    )  # fmt: skip
    found = (await reader.execute(statement)).scalars()
    return [(int(i), code, detail) for errors in found for i, code, detail in errors][:limit]


async def output_sizes(reader: Reader, job_id: JobId) -> tuple[int, int]:
    """Bytes of all outputs of a job together, and of the largest of them."""
    size = func.coalesce(subtasks.c.output_size, func.octet_length(subtasks.c.output), 0)
    sums = select(func.coalesce(func.sum(size), 0), func.coalesce(func.max(size), 0)).where(
        subtasks.c.job_id == job_id, subtasks.c.status == "done"
    )
    total, largest = (await reader.execute(sums)).one()
    return int(total), int(largest)


async def outputs_page(reader: Reader, job_id: JobId, *, after_position: int, limit: int) -> list[StoredOutput]:
    """Outputs of finished subtasks in input order."""
    columns = ("position", "item_start", "item_count", "output", "output_key", "output_size", "item_errors")
    statement = (
        select(*(subtasks.c[name] for name in columns))
        .where(subtasks.c.job_id == job_id, subtasks.c.position > after_position, subtasks.c.status == "done")
        .order_by(subtasks.c.position).limit(limit)
    )  # fmt: skip
    return [
        StoredOutput(
            row.position, row.item_start, row.item_count, None if row.output is None else bytes(row.output), row.output_key,
            row.output_size or 0, tuple(sorted({int(error[0]) for error in row.item_errors or ()})),
        )
        for row in await reader.execute(statement)
    ]  # fmt: skip


def _subtask(row: Mapping[str, Any], tried: Sequence[Attempt]) -> Subtask:
    provider_id: UUID | None = row["provider_id"]
    errors = tuple((int(i), str(code), str(detail)) for i, code, detail in row["item_errors"] or ())
    fields = {**row, "id": SubtaskId.of(row["id"]), "item_errors": errors, "attempts": tuple(tried)}
    return Subtask(**{**fields, "provider_id": None if provider_id is None else ProviderId.of(provider_id)})
