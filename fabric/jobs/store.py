"""SQL for jobs, subtasks and attempts outside the queue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, Uuid, cast, delete, func, insert, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from fabric.core.errors import Conflict, NotFound
from fabric.core.ids import JobId, JobTemplateId, ModelVersionId, ProviderId, SubtaskId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables import attempts, job_templates, jobs, model_versions, models, providers, subtasks, users
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


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list; what is left out does not matter."""

    status: str | None = None
    labels: Mapping[str, str] | None = None
    """All of these."""
    model: str | None = None
    """Name of the model, with or without `:version`."""
    text: str | None = None
    """Somewhere in the model's name, a label or its value."""
    created_after: datetime | None = None
    created_before: datetime | None = None


async def list_jobs(
    reader: Reader, owner_id: UserId, *, before: JobId | None, limit: int, wanted: JobFilter = JobFilter()
) -> list[Job]:
    """This owner's jobs, newest first, older than `before`."""
    statement = (
        select(*_JOB_COLUMNS).select_from(_JOBS).where(jobs.c.owner_id == owner_id).order_by(jobs.c.id.desc()).limit(limit)
    )
    if before is not None:
        statement = statement.where(jobs.c.id < before)
    return await _jobs(reader, statement.where(*_conditions(wanted)))


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.status is not None:
        conditions.append(jobs.c.status == wanted.status)
    if wanted.labels:
        conditions.append(jobs.c.labels.contains(dict(wanted.labels)))
    if wanted.model is not None:
        name, _, version = wanted.model.partition(":")
        conditions.append(models.c.name == name)
        if version:
            conditions.append(cast(model_versions.c.version, String) == version)
    if wanted.text is not None:
        found = or_(
            models.c.name.icontains(wanted.text, autoescape=True),
            cast(jobs.c.labels, String).icontains(wanted.text, autoescape=True),
        )
        conditions.append(found)
    if wanted.created_after is not None:
        conditions.append(jobs.c.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(jobs.c.created_at < wanted.created_before)
    return conditions


async def set_labels(tx: Transaction, owner_id: UserId, job_id: JobId, labels: Mapping[str, str]) -> None:
    """Give a job other labels.

    Raises:
        NotFound: there is no such job of this owner's.
    """
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.owner_id == owner_id).values(labels=dict(labels))
    if (await tx.execute(statement)).rowcount != 1:
        raise NotFound(f"There is no job {job_id} of yours.")


async def request_of(reader: Reader, job_id: JobId) -> dict[str, Any]:
    """The body as it was submitted; not part of `Job`, as it may name 100,000 files. The caller has checked whose job it is."""
    return dict((await reader.execute(select(jobs.c.request).where(jobs.c.id == job_id))).scalar_one())


async def inputs_of(reader: Reader, job_id: JobId) -> dict[str, Any]:
    """Where the items of a job lie, see jobs.split. The caller has checked whose job it is."""
    return dict((await reader.execute(select(jobs.c.inputs).where(jobs.c.id == job_id))).scalar_one())


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


# ── results that go ──────────────────────────────────────────────────────────────────────────────────────────────────

_KEPT = (jobs.c.finished_at.is_not(None), jobs.c.results_deleted_at.is_(None))
_EXPIRES_AT = jobs.c.finished_at + func.make_interval(0, 0, 0, 0, 0, 0, jobs.c.results_kept_s)


async def warn_of_expiry(tx: Transaction, warning_s: float, jobs_max: int) -> list[tuple[JobId, datetime]]:
    """Mark jobs whose results go within `warning_s` as warned; these jobs, and when their results go."""
    soon = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, literal(warning_s))
    due = (
        select(jobs.c.id).where(*_KEPT, jobs.c.results_warned_at.is_(None), soon > _EXPIRES_AT)
        .order_by(jobs.c.finished_at).limit(jobs_max).with_for_update(skip_locked=True)
    )  # fmt: skip
    statement = update(jobs).where(jobs.c.id.in_(due)).values(results_warned_at=func.now()).returning(jobs.c.id, _EXPIRES_AT)
    return [(JobId.of(row[0]), row[1]) for row in await tx.execute(statement)]


async def addresses_of(tx: Transaction, job_ids: Sequence[JobId], kept_s_min: float) -> list[tuple[str, JobId, str]]:
    """(confirmed address of the owner, job, model) of those of these jobs whose results were to be kept for so long at least."""
    statement = (
        select(users.c.email, jobs.c.id, _JOB_COLUMNS[-2]).select_from(_JOBS.join(users, users.c.id == jobs.c.owner_id))
        .where(jobs.c.id.in_(job_ids), users.c.email_verified_at.is_not(None), jobs.c.results_kept_s >= kept_s_min)
        .order_by(users.c.email, jobs.c.finished_at)
    )  # fmt: skip
    return [(row[0], JobId.of(row[1]), row[2]) for row in await tx.execute(statement)]


async def lock_expired_results(tx: Transaction, jobs_max: int, subtasks_max: int) -> list[JobId]:
    """Jobs whose results have been kept for long enough, locked: at least one, and no more than have so many subtasks together."""
    columns = (jobs.c.id, jobs.c.subtasks_total)
    due = select(*columns).where(*_KEPT, func.now() > _EXPIRES_AT).order_by(jobs.c.finished_at).limit(jobs_max)
    chosen: list[JobId] = []
    subtasks_chosen = 0
    for row in await tx.execute(due.with_for_update(skip_locked=True)):
        subtasks_chosen += row.subtasks_total
        if chosen and subtasks_chosen > subtasks_max:
            break
        chosen.append(JobId.of(row.id))
    return chosen


async def delete_results(tx: Transaction, job_ids: Sequence[JobId]) -> list[str]:
    """Forget the results of these jobs; the objects that nobody needs any more."""
    mine = subtasks.c.job_id.in_(job_ids)
    keys = list((await tx.execute(select(subtasks.c.output_key).where(mine, subtasks.c.output_key.is_not(None)))).scalars())
    await tx.execute(update(subtasks).where(mine).values(output=None, output_key=None))
    await tx.execute(update(jobs).where(jobs.c.id.in_(job_ids)).values(results_deleted_at=func.now()))
    return keys


# ── templates ────────────────────────────────────────────────────────────────────────────────────────────────────────


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
