"""Bodies of /api/v1/jobs/{id}/subtasks: who ran what."""

from typing import Literal

from fabric.api.schemas.common import Body, Moment, Money
from fabric.api.schemas.jobs import MICROSECONDS_PER_S, ItemErrorOut, JobErrorOut
from fabric.jobs.job import Subtask


class AttemptOut(Body):
    """One try."""

    provider_id: str
    slot: int
    outcome: Literal["done", "failed", "lost", "cancelled"]
    leased_at: Moment
    finished_at: Moment
    seconds: float
    """Billed: the smallest of what the machine reported, what was observed, and what calibration allows."""
    reported_s: float | None = None
    observed_s: float | None = None
    price_per_hour: Money
    gross: Money
    commission: Money
    error: JobErrorOut | None = None


class SubtaskOut(Body):
    """One part of a job."""

    id: str
    position: int
    item_start: int
    item_count: int
    status: Literal["waiting", "leased", "done", "failed", "cancelled"]
    provider_id: str | None = None
    slot: int | None = None
    cost: Money
    errors: list[ItemErrorOut]
    attempts: list[AttemptOut]
    finished_at: Moment | None = None


def subtask_out(subtask: Subtask) -> SubtaskOut:
    """Show a subtask and its attempts."""
    return SubtaskOut(
        id=str(subtask.id), position=subtask.position, item_start=subtask.item_start, item_count=subtask.item_count,
        status=subtask.status, provider_id=None if subtask.provider_id is None else str(subtask.provider_id), slot=subtask.slot,
        cost=Money.of(subtask.gross_nanos), errors=[ItemErrorOut(index=i, code=c, detail=d) for i, c, d in subtask.item_errors],
        finished_at=subtask.finished_at,
        attempts=[
            AttemptOut(
                provider_id=str(tried.provider_id), slot=tried.slot, outcome=tried.outcome, leased_at=tried.leased_at,
                finished_at=tried.finished_at, seconds=tried.billed_us / MICROSECONDS_PER_S,
                reported_s=None if tried.reported_us is None else tried.reported_us / MICROSECONDS_PER_S,
                observed_s=None if tried.observed_us is None else tried.observed_us / MICROSECONDS_PER_S,
                price_per_hour=Money.of(tried.rate_nanos_per_hour), gross=Money.of(tried.gross_nanos),
                commission=Money.of(tried.commission_nanos),
                error=None if tried.error_code is None else JobErrorOut(code=tried.error_code, detail=tried.error_detail or ""),
            )
            for tried in subtask.attempts
        ],
    )  # fmt: skip
