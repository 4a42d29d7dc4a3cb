"""Price, hold credit, split and enqueue, in one transaction: nothing is charged and nothing is queued if any of it fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fabric.billing import limits
from fabric.core.errors import RateLimited
from fabric.core.ids import JobId, UserId
from fabric.core.settings import Settings
from fabric.db.engine import Reader, Transaction
from fabric.events import outbox
from fabric.files import files
from fabric.jobs import budget, retention, store
from fabric.jobs.job import Job, JobSpec
from fabric.jobs.requirements import Requirements, has_memory, matches
from fabric.jobs.resolve import ResolvedJob
from fabric.jobs.select import Range
from fabric.jobs.split import count_subtasks
from fabric.marketplace import quotes
from fabric.marketplace.quotes import Quote


@dataclass(frozen=True, slots=True)
class Retry:
    """That a job does again what another one did not deliver."""

    job_id: JobId
    items: Sequence[Range]
    """Of that job, in order."""


async def price_job(
    reader: Reader, owner_id: UserId, spec: JobSpec, *, items: int, item_us: float, settings: Settings, memory_bytes: int = 0
) -> Quote:
    """What so many items would cost this user now, from the slots that suit the job and have `memory_bytes` for its model.

    With no slot on offer the suggested price of a processor core stands in, up to the requestor's own limit.
    """
    requirements = Requirements.of(spec.requirements)
    return await quotes.quote(
        reader, owner_id, items=items, item_us=item_us, own_machines=spec.own_machines,
        rate_nanos_per_hour_max=spec.rate_nanos_per_hour_max, accepts=lambda offer: matches(requirements, offer),
        has_memory=has_memory, memory_bytes=memory_bytes, billing=settings.billing,
    )  # fmt: skip


def hold_for(spec: JobSpec, quote: Quote) -> int:
    """What is held, in nano-USD: the budget where there is one, else what the quote says."""
    return quote.hold_nanos if spec.budget_nanos is None else spec.budget_nanos


async def submit_job(
    tx: Transaction, owner_id: UserId, spec: JobSpec, resolved: ResolvedJob, *, settings: Settings, request_id: str,
    retry: Retry | None = None,
) -> Job:  # fmt: skip
    """Hold the credit, write the job and its subtasks, tell the dispatcher.

    Raises:
        InsufficientFunds: the wallet cannot cover the hold.
        WalletFrozen: nothing new may be spent.
        WalletClosed: nothing may be spent at all.
        SpendingLimit: the hold is beyond the owner's own limits.
        RateLimited: too many unfinished jobs.
    """
    if await store.count_open_jobs(tx, owner_id) >= settings.limits.jobs_open_max:
        raise RateLimited(f"You have {settings.limits.jobs_open_max} unfinished jobs; wait for some of them to end.")
    quote = await price_job(
        tx, owner_id, spec, items=resolved.items_total, item_us=resolved.item_us, settings=settings,
        memory_bytes=resolved.memory_bytes,
    )  # fmt: skip
    hold_nanos = hold_for(spec, quote)
    if hold_nanos > 0:
        wallet = await limits.read_wallet(tx, owner_id)
        wallet.require_open()
        hold_nanos = hold_nanos if spec.budget_nanos is not None else budget.within_limit(hold_nanos, wallet)
    for received in resolved.relaid:
        await files.record_upload(tx, owner_id, received)
    job_id = JobId.new()
    subtasks = count_subtasks(resolved.items_total, resolved.items_per_subtask)
    values = _values(job_id, owner_id, spec, resolved, subtasks=subtasks, hold_nanos=hold_nanos, request_id=request_id)
    values |= {"labels": dict(spec.labels), "results_kept_s": retention.kept_s(spec.results_days, settings.limits)}
    if retry is not None:
        values |= {"retry_of": retry.job_id, "retried_items": [list(one) for one in retry.items]}
    await store.insert_job(tx, values, spec.deadline_s)
    await store.insert_subtasks(tx, job_id, resolved.items_total, resolved.items_per_subtask)
    if hold_nanos > 0:
        await budget.hold_credit(tx, owner_id, job_id, hold_nanos)
    told = {"status": "queued", "items_total": resolved.items_total, "subtasks_total": subtasks}
    await outbox.record(tx, job_id, "job.queued", told)
    await outbox.notify_dispatch(tx, "jobs")
    return await store.get_job(tx, owner_id, job_id)


def _values(
    job_id: JobId, owner_id: UserId, spec: JobSpec, resolved: ResolvedJob, *, subtasks: int, hold_nanos: int, request_id: str
) -> dict[str, Any]:
    return {
        "id": job_id, "owner_id": owner_id, "model_version_id": resolved.version.id, "request": dict(spec.request),
        "inputs": dict(resolved.inputs), "requirements": dict(spec.requirements), "own_machines": spec.own_machines,
        "priority": spec.priority, "items_total": resolved.items_total, "subtasks_total": subtasks, "item_us": resolved.item_us,
        "held_nanos": hold_nanos, "rate_nanos_per_hour_max": spec.rate_nanos_per_hour_max, "request_id": request_id,
    }  # fmt: skip
