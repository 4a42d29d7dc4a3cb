"""Pure: a business fact to a balanced list of postings.

This is the specification of what the flows in `ledger` (SQL) write. It is what tests replay beside the real ledger, so neither can
change alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from fabric.billing import chart
from fabric.billing.chart import AccountKind
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


def postings_for_hold(user_id: UserId, job_id: JobId, amount_nanos: int, promotional_nanos: int = 0) -> list[Posting]:
    """Credit is reserved for a job; of it so much promotional credit."""
    return _lines(
        _debit(chart.REQUESTOR_AVAILABLE, user_id, amount_nanos - promotional_nanos),
        _debit(chart.REQUESTOR_PROMOTIONAL, user_id, promotional_nanos),
        _credit(chart.JOB_HOLD, job_id, amount_nanos),
    )


def postings_for_capture(job_id: JobId, provider_id: ProviderId, gross_nanos: int, commission_bps: int) -> list[Posting]:
    """A subtask is done: its price leaves the hold, the commission rounds down, the provider gets the rest."""
    commission = commission_nanos(gross_nanos, commission_bps)
    return _lines(
        Posting(chart.account_name(chart.JOB_HOLD, job_id), "D", gross_nanos),
        Posting(chart.account_name(chart.PROVIDER_PENDING, provider_id), "C", gross_nanos - commission),
        Posting(chart.account_name(chart.PLATFORM_COMMISSION), "C", commission),
    )


def postings_for_release(user_id: UserId, job_id: JobId, rest_nanos: int, promotional_nanos: int = 0) -> list[Posting]:
    """A job is over: what is left of its hold goes back; of it so much is promotional credit that was not used."""
    return _lines(
        _debit(chart.JOB_HOLD, job_id, rest_nanos),
        _credit(chart.REQUESTOR_AVAILABLE, user_id, rest_nanos - promotional_nanos),
        _credit(chart.REQUESTOR_PROMOTIONAL, user_id, promotional_nanos),
    )


def postings_for_stripe_fee(amount_nanos: int) -> list[Posting]:
    """The payment service kept something."""
    return _lines(_debit(chart.PLATFORM_STRIPE_FEES, None, amount_nanos), _credit(chart.PLATFORM_STRIPE, None, amount_nanos))


def postings_for_promotion(user_id: UserId, amount_nanos: int) -> list[Posting]:
    """Credit is given: it costs the platform when it is given."""
    return _lines(
        _debit(chart.PLATFORM_PROMOTIONS, None, amount_nanos), _credit(chart.REQUESTOR_PROMOTIONAL, user_id, amount_nanos)
    )


def postings_for_paid_check(provider_id: ProviderId, amount_nanos: int) -> list[Posting]:
    """The platform pays for checking a result."""
    return _lines(
        _debit(chart.PLATFORM_VERIFICATION, None, amount_nanos), _credit(chart.PROVIDER_PENDING, provider_id, amount_nanos)
    )


def postings_for_maturation(provider_id: ProviderId, owner_id: UserId, amount_nanos: int, collected_nanos: int) -> list[Posting]:
    """A machine's earnings become its owner's to be paid out; of them so much pays the owner's debt."""
    return _lines(
        _debit(chart.PROVIDER_PENDING, provider_id, amount_nanos),
        _credit(chart.PROVIDER_AVAILABLE, owner_id, amount_nanos - collected_nanos),
        _credit(chart.PROVIDER_DEBT, owner_id, collected_nanos),
    )


def postings_for_debt_collected(owner_id: UserId, amount_nanos: int) -> list[Posting]:
    """An owner's debt is taken from what may be paid out."""
    return _lines(_debit(chart.PROVIDER_AVAILABLE, owner_id, amount_nanos), _credit(chart.PROVIDER_DEBT, owner_id, amount_nanos))


def postings_for_clawback(
    user_id: UserId,
    provider_id: ProviderId,
    owner_id: UserId,
    *,
    gross_nanos: int,
    commission_nanos: int,
    is_mature: bool,
    promotional_nanos: int = 0,
) -> list[Posting]:
    """A captured result was bad: everybody gives back what the capture gave; what has matured is the owner's debt."""
    earned = gross_nanos - commission_nanos
    return _lines(
        _debit(chart.PROVIDER_DEBT, owner_id, earned) if is_mature else _debit(chart.PROVIDER_PENDING, provider_id, earned),
        _debit(chart.PLATFORM_COMMISSION, None, commission_nanos),
        _credit(chart.REQUESTOR_AVAILABLE, user_id, gross_nanos - promotional_nanos),
        _credit(chart.REQUESTOR_PROMOTIONAL, user_id, promotional_nanos),
    )


