"""SQL for jobs outside the queue: found, listed, labelled, and results that go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, String, cast, func, insert, literal, or_, select, text, update

from fabric.core.errors import NotFound
from fabric.core.ids import JobId, ModelVersionId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables import jobs, model_versions, models, subtasks, users
from fabric.events import outbox
from fabric.jobs.job import Job
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


async def insert_job(tx: Transaction, values: Mapping[str, Any], deadline_s: float | None) -> None:
    """Write a job; its deadline counts from now on the database's clock."""
    deadline_at = None if deadline_s is None else func.now() + text("interval '1 second'") * literal(deadline_s)
    await tx.execute(insert(jobs).values(**values, deadline_at=deadline_at))


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
