"""A receipt to a finished subtask: usage, capture, event, for many at once in one transaction."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from fabric.billing import ledger
from fabric.core.errors import FabricError
from fabric.core.ids import JobId
from fabric.db.engine import Database, Transaction
from fabric.events import outbox
from fabric.jobs import queue
from fabric.jobs.finish import progress_data, tell_ended
from fabric.jobs.job import Completion, GiveBack, Settled
from fabric.jobs.statements import STATEMENTS


async def settle_each(database: Database, completions: Sequence[Completion], *, attempts_max: int) -> list[Settled]:
    """`settle` in a transaction of its own, and again by halves when one of them cannot be written; answers in the order given.

    So one result that Postgres will not take is given back to the queue alone, and its neighbours are paid.

    Raises:
        DatabaseUnavailable: nothing is known of the commit; settling the same completions again is safe.
    """
    try:
        return await database.retrying(lambda tx: settle(tx, completions, attempts_max=attempts_max))
    except (DBAPIError, FabricError) as error:
        if isinstance(error, FabricError) and error.retryable:
            raise
        if len(completions) > 1:
            middle = len(completions) // 2
            first = await settle_each(database, completions[:middle], attempts_max=attempts_max)
            return first + await settle_each(database, completions[middle:], attempts_max=attempts_max)
        (bad,) = completions
        detail = f"{type(error).__name__}: the result could not be written"
        refused = GiveBack(bad.subtask_id, bad.job_id, bad.fence, "failed", True, "result_refused", detail)
        returned = await database.retrying(lambda tx: queue.give_back(tx, [refused], attempts_max=attempts_max))
        return [Settled(bad.subtask_id, "refused" if returned else "stale", detail if returned else "")]


async def settle(tx: Transaction, completions: Sequence[Completion], *, attempts_max: int) -> list[Settled]:
    """Settle verified results, each exactly once or not at all; answers in the order given.

    `done`: recorded and captured, never more than the cap of its lease. `stale`: the lease had ended (or this is a duplicate), so
    nothing happened. `refused`: the ledger would not capture it; its lease is given back as a failed attempt. None of them keeps
    a neighbour from being settled. The last subtask of a job ends it as succeeded and releases the rest of its hold.
    """
    if not completions:
        return []
    jobs = (await tx.execute(STATEMENTS["lock_jobs"], {"job_ids": list({c.job_id for c in completions})})).mappings()
    commissions_bps = {row["id"]: row["commission_bps"] for row in jobs}
    caps = await _caps_of_leases(tx, completions)
    gross = {index: min(completions[index].gross_nanos, cap) for index, cap in caps.items()}
    outcomes = await _capture(tx, completions, gross, commissions_bps)
    await _note_late(tx, [completion for index, completion in enumerate(completions) if index not in caps])
    answers = [Settled(c.subtask_id, "stale") for c in completions]
    done: list[int] = []
    for index in caps:
        outcome = outcomes.get(completions[index].subtask_id)
        if outcome is None or outcome.status == "captured":
            done.append(index)
            answers[index] = Settled(completions[index].subtask_id, "done")
        else:
            answers[index] = Settled(completions[index].subtask_id, "refused", outcome.detail or outcome.status)
    if done:
        commissions = {i: outcome.commission_nanos for i, outcome in outcomes.items()}
        await _record(tx, [completions[i] for i in done], [gross[i] for i in done], [caps[i] for i in done], commissions)
    if refused := [
        GiveBack(c.subtask_id, c.job_id, c.fence, "failed", True, "capture_refused", answer.detail)
        for c, answer in zip(completions, answers, strict=True) if answer.status == "refused"
    ]:  # fmt: skip
        await queue.give_back(tx, refused, attempts_max=attempts_max)
    return answers


async def _caps_of_leases(tx: Transaction, completions: Sequence[Completion]) -> dict[int, int]:
    """Which completions match a lease (the first of each subtask only), by their index, and the cap of that lease in nano-USD."""
    parameters = {
        "ids": [c.subtask_id for c in completions],
        "fences": [c.fence for c in completions],
        "provider_ids": [c.provider_id for c in completions],
        "job_ids": [c.job_id for c in completions],
    }
    caps: dict[int, int] = {}
    seen: set[UUID] = set()
    for n, cap_nanos in await tx.execute(STATEMENTS["held_leases"], parameters):
        if (subtask_id := completions[n - 1].subtask_id) not in seen:
            seen.add(subtask_id)
            caps[n - 1] = cap_nanos
    return caps


async def _note_late(tx: Transaction, late: Sequence[Completion]) -> None:
    if late:
        parameters = {
            "ids": [c.subtask_id for c in late],
            "fences": [c.fence for c in late],
            "provider_ids": [c.provider_id for c in late],
        }
        await tx.execute(STATEMENTS["note_late"], parameters)


async def _capture(
    tx: Transaction, completions: Sequence[Completion], gross: Mapping[int, int], commissions_bps: Mapping[UUID, int | None]
) -> dict[UUID, ledger.CaptureOutcome]:
    captures = [
        ledger.Capture(c.subtask_id, c.job_id, c.provider_id, amount, c.commission_bps if kept is None else kept)
        for c, amount in ((completions[index], amount) for index, amount in gross.items())
        for kept in [commissions_bps.get(c.job_id)] if amount > 0
    ]  # fmt: skip
    return {outcome.subtask_id: outcome for outcome in await ledger.capture(tx, captures)} if captures else {}


async def _record(
    tx: Transaction, done: Sequence[Completion], gross: Sequence[int], caps: Sequence[int], commissions: Mapping[UUID, int]
) -> None:
    parameters = {
        "ids": [c.subtask_id for c in done],
        "fences": [c.fence for c in done],
        "reported_us": [c.reported_us for c in done],
        "observed_us": [c.observed_us for c in done],
        "cap_us": [c.cap_us for c in done],
        "billed_us": [c.billed_us for c in done],
        "gross": list(gross),
        "commissions": [commissions.get(c.subtask_id, 0) for c in done],
        "outputs": [c.output for c in done],
        "output_keys": [c.output_key for c in done],
        "output_sizes": [c.output_size for c in done],
        "output_sha256s": [c.output_sha256 for c in done],
        "item_errors": [_errors_text(c) if c.item_errors else None for c in done],
        "items_failed": [len(c.item_errors) for c in done],
        "caps": list(caps),
    }
    rows: list[dict[str, Any]] = [dict(row) for row in (await tx.execute(STATEMENTS["settle"], parameters)).mappings()]
    assert sum(row["n"] for row in rows) == len(done), "a lease moved on although its job was locked"
    await outbox.record_many(tx, [(JobId.of(row["id"]), "job.progress", progress_data(row)) for row in rows])
    if finished := [row for row in rows if row["status"] == "succeeded"]:
        await tell_ended(tx, finished)


def _errors_text(completion: Completion) -> str:
    """As JSON that Postgres takes: a stranger wrote the details, and jsonb knows no NUL."""
    return json.dumps([[i, code.replace("\0", ""), detail.replace("\0", "")] for i, code, detail in completion.item_errors])
