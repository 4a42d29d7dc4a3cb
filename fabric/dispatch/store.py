"""SQL of the dispatcher: what a job's orders are made of, and leases that nobody here knows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import text

from fabric.core.ids import JobId, ModelVersionId, OrderId, SubtaskId
from fabric.db.engine import Reader
from fabric.jobs.job import GiveBack

UNKNOWN_PER_TURN_MAX = 5000

# What orders of these jobs are made of. Inputs never change after submit.
INPUTS = text("SELECT id, model_version_id, inputs FROM jobs WHERE id = ANY(CAST(:ids AS uuid[]))")

# Leases of a leader before this one, or of a claim whose commit was not seen. Takes no lock: give_back looks again.
UNKNOWN = text(
    """
    SELECT id, job_id, fence FROM subtasks
    WHERE status = 'leased' AND NOT order_id = ANY(CAST(:known AS uuid[]))
    ORDER BY job_id, position
    LIMIT :leases_max
    """
)


async def inputs_of_jobs(reader: Reader, job_ids: Sequence[JobId]) -> dict[JobId, tuple[ModelVersionId, Mapping[str, Any]]]:
    """For each job its model version and what jobs.inputs keeps."""
    rows = await reader.execute(INPUTS, {"ids": list(job_ids)})
    return {JobId.of(row.id): (ModelVersionId.of(row.model_version_id), row.inputs) for row in rows}


async def unknown_leases(reader: Reader, known: Iterable[OrderId]) -> list[GiveBack]:
    """Leases of other orders than these, as they are to be given back: uncounted, for it is not the subtask's fault."""
    rows = await reader.execute(UNKNOWN, {"known": list(known), "leases_max": UNKNOWN_PER_TURN_MAX})
    return [
        GiveBack(
            SubtaskId.of(row.id), JobId.of(row.job_id), row.fence, "cancelled", False, "dispatcher_restarted",
            "The dispatcher was restarted.",
        )
        for row in rows
    ]  # fmt: skip
