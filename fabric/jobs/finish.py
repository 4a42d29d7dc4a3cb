"""How a job ends before its time (cancelled, failed, out of time or money), and what it gets back at any end.

An ending job takes all its leases back at once: their fences move on, so a receipt that arrives later matches nothing and is not
charged, and the hold can be released in the same transaction. What was done before stays done, paid and downloadable.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fabric.billing import ledger
from fabric.core.errors import NotFound
from fabric.core.ids import JobId, UserId
from fabric.core.money import usd_text
from fabric.db.engine import Transaction
from fabric.events import outbox
from fabric.jobs.lifecycle import BUDGET_EXHAUSTED, DEADLINE_EXCEEDED, FUNDS, ending_event, require_open
from fabric.jobs.statements import STATEMENTS
from fabric.webhooks import outbox as webhooks

JOBS_PER_TURN_MAX = 200


async def cancel_job(tx: Transaction, owner_id: UserId, job_id: JobId) -> None:
    """Stop a job. What is done is kept; nothing more is charged; the rest of the hold is back at once.

    Raises:
        NotFound: no such job, or somebody else's.
        AlreadyFinished: it had ended.
    """
    row = next(iter(await _lock(tx, [job_id])), None)
    if row is None or row["owner_id"] != owner_id:
        raise NotFound(f"There is no job {job_id}.")
    require_open(row["status"])
    await end_jobs(tx, "cancelled", None, {job_id: "Cancelled by its owner."})


async def fail_job(tx: Transaction, job_id: JobId, code: str, detail: str) -> bool:
    """End a job as failed for a reason that the public is told; False when it had already ended."""
    await _lock(tx, [job_id])
    return bool(await end_jobs(tx, "failed", code, {job_id: detail}))


async def expire_deadlines(tx: Transaction) -> list[JobId]:
    """End open jobs whose deadline has passed (on the database's clock), some at a time; returns them."""
    overdue = [JobId.of(row.id) for row in await tx.execute(STATEMENTS["overdue"], {"jobs_max": JOBS_PER_TURN_MAX})]
    if not overdue:
        return []
    await _lock(tx, overdue)
    return await end_jobs(tx, "failed", DEADLINE_EXCEEDED, dict.fromkeys(overdue, "The deadline passed before the job was done."))


async def fail_exhausted_budgets(tx: Transaction, caps_nanos_min: Mapping[JobId, int], *, grace_s: float = 0.0) -> list[JobId]:
    """End jobs that can pay no further subtask, with what they have; returns those that ended.

    Args:
        tx: The transaction.
        grace_s: How long a job must have said that it waits for funds (on the database's clock), so that its owner can add to it.
        caps_nanos_min: For each job the smallest cap that any slot would need for one more subtask. A job that can pay that after
            all, or that still has a lease whose unused cap may come back, is left alone.
    """
    rows = await _lock(tx, list(caps_nanos_min))
    broke = {
        JobId.of(row["id"]): f"The hold of {usd_text(row['held_nanos'])} USD cannot pay another subtask."
        for row in rows
        if row["subtasks_leased"] == 0
        and row["spendable_nanos"] < caps_nanos_min[JobId.of(row["id"])]
        and (grace_s <= 0 or (row["waiting_reason"] == FUNDS and row["waiting_s"] >= grace_s))
    }
    return await end_jobs(tx, "failed", BUDGET_EXHAUSTED, broke) if broke else []


async def end_jobs(tx: Transaction, status: str, code: str | None, details: Mapping[JobId, str]) -> list[JobId]:
    """End open jobs whose rows are locked already: subtasks, attempts, hold, event. Returns those that were open."""
    parameters = {"job_ids": list(details), "details": list(details.values()), "status": status, "code": code}
    rows = (await tx.execute(STATEMENTS["end_jobs"], parameters)).mappings().all()
    if rows:
        await tell_ended(tx, [dict(row) for row in rows])
        await outbox.notify_dispatch(tx, "cancel")
    return [JobId.of(row["id"]) for row in rows]


async def tell_ended(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Release the holds of jobs that have just ended, write the event of each, and have webhooks told."""
    released: dict[Any, int] = {}
    for row in sorted(rows, key=lambda row: (row["owner_id"], row["id"])):  # one lock order of requestors' ledger accounts
        if row["held_nanos"] > 0:
            released[row["id"]] = await ledger.release_hold(tx, UserId.of(row["owner_id"]), JobId.of(row["id"]))
    if released:
        parameters = {"job_ids": list(released), "amounts": list(released.values())}
        await tx.execute(STATEMENTS["note_released"], parameters)
    events = [(JobId.of(row["id"]), ending_event(row["status"]), ending_data(row, released.get(row["id"], 0))) for row in rows]
    await outbox.record_many(tx, events)
    await webhooks.queue(tx, [(job_id, event) for job_id, event, _ in events])


def progress_data(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the events of a job say of its progress."""
    return {
        "status": row["status"],
        "items_total": row["items_total"],
        "items_done": int(row["items_done"]),
        "items_failed": int(row["items_failed"]),
        "subtasks_total": row["subtasks_total"],
        "subtasks_done": int(row["subtasks_done"]),
        "captured": _money(int(row["captured_nanos"])),
    }


def ending_data(row: Mapping[str, Any], released_nanos: int) -> dict[str, Any]:
    """What the last event of a job says."""
    data = progress_data(row) | {"released": _money(released_nanos)}
    if row.get("error_code"):
        data["error"] = {"code": row["error_code"], "detail": row["error_detail"]}
    return data


def _money(nanos: int) -> dict[str, Any]:
    return {"usd_nanos": nanos, "usd": usd_text(nanos)}


async def _lock(tx: Transaction, job_ids: Iterable[JobId]) -> list[dict[str, Any]]:
    return [dict(row) for row in (await tx.execute(STATEMENTS["lock_jobs"], {"job_ids": list(job_ids)})).mappings()]
