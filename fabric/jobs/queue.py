"""The durable queue: claim with a lease, extend, give back, expire.

Lock order everywhere: rows of jobs sorted by id, then their subtasks, then ledger accounts; one act to a transaction. The row of
a job is the lock of its part of the queue, so two claimers never see the same subtask as free, and caps never exceed the hold.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from fabric.core.ids import JobId, ModelId, ModelVersionId, OrderId, ProviderId, SubtaskId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.events import outbox
from fabric.jobs.finish import end_jobs
from fabric.jobs.job import Claim, GiveBack, Leased, OpenJob
from fabric.jobs.lifecycle import ATTEMPTS_EXHAUSTED
from fabric.jobs.requirements import ANYTHING, Format, Requirements
from fabric.jobs.share import Candidate, cap_us, share_out
from fabric.jobs.statements import STATEMENTS

OPEN_JOBS_MAX = 1000
BACKOFF_MS = 100  # after the first failure; four times as long after each further one
BACKOFF_MS_MAX = 10_000
EXPIRED_PER_TURN_MAX = 2000


async def open_jobs(reader: Reader, jobs_max: int = OPEN_JOBS_MAX) -> list[OpenJob]:
    """The unfinished jobs, the most urgent first, as the planner needs them. Cheap: it reads no subtask rows but retried ones."""
    waits: dict[UUID, dict[UUID, int]] = defaultdict(dict)
    delayed: dict[UUID, int] = defaultdict(int)
    for row in await reader.execute(STATEMENTS["retrying"]):
        delayed[row.job_id] += row.delayed
        if row.avoid_provider_id is not None and row.due:
            waits[row.job_id][ProviderId.of(row.avoid_provider_id)] = row.due
    rows = (await reader.execute(STATEMENTS["open_jobs"], {"jobs_max": jobs_max})).mappings().all()
    return [_open_job(dict(row), waits.get(row["id"], {}), delayed.get(row["id"], 0)) for row in rows]


async def claim(tx: Transaction, claims: Sequence[Claim]) -> list[Leased]:
    """Lease waiting subtasks to slots, in input order, each to one slot only.

    A claim may get fewer than it asked for, or none: others were faster, the job ended, its subtasks back off or avoid the slot's
    provider, or it cannot pay the cap of one more. The caps are reserved: captured + reserved never exceeds the hold.
    """
    claims = [claim for claim in claims if claim.count > 0]
    if not claims:
        return []
    jobs = (await tx.execute(STATEMENTS["lock_jobs"], {"job_ids": list({claim.job_id for claim in claims})})).mappings().all()
    spendable = {row["id"]: row["spendable_nanos"] for row in jobs if row["status"] in {"queued", "running"}}
    claims = await _unbarred(tx, [claim for claim in claims if claim.job_id in spendable], jobs)
    if not claims:
        return []
    rows = await tx.execute(STATEMENTS["candidates"], _wanted(claims))
    shared = share_out(claims, (Candidate(*row) for row in rows), spendable)
    if not shared:
        return []
    answer = (await tx.execute(STATEMENTS["lease"], _lease_parameters(claims, shared))).one()
    assert answer.leases == len(shared), "a subtask was leased by somebody who did not lock its job"
    leased_jobs = {candidate.job_id for _, candidate, _ in shared}
    if started := [JobId.of(row["id"]) for row in jobs if row["status"] == "queued" and row["id"] in leased_jobs]:
        await outbox.record_many(tx, [(job_id, "job.started", {"status": "running"}) for job_id in started])
    return [_leased(claims[index], candidate, cap) for index, candidate, cap in shared]


async def extend(tx: Transaction, order_ids: Iterable[OrderId], lease_s: float) -> set[OrderId]:
    """Renew the leases of running orders from now on; returns the orders that still hold one.

    An order that is missing has lost its leases, or is being settled at this moment; `live_orders` tells for certain.
    """
    rows = await tx.execute(STATEMENTS["extend"], {"order_ids": list(order_ids), "lease_s": lease_s})
    return {OrderId.of(row.order_id) for row in rows}


async def live_orders(reader: Reader, order_ids: Iterable[OrderId]) -> set[OrderId]:
    """Which of these orders still hold a lease. The others may be cancelled on their slots: nobody waits for them."""
    rows = await reader.execute(STATEMENTS["live_orders"], {"order_ids": list(order_ids)})
    return {OrderId.of(row.order_id) for row in rows}


async def give_back(tx: Transaction, ended: Sequence[GiveBack], *, attempts_max: int) -> set[SubtaskId]:
    """End leases without a result; returns the subtasks whose lease was still there.

    A subtask waits again (after a back-off, and avoiding that provider), costs nobody anything, and its attempt is written down.
    At `attempts_max` attempts that count it fails for good, and its job with it: `attempts_exhausted`, with the last error.
    """
    return await _give_back(tx, ended, attempts_max, only_expired=False)


async def expire(tx: Transaction, *, attempts_max: int) -> set[SubtaskId]:
    """Take back leases that ran out on the database's clock, some at a time. They count: a subtask may be what kills machines."""
    rows = await tx.execute(STATEMENTS["expired"], {"leases_max": EXPIRED_PER_TURN_MAX})
    why = ("lease_expired", "The slot did not answer in time.")
    ended = [GiveBack(SubtaskId.of(row.id), JobId.of(row.job_id), row.fence, "lost", True, *why) for row in rows]
    return await _give_back(tx, ended, attempts_max, only_expired=True)