def postings_for_payout_reserve(owner_id: UserId, amount_nanos: int) -> list[Posting]:
    """A payout is asked for."""
    return _lines(
        _debit(chart.PROVIDER_AVAILABLE, owner_id, amount_nanos), _credit(chart.PROVIDER_IN_TRANSIT, owner_id, amount_nanos)
    )


def postings_for_transfer(owner_id: UserId, amount_nanos: int) -> list[Posting]:
    """Its money is in the owner's account at the payment service."""
    return _lines(
        _debit(chart.PROVIDER_IN_TRANSIT, owner_id, amount_nanos), _credit(chart.PROVIDER_IN_STRIPE, owner_id, amount_nanos),
        _debit(chart.STRIPE_CONNECTED, owner_id, amount_nanos), _credit(chart.PLATFORM_STRIPE, None, amount_nanos),
    )  # fmt: skip


def postings_for_payout_paid(owner_id: UserId, amount_nanos: int) -> list[Posting]:
    """The bank has it."""
    return _lines(
        _debit(chart.PROVIDER_IN_STRIPE, owner_id, amount_nanos), _credit(chart.STRIPE_CONNECTED, owner_id, amount_nanos)
    )


def postings_for_transfer_reversal(owner_id: UserId, amount_nanos: int) -> list[Posting]:
    """The transfer was taken back, and may be paid out again."""
    return _lines(
        _debit(chart.PROVIDER_IN_STRIPE, owner_id, amount_nanos), _credit(chart.PROVIDER_AVAILABLE, owner_id, amount_nanos),
        _debit(chart.PLATFORM_STRIPE, None, amount_nanos), _credit(chart.STRIPE_CONNECTED, owner_id, amount_nanos),
    )  # fmt: skip


def postings_for_refund_reserve(user_id: UserId, amount_nanos: int) -> list[Posting]:
    """Unspent credit shall go back."""
    return _lines(
        _debit(chart.REQUESTOR_AVAILABLE, user_id, amount_nanos),
        _credit(chart.REQUESTOR_REFUND_IN_TRANSIT, user_id, amount_nanos),
    )


def postings_for_refund_paid(user_id: UserId, amount_nanos: int) -> list[Posting]:
    """It was sent."""
    return _lines(
        _debit(chart.REQUESTOR_REFUND_IN_TRANSIT, user_id, amount_nanos), _credit(chart.PLATFORM_STRIPE, None, amount_nanos)
    )


def postings_for_chargeback(user_id: UserId, *, amount_nanos: int, owed_nanos: int, fee_nanos: int) -> list[Posting]:
    """A bank took a payment back: from the requestor's credit, the rest is owed."""
    return _lines(
        _debit(chart.REQUESTOR_AVAILABLE, user_id, amount_nanos - owed_nanos), _debit(chart.RECEIVABLE, user_id, owed_nanos),
        _debit(chart.PLATFORM_DISPUTE_FEES, None, fee_nanos), _credit(chart.PLATFORM_STRIPE, None, amount_nanos + fee_nanos),
    )  # fmt: skip


def postings_for_chargeback_lost(user_id: UserId, *, owed_nanos: int, taken_nanos: int) -> list[Posting]:
    """It is final: credit that came meanwhile pays what is owed, the rest is our loss."""
    return _lines(
        _debit(chart.REQUESTOR_AVAILABLE, user_id, taken_nanos),
        _debit(chart.PLATFORM_CHARGEBACK_LOSS, None, owed_nanos - taken_nanos), _credit(chart.RECEIVABLE, user_id, owed_nanos),
    )  # fmt: skip


def reverse_of(postings: Iterable[Posting]) -> list[Posting]:
    """Everything back to where it was: what is won back, returned, or never left."""
    return [Posting(posting.account, "C" if posting.side == "D" else "D", posting.amount_nanos) for posting in postings]


def imbalance_nanos(postings: Iterable[Posting]) -> int:
    """Debits less credits; 0 in every list that this module makes."""
    return sum(posting.amount_nanos if posting.side == "D" else -posting.amount_nanos for posting in postings)


def _lines(*postings: Posting) -> list[Posting]:
    """Without the lines that move nothing, as a commission that rounds to zero."""
    return [posting for posting in postings if posting.amount_nanos]


def _debit(kind: AccountKind, owner_id: UUID | None, amount_nanos: int) -> Posting:
    return Posting(chart.account_name(kind, owner_id), "D", amount_nanos)


def _credit(kind: AccountKind, owner_id: UUID | None, amount_nanos: int) -> Posting:
    return Posting(chart.account_name(kind, owner_id), "C", amount_nanos)
