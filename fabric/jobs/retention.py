"""Results are kept for as long as their job says, and go after a warning."""

from fabric.core.ids import JobId
from fabric.core.settings import LimitSettings
from fabric.db.engine import Database, Transaction
from fabric.events import outbox
from fabric.files.store import mark_garbage
from fabric.jobs import store

JOBS_PER_TURN_MAX = 100
SUBTASKS_PER_TURN_MAX = 100_000
"""Of all jobs whose results one turn deletes; a single job may have more."""
DAY_S = 86_400


def kept_s(wished_days: float | None, limits: LimitSettings) -> int:
    """For how many seconds after its end the results of a job are kept."""
    return int(DAY_S * min(limits.results_days if wished_days is None else wished_days, limits.results_days_max))


async def expire_results(database: Database, limits: LimitSettings) -> int:
    """One turn: tell of results that will go soon, delete those whose time has come; how many jobs that were."""
    warning_s = limits.results_warning_days * DAY_S
    return await database.retrying(lambda tx: _warn(tx, warning_s)) + await database.retrying(_delete)


async def _warn(tx: Transaction, warning_s: float) -> int:
    warned = await store.warn_of_expiry(tx, warning_s, JOBS_PER_TURN_MAX)
    if warned:
        await outbox.record_many(
            tx, [(job_id, "job.results_expiring", {"results_expire_at": at.isoformat()}) for job_id, at in warned]
        )
    return len(warned)


async def _delete(tx: Transaction) -> int:
    jobs: list[JobId] = await store.lock_expired_results(tx, JOBS_PER_TURN_MAX, SUBTASKS_PER_TURN_MAX)
    if jobs:
        await mark_garbage(tx, await store.delete_results(tx, jobs), 0.0)
        await outbox.record_many(tx, [(job_id, "job.results_deleted", {}) for job_id in jobs])
    return len(jobs)
