"""SQL for jobs, subtasks and attempts outside the queue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, String, Uuid, cast, func, insert, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from fabric.core.errors import NotFound
from fabric.core.ids import JobId, ModelVersionId, ProviderId, SubtaskId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables import attempts, jobs, model_versions, models, providers, subtasks
from fabric.events import outbox
from fabric.jobs.job import Attempt, Job, Subtask
from fabric.jobs.lifecycle import OPEN
from fabric.jobs.statements import STATEMENTS

_JOB_COLUMNS = (
    *(jobs.c[name] for name in Job.__slots__ if name not in {"model", "seen_at"}),
    (models.c.name + ":" + cast(model_versions.c.version, String)).label("model"),
    func.clock_timestamp().label("seen_at"),
)  # fmt: skip
_JOBS = jobs.join(model_versions, model_versions.c.id == jobs.c.model_version_id).join(
    models, models.c.id == model_versions.c.model_id
)


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


async def insert_job(tx: Transaction, values: Mapping[str, Any], deadline_s: float | None) -> None:
    """Write a job; its deadline counts from now on the database's clock."""
    deadline_at = None if deadline_s is None else func.now() + text("interval '1 second'") * literal(deadline_s)
    await tx.execute(insert(jobs).values(**values, deadline_at=deadline_at))


async def insert_subtasks(tx: Transaction, job_id: JobId, items_total: int, items_per_subtask: int) -> None:
    """Write all subtasks of a job, in input order."""
    statement = text(
        "INSERT INTO subtasks (id, job_id, position, item_start, item_count) "
        "SELECT uuidv7(), CAST(:job_id AS uuid), n, n * :size, least(:size, :total - n * :size) "
        "FROM generate_series(0, (:total - 1) / :size) AS n"
    )
    await tx.execute(statement, {"job_id": job_id, "size": items_per_subtask, "total": items_total})


async def count_open_jobs(reader: Reader, owner_id: UserId) -> int:
    """Unfinished jobs of one user."""
    statement = select(func.count()).select_from(jobs).where(jobs.c.owner_id == owner_id, jobs.c.status.in_(sorted(OPEN)))
    return int((await reader.execute(statement)).scalar_one())


async def get_job(reader: Reader, owner_id: UserId, job_id: JobId) -> Job:
    """One job of this owner.

    Raises:
        NotFound: there is none.
    """
    found = await _jobs(reader, select(*_JOB_COLUMNS).select_from(_JOBS).where(jobs.c.id == job_id, jobs.c.owner_id == owner_id))
    if not found:
        raise NotFound(f"There is no job {job_id} of yours.")
    return found[0]


async def list_jobs(
    reader: Reader, owner_id: UserId, *, before: JobId | None, limit: int, status: str | None = None
) -> list[Job]:
    """This owner's jobs, newest first, older than `before`."""
    statement = (
        select(*_JOB_COLUMNS).select_from(_JOBS).where(jobs.c.owner_id == owner_id).order_by(jobs.c.id.desc()).limit(limit)
    )
    if before is not None:
        statement = statement.where(jobs.c.id < before)
    if status is not None:
        statement = statement.where(jobs.c.status == status)
    return await _jobs(reader, statement)


async def shares_of_providers(reader: Reader, job_id: JobId) -> list[ProviderShare]:
    """Who did what of a job, the busiest first."""
    gross = func.coalesce(func.sum(attempts.c.gross_nanos), 0)
    statement = (
        select(
            attempts.c.provider_id, providers.c.name, func.count(), func.sum(attempts.c.billed_us), gross,
            func.sum(attempts.c.commission_nanos),
        )
        .join(providers, providers.c.id == attempts.c.provider_id)
        .where(attempts.c.job_id == job_id, attempts.c.outcome == "done")
        .group_by(attempts.c.provider_id, providers.c.name)
        .order_by(gross.desc(), attempts.c.provider_id)
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


async def item_errors(reader: Reader, job_id: JobId) -> list[tuple[int, str, str]]:
    """Items of a job that failed: index in the job, code, detail; in input order."""
    statement = (
        select(subtasks.c.item_errors)
        .where(subtasks.c.job_id == job_id, subtasks.c.item_errors.is_not(None)).order_by(subtasks.c.position)
    )  # fmt: skip
    return [(int(i), code, detail) for errors in (await reader.execute(statement)).scalars() for i, code, detail in errors]


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


async def set_waiting_reasons(tx: Transaction, reasons: Mapping[JobId, str | None]) -> list[JobId]:
    """Say why jobs wait (None: they do not); returns those whose reason changed, which are told by an event."""
    if not reasons:
        return []
    await tx.execute(STATEMENTS["lock_jobs"], {"job_ids": list(reasons)})
    given = {"job_ids": list(reasons), "reasons": list(reasons.values())}
    changed = (await tx.execute(STATEMENTS["set_waiting_reasons"], given)).all()
    events = [(JobId.of(row.id), "job.waiting", {"waiting_reason": row.waiting_reason}) for row in changed]
    if events:
        await outbox.record_many(tx, events)
    return [job_id for job_id, _, _ in events]


async def _jobs(reader: Reader, statement: Select[Any]) -> list[Job]:
    return [
        Job(**{
            **row, "id": JobId.of(row["id"]), "owner_id": UserId.of(row["owner_id"]),
            "model_version_id": ModelVersionId.of(row["model_version_id"]),
        })
        for row in (await reader.execute(statement)).mappings()
    ]  # fmt: skip


def _subtask(row: Mapping[str, Any], tried: Sequence[Attempt]) -> Subtask:
    provider_id: UUID | None = row["provider_id"]
    errors = tuple((int(i), str(code), str(detail)) for i, code, detail in row["item_errors"] or ())
    fields = {**row, "id": SubtaskId.of(row["id"]), "item_errors": errors, "attempts": tuple(tried)}
    return Subtask(**{**fields, "provider_id": None if provider_id is None else ProviderId.of(provider_id)})