async def _give_back(tx: Transaction, ended: Sequence[GiveBack], attempts_max: int, *, only_expired: bool) -> set[SubtaskId]:
    if not ended:
        return set()
    await tx.execute(STATEMENTS["lock_jobs"], {"job_ids": list({item.job_id for item in ended})})
    items = list({item.subtask_id: item for item in ended}.values())
    parameters = {
        "ids": [item.subtask_id for item in items],
        "fences": [item.fence for item in items],
        "outcomes": [item.outcome for item in items],
        "counts": [int(item.counts) for item in items],
        "codes": [item.code.replace("\0", "") for item in items],  # strangers write these, and Postgres knows no NUL
        "details": [item.detail.replace("\0", "") for item in items],
        "attempts_max": attempts_max,
        "backoff_ms": BACKOFF_MS,
        "backoff_ms_max": BACKOFF_MS_MAX,
        "only_expired": only_expired,
    }
    rows = (await tx.execute(STATEMENTS["give_back"], parameters)).all()
    failures = {
        JobId.of(row.job_id): f"A subtask failed {attempts_max} times; the last time: {row.error_detail or row.error_code}"
        for row in rows if row.status == "failed"
    }  # fmt: skip
    if failures:
        await end_jobs(tx, "failed", ATTEMPTS_EXHAUSTED, failures)
    if rows:
        await outbox.notify_dispatch(tx, "cancel" if failures else "jobs")
    return {SubtaskId.of(row.id) for row in rows}


async def _unbarred(tx: Transaction, claims: list[Claim], jobs: Sequence[Mapping[Any, Any]]) -> list[Claim]:
    """Leave out claims that would let a machine earn the promotional credit that its own owner gave."""
    barred = {row["id"]: set(row["barred_owner_ids"]) for row in jobs if row["barred_owner_ids"]}
    suspects = [claim.provider_id for claim in claims if claim.job_id in barred and claim.rate_nanos_per_hour]
    if not suspects:
        return claims
    owners = {row.id: row.owner_id for row in await tx.execute(STATEMENTS["owners_of"], {"provider_ids": suspects})}
    return [
        claim for claim in claims
        if not claim.rate_nanos_per_hour or owners.get(claim.provider_id) not in barred.get(claim.job_id, ())
    ]  # fmt: skip


def _open_job(row: dict[str, Any], avoiding: dict[Any, int], delayed: int) -> OpenJob:
    requirements = Requirements.of(row["requirements"]) if row["requirements"] else ANYTHING
    return OpenJob(
        id=JobId.of(row["id"]), owner_id=UserId.of(row["owner_id"]), model_version_id=ModelVersionId.of(row["model_version_id"]),
        status=row["status"], priority=row["priority"], waiting=max(0, row["unleased"] - delayed), leased=row["leased"],
        delayed=delayed, avoiding=avoiding, item_us=row["item_us"], rate_nanos_per_hour_max=row["rate_nanos_per_hour_max"],
        own_machines=row["own_machines"], requirements=requirements, items_per_subtask=row["items_per_subtask"],
        spendable_nanos=row["spendable_nanos"], waiting_reason=row["waiting_reason"], created_at=row["created_at"],
        memory_bytes=row["memory_bytes"], barred_owner_ids=frozenset(row["barred_owner_ids"]), priced_at_s=row["priced_at_s"],
        model_format=Format(row["opset"], row["ir_version"]), model_id=str(ModelId.of(row["model_id"])),
    )  # fmt: skip


def _wanted(claims: Sequence[Claim]) -> dict[str, Any]:
    counts: dict[JobId, int] = defaultdict(int)
    askers: dict[JobId, set[ProviderId | None]] = defaultdict(set)
    for claim in claims:
        counts[claim.job_id] += claim.count
        askers[claim.job_id].add(None if claim.avoided_too else claim.provider_id)
    sole_providers = [next(iter(askers[job_id])) if len(askers[job_id]) == 1 else None for job_id in counts]
    return {"job_ids": list(counts), "counts": list(counts.values()), "sole_providers": sole_providers}


def _lease_parameters(claims: Sequence[Claim], shared: Sequence[tuple[int, Candidate, int]]) -> dict[str, Any]:
    return {
        "ids": [candidate.id for _, candidate, _ in shared],
        "claims": [index + 1 for index, _, _ in shared],
        "caps": [cap for _, _, cap in shared],
        "order_ids": [claim.order_id for claim in claims],
        "provider_ids": [claim.provider_id for claim in claims],
        "slots": [claim.slot for claim in claims],
        "rates": [claim.rate_nanos_per_hour for claim in claims],
        "lease_s": [claim.lease_s for claim in claims],
    }


def _leased(claim: Claim, candidate: Candidate, cap: int) -> Leased:
    return Leased(
        subtask_id=SubtaskId.of(candidate.id), job_id=claim.job_id, order_id=claim.order_id, provider_id=claim.provider_id,
        slot=claim.slot, fence=candidate.fence + 1, position=candidate.position, item_start=candidate.item_start,
        item_count=candidate.item_count, cap_us=cap_us(claim, candidate.item_count), cap_nanos=cap,
        rate_nanos_per_hour=claim.rate_nanos_per_hour,
    )  # fmt: skip
