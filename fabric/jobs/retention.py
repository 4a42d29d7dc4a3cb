"""Results are kept for as long as their job says, and go after a warning: an event of the job, a webhook, and a mail to its owner."""

from datetime import datetime
from itertools import groupby

from fabric.core.ids import JobId
from fabric.core.settings import LimitSettings, Settings
from fabric.db.engine import Database, Transaction
from fabric.events import outbox
from fabric.files.store import mark_garbage
from fabric.jobs import store
from fabric.mail import outbox as mails
from fabric.webhooks import outbox as webhooks

JOBS_PER_TURN_MAX = 100
SUBTASKS_PER_TURN_MAX = 100_000
"""Of all jobs whose results one turn deletes; a single job may have more."""
DAY_S = 86_400


def kept_s(wished_days: float | None, limits: LimitSettings) -> int:
    """For how many seconds after its end the results of a job are kept."""
    return int(DAY_S * min(limits.results_days if wished_days is None else wished_days, limits.results_days_max))


async def expire_results(database: Database, settings: Settings) -> int:
    """One turn: tell of results that will go soon, delete those whose time has come; how many jobs that were."""
    warning_s = settings.limits.results_warning_days * DAY_S
    warned = await database.retrying(lambda tx: _warn(tx, warning_s, settings.auth.public_url))
    return warned + await database.retrying(_delete)


def expiry_letter(going: list[tuple[JobId, str, datetime]], public_url: str) -> tuple[str, str]:
    """Pure: subject and body of the mail that tells somebody which of their results will go, and when."""
    lines = "\n".join(f"  {at:%Y-%m-%d %H:%M} UTC  {job_id}  {model}" for job_id, model, at in going)
    subject = "Results of a job will be deleted soon" if len(going) == 1 else f"Results of {len(going)} jobs will be deleted soon"
    return subject, (
        f"They were kept for as long as was said when the jobs were submitted. What you still need, fetch before:\n\n{lines}\n\n"
        f"at {public_url.rstrip('/')}/console/jobs or with\n\n    fabric jobs results JOB results.npz\n\n"
        "What the jobs cost, and who did the work, stays.\n"
    )


async def _warn(tx: Transaction, warning_s: float, public_url: str) -> int:
    warned = dict(await store.warn_of_expiry(tx, warning_s, JOBS_PER_TURN_MAX))
    if warned:
        await outbox.record_many(
            tx, [(job_id, "job.results_expiring", {"results_expire_at": at.isoformat()}) for job_id, at in warned.items()]
        )
        await webhooks.queue(tx, [(job_id, "job.results_expiring") for job_id in warned])
        # Who wanted them for less than that anyway is not told by mail.
        owners = await store.addresses_of(tx, list(warned), warning_s)
        for address, going in groupby(owners, lambda row: row[0]):
            letter = expiry_letter([(job_id, model, warned[job_id]) for _, job_id, model in going], public_url)
            await mails.queue(tx, address, *letter)
    return len(warned)


async def _delete(tx: Transaction) -> int:
    jobs: list[JobId] = await store.lock_expired_results(tx, JOBS_PER_TURN_MAX, SUBTASKS_PER_TURN_MAX)
    if jobs:
        await mark_garbage(tx, await store.delete_results(tx, jobs), 0.0)
        await outbox.record_many(tx, [(job_id, "job.results_deleted", {}) for job_id in jobs])
    return len(jobs)
