"""Price, hold credit, split and enqueue, in one transaction: nothing is charged and nothing is queued if any of it fails."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fabric.billing import limits
from fabric.core.errors import QuoteMismatch, RateLimited
from fabric.core.ids import JobId, UserId
from fabric.core.settings import Settings
from fabric.db.engine import Reader, Transaction
from fabric.events import outbox
from fabric.files import files
from fabric.jobs import budget, retention, store, subtask_store
from fabric.jobs.job import Job, JobSpec
from fabric.jobs.requirements import ANY_FORMAT, Format, Requirements, has_memory, has_runtime, matches
from fabric.jobs.resolve import ResolvedJob
from fabric.jobs.select import Range
from fabric.jobs.split import count_subtasks
from fabric.marketplace import quotes
from fabric.marketplace import store as marketplace_store
from fabric.marketplace.quotes import Quote
from fabric.marketplace.store import GivenQuote


@dataclass(frozen=True, slots=True)
class Retry:
    """That a job does again what another one did not deliver."""

    job_id: JobId
    items: Sequence[Range]
    """Of that job, in order."""


async def price_job(
    reader: Reader,
    owner_id: UserId,
    spec: JobSpec,
    *,
    items: int,
    item_us: float,
    settings: Settings,
    memory_bytes: int = 0,
    model_format: Format = ANY_FORMAT,
    model_id: str | None = None,
    tells_capacity: bool = False,
) -> Quote:
    """What so many items would cost this user now, from the slots that suit the job take its model, and have `memory_bytes` for it.

    With no slot on offer the suggested price of a processor core stands in, up to the requestor's own limit.
    """
    requirements = Requirements.of(spec.requirements)
    return await quotes.quote(
        reader, owner_id, items=items, item_us=item_us, own_machines=spec.own_machines,
        rate_nanos_per_hour_max=spec.rate_nanos_per_hour_max, accepts=lambda offer: matches(requirements, offer) and has_runtime(model_format, offer),
        has_memory=has_memory, memory_bytes=memory_bytes, billing=settings.billing, tells_capacity=tells_capacity, model_id=model_id,
    )  # fmt: skip


def hold_for(spec: JobSpec, quote: Quote) -> int:
    """What is held, in nano-USD: the budget where there is one, else what the quote says."""
    return quote.hold_nanos if spec.budget_nanos is None else spec.budget_nanos


def require_same_work(given: GivenQuote, spec: JobSpec, resolved: ResolvedJob) -> None:
    """A quote is good for the work that it was asked for, and no other.

    Raises:
        QuoteMismatch: model, number of items, or what the machines must be, differ.
    """
    quoted = Requirements.of(given.request.get("requirements") or {}), bool(given.request.get("own_machines"))
    differing = {
        "model": given.terms.model_version_id != resolved.version.id,
        "items": given.terms.items != resolved.items_total,
        "requirements": quoted != (Requirements.of(spec.requirements), spec.own_machines),
    }
    if any(differing.values()):
        names = ", ".join(name for name, differs in differing.items() if differs)
        raise QuoteMismatch(f"{given.id} was given for other work: {names} differ.")


def bound_by(given: GivenQuote, spec: JobSpec, present: Quote) -> tuple[JobSpec, Quote]:
    """The job and its price under a quote: what was quoted, or what is better now. A budget or limit of the job's own still counts."""
    terms = given.terms
    limits = [rate for rate in (spec.rate_nanos_per_hour_max, terms.rate_nanos_per_hour_max) if rate is not None]
    commission_bps = min(terms.commission_bps, present.commission_bps)
    return (
        replace(spec, rate_nanos_per_hour_max=min(limits, default=None)),
        replace(present, hold_nanos=terms.hold_nanos, commission_bps=commission_bps),
    )


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
        NotFound: there is no such quote, or it was given to somebody else.
        QuoteExpired: its time is over.
        QuoteUsed: another job was submitted with it.
        QuoteMismatch: it was given for other work.
    """
    if await store.count_open_jobs(tx, owner_id) >= settings.limits.jobs_open_max:
        raise RateLimited(f"You have {settings.limits.jobs_open_max} unfinished jobs; wait for some of them to end.")
    quote = await price_job(
        tx, owner_id, spec, items=resolved.items_total, item_us=resolved.item_us, settings=settings,
        memory_bytes=resolved.memory_bytes, model_format=Format.of(resolved.version.inspection),
        model_id=str(resolved.version.model_id),
    )  # fmt: skip
    job_id, given = JobId.new(), None
    if spec.quote_id is not None:
        given = await marketplace_store.take_quote(tx, spec.quote_id, owner_id, job_id)
        require_same_work(given, spec, resolved)
        spec, quote = bound_by(given, spec, quote)
    hold_nanos = hold_for(spec, quote)
    if hold_nanos > 0:
        wallet = await limits.read_wallet(tx, owner_id)
        wallet.require_open()
        hold_nanos = hold_nanos if spec.budget_nanos is not None else budget.within_limit(hold_nanos, wallet)
    for received in resolved.relaid:
        await files.record_upload(tx, owner_id, received)
    subtasks = count_subtasks(resolved.items_total, resolved.items_per_subtask)
    values = _values(job_id, owner_id, spec, resolved, subtasks=subtasks, hold_nanos=hold_nanos, request_id=request_id) | {
        "commission_bps": quote.commission_bps,
        "priced_at": None if given is None else given.created_at,
        "labels": dict(spec.labels),
        "results_kept_s": retention.kept_s(spec.results_days, settings.limits),
    }
    if retry is not None:
        values |= {"retry_of": retry.job_id, "retried_items": [list(one) for one in retry.items]}
    await store.insert_job(tx, values, spec.deadline_s)
    await subtask_store.insert_subtasks(tx, job_id, resolved.items_total, resolved.items_per_subtask)
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
        "held_nanos": hold_nanos, "rate_nanos_per_hour_max": spec.rate_nanos_per_hour_max, "request_id": request_id, "quote_id": spec.quote_id,
    }  # fmt: skip
