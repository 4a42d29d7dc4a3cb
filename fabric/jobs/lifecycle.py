"""Pure: the table of states and allowed moves.

queue.sql moves rows only along these tables; a test replays every statement against them.
"""

from collections.abc import Mapping, Set
from types import MappingProxyType

from fabric.core.errors import AlreadyFinished

JOB_MOVES: Mapping[str, Set[str]] = MappingProxyType({
    "queued": frozenset({"running", "failed", "cancelled"}),
    "running": frozenset({"succeeded", "failed", "cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
})  # fmt: skip

SUBTASK_MOVES: Mapping[str, Set[str]] = MappingProxyType({
    "waiting": frozenset({"leased", "cancelled"}),
    "leased": frozenset({"waiting", "done", "failed", "cancelled"}),
    "done": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
})  # fmt: skip

OPEN = frozenset(status for status, moves in JOB_MOVES.items() if moves)
FINISHED = frozenset(JOB_MOVES) - OPEN

FUNDS = "funds"
"""The waiting reason of a job whose hold cannot pay another subtask."""

# Why a job failed, as its error code says.
ATTEMPTS_EXHAUSTED = "attempts_exhausted"
BUDGET_EXHAUSTED = "budget_exhausted"
DEADLINE_EXCEEDED = "deadline_exceeded"


def is_finished(job_status: str) -> bool:
    """Whether a job in this state has ended for good."""
    return job_status in FINISHED


def require_open(job_status: str) -> None:
    """Refuse to touch a job that has ended.

    Raises:
        AlreadyFinished: it has.
    """
    if is_finished(job_status):
        raise AlreadyFinished(f"This job has already ended: it {'was' if job_status == 'cancelled' else 'has'} {job_status}.")


def ending_event(job_status: str) -> str:
    """The type of the event that tells of this end."""
    return f"job.{job_status}"
