"""A receipt to a finished subtask: usage, capture, event, for many at once in one transaction."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from fabric.billing import ledger
from fabric.core.ids import JobId
from fabric.db.engine import Transaction
from fabric.events import outbox
from fabric.jobs import queue
from fabric.jobs.finish import progress_data, tell_ended
from fabric.jobs.job import Completion, GiveBack, Settled
from fabric.jobs.statements import STATEMENTS


async def settle(tx: Transaction, completions: Sequence[Completion], *, attempts_max: int) -> list[Settled]:
    """Settle verified results, each exactly once or not at all; answers in the order given.

    `done`: recorded and captured, never more than the cap of its lease. `stale`: the lease had ended (or this is a duplicate), so
    nothing happened. `refused`: the ledger would not capture it; its lease is given back as a failed attempt. None of them keeps
    a neighbour from being settled. The last subtask of a job ends it as succeeded and releases the rest of its hold.
    """
    if not completions:
        return []
    await tx.execute(STATEMENTS["lock_jobs"], {"job_ids": list({c.job_id for c in completions})})
    fresh, caps = await _still_leased(tx, completions)
    gross = {c.subtask_id: min(c.gross_nanos, caps[c.subtask_id]) for c in fresh}
    captures = [
        ledger.Capture(c.subtask_id, c.job_id, c.provider_id, gross[c.subtask_id], c.commission_bps)
        for c in fresh if gross[c.subtask_id] > 0
    ]  # fmt: skip
    outcomes = {outcome.subtask_id: outcome for outcome in await ledger.capture(tx, captures)} if captures else {}
    refused = {i: o.detail or o.status for i, o in outcomes.items() if o.status != "captured"}
    done = [c for c in fresh if c.subtask_id not in refused]
    if done:
        commissions = {i: o.commission_nanos for i, o in outcomes.items()}
        await _record(tx, done, gross, commissions)
    if refused:
        await _give_back_refused(tx, [c for c in fresh if c.subtask_id in refused], refused, attempts_max)
    return _answers(completions, {c.subtask_id for c in done}, refused)


async def _still_leased(tx: Transaction, completions: Sequence[Completion]) -> tuple[list[Completion], dict[UUID, int]]:
    """The completions that match a lease, the first of each subtask only, and the caps of their leases."""
    parameters = {
        "ids": [c.subtask_id for c in completions],
        "fences": [c.fence for c in completions],
        "provider_ids": [c.provider_id for c in completions],
        "job_ids": [c.job_id for c in completions],
    }
    rows = await tx.execute(STATEMENTS["held_leases"], parameters)
    held = {row.id: (row.cap_nanos, row.fence) for row in rows}
    fresh: dict[UUID, Completion] = {}
    for completion in completions:
        lease = held.get(completion.subtask_id)
        if lease is not None and lease[1] == completion.fence:
            fresh.setdefault(completion.subtask_id, completion)
    return list(fresh.values()), {i: cap for i, (cap, _) in held.items()}


async def _record(
    tx: Transaction, done: Sequence[Completion], gross: Mapping[UUID, int], commissions: Mapping[UUID, int]
) -> None:
    parameters = {
        "ids": [c.subtask_id for c in done],
        "fences": [c.fence for c in done],
        "reported_us": [c.reported_us for c in done],
        "observed_us": [c.observed_us for c in done],
        "cap_us": [c.cap_us for c in done],
        "billed_us": [c.billed_us for c in done],
        "gross": [gross[c.subtask_id] for c in done],
        "commissions": [commissions.get(c.subtask_id, 0) for c in done],
        "outputs": [c.output for c in done],
        "output_keys": [c.output_key for c in done],
        "output_sizes": [c.output_size for c in done],
        "output_sha256s": [c.output_sha256 for c in done],
        "item_errors": [json.dumps(c.item_errors) if c.item_errors else None for c in done],
        "items_failed": [len(c.item_errors) for c in done],
    }
    rows: list[dict[str, Any]] = [dict(row) for row in (await tx.execute(STATEMENTS["settle"], parameters)).mappings()]
    assert sum(row["n"] for row in rows) == len(done), "a lease moved on although its job was locked"
    await outbox.record_many(tx, [(JobId.of(row["id"]), "job.progress", progress_data(row)) for row in rows])
    if finished := [row for row in rows if row["status"] == "succeeded"]:
        await tell_ended(tx, finished)


async def _give_back_refused(
    tx: Transaction, completions: Sequence[Completion], details: Mapping[UUID, str], attempts_max: int
) -> None:
    ended = [
        GiveBack(c.subtask_id, c.job_id, c.fence, "failed", True, "capture_refused", details[c.subtask_id]) for c in completions
    ]
    await queue.give_back(tx, ended, attempts_max=attempts_max)


def _answers(completions: Sequence[Completion], done: set[Any], refused: Mapping[UUID, str]) -> list[Settled]:
    """One answer for each completion; a second one of the same subtask in the batch is stale."""
    answers: list[Settled] = []
    seen: set[UUID] = set()
    for c in completions:
        first = c.subtask_id not in seen
        if first and c.subtask_id in done:
            seen.add(c.subtask_id)
            answers.append(Settled(c.subtask_id, "done"))
        elif first and c.subtask_id in refused:
            seen.add(c.subtask_id)
            answers.append(Settled(c.subtask_id, "refused", refused[c.subtask_id]))
        else:
            answers.append(Settled(c.subtask_id, "stale"))
    return answers
