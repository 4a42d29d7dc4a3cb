"""Pure: a business fact to a balanced list of postings.

This is the specification of what the flows in `ledger` (SQL) write. It is what tests replay beside the real ledger, so neither can
change alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fabric.billing import chart
from fabric.core.ids import JobId, ProviderId, UserId
from fabric.core.money import commission_nanos


@dataclass(frozen=True, slots=True)
class Posting:
    """One line of a transaction: an amount in nano-USD, above zero, to one side of one ledger account."""

    account: str
    side: Literal["D", "C"]
    amount_nanos: int


def postings_for_top_up(user_id: UserId, amount_nanos: int) -> list[Posting]:
    """Money arrived: the platform has it, the requestor may spend it."""
    return _lines(
        Posting(chart.account_name(chart.PLATFORM_STRIPE), "D", amount_nanos),
        Posting(chart.account_name(chart.REQUESTOR_AVAILABLE, user_id), "C", amount_nanos),
    )


def postings_for_hold(user_id: UserId, job_id: JobId, amount_nanos: int) -> list[Posting]:
    """Credit is reserved for a job."""
    return _lines(
        Posting(chart.account_name(chart.REQUESTOR_AVAILABLE, user_id), "D", amount_nanos),
        Posting(chart.account_name(chart.JOB_HOLD, job_id), "C", amount_nanos),
    )


def postings_for_capture(job_id: JobId, provider_id: ProviderId, gross_nanos: int, commission_bps: int) -> list[Posting]:
    """A subtask is done: its price leaves the hold, the commission rounds down, the provider gets the rest."""
    commission = commission_nanos(gross_nanos, commission_bps)
    return _lines(
        Posting(chart.account_name(chart.JOB_HOLD, job_id), "D", gross_nanos),
        Posting(chart.account_name(chart.PROVIDER_PENDING, provider_id), "C", gross_nanos - commission),
        Posting(chart.account_name(chart.PLATFORM_COMMISSION), "C", commission),
    )


def postings_for_release(user_id: UserId, job_id: JobId, rest_nanos: int) -> list[Posting]:
    """A job is over: what is left of its hold goes back."""
    return _lines(
        Posting(chart.account_name(chart.JOB_HOLD, job_id), "D", rest_nanos),
        Posting(chart.account_name(chart.REQUESTOR_AVAILABLE, user_id), "C", rest_nanos),
    )


def imbalance_nanos(postings: Iterable[Posting]) -> int:
    """Debits less credits; 0 in every list that this module makes."""
    return sum(posting.amount_nanos if posting.side == "D" else -posting.amount_nanos for posting in postings)


def _lines(*postings: Posting) -> list[Posting]:
    """Without the lines that move nothing, as a commission that rounds to zero."""
    return [posting for posting in postings if posting.amount_nanos]
