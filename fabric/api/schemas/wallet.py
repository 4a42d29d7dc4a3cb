"""Bodies of /api/v1/wallet."""

from typing import Annotated, Literal

from pydantic import Field

from fabric.api.schemas.common import Body, Moment, Money
from fabric.billing.funding import TopUp
from fabric.billing.gateway import Payment
from fabric.billing.limits import WalletState
from fabric.billing.promotions import Promotion
from fabric.billing.refunds import Refund
from fabric.billing.wallet import Balance, WalletEntry

Amount = Annotated[str, Field(max_length=30, pattern=r"^[0-9]+(\.[0-9]{1,9})?$", examples=["25.00"])]
"""An exact decimal of USD."""


class WalletOut(Body):
    """Your money."""

    available: Money
    """May be spent."""
    held: Money
    """Reserved for unfinished jobs."""
    earned_pending: Money
    """By your machines, within the dispute window."""
    earned_available: Money
    """By your machines; may be paid out."""
    promotional: Money
    """Given to you: is spent before `available`, and cannot be refunded."""
    status: str
    """active, frozen (nothing new can be spent) or closed."""
    livemode: bool
    """False: play money."""

    @classmethod
    def of(cls, balance: Balance, state: WalletState, *, livemode: bool) -> "WalletOut":
        """Show a balance."""
        return cls(
            available=Money.of(balance.available_nanos), held=Money.of(balance.held_nanos),
            earned_pending=Money.of(balance.earned_pending_nanos), earned_available=Money.of(balance.earned_available_nanos),
            promotional=Money.of(balance.promotional_nanos), status=state.status, livemode=livemode,
        )  # fmt: skip


class EntryOut(Body):
    """One line on your available credit."""

    id: str
    kind: str
    """topup, hold, release, clawback, refund_reserve …; there may be more in time."""
    amount: Money
    """Above zero when credit came in."""
    balance: Money
    """Available afterwards."""
    job_id: str | None
    livemode: bool | None
    """False: play money."""
    created_at: Moment

    @classmethod
    def of(cls, entry: WalletEntry, *, livemode: bool) -> "EntryOut":
        """Show a line."""
        return cls(
            id=str(entry.id), kind=entry.kind, amount=Money.of(entry.amount_nanos), balance=Money.of(entry.balance_nanos),
            job_id=None if entry.job_id is None else str(entry.job_id), livemode=livemode, created_at=entry.created_at,
        )  # fmt: skip


class TopUpIn(Body):
    """Money that shall come in."""

    amount_usd: Amount
    """An exact decimal; whole cents where the money is not play money."""
    save_method: bool = False
    """Let the payment method be charged again by your automatic top-ups."""


class TopUpOut(Body):
    """Credit that was added, or will be when it is paid."""

    id: str
    """Of the ledger's transaction; of the payment while that is pending."""
    payment_id: str
    status: Literal["pending", "credited"] = "credited"
    url: str | None = None
    """Where to pay; null when there is nothing to do."""
    amount: Money
    livemode: bool
    """False: play money."""

    @classmethod
    def of(cls, top_up: TopUp) -> "TopUpOut":
        """Show a top-up."""
        return cls(
            id=str(top_up.transaction_id),
            payment_id=top_up.payment_id,
            amount=Money.of(top_up.amount_nanos),
            livemode=top_up.livemode,
        )

    @classmethod
    def pending(cls, payment: Payment) -> "TopUpOut":
        """Show a payment that somebody has to make."""
        return cls(
            id=payment.id, payment_id=payment.id, status="pending", url=payment.url, amount=Money.of(payment.amount_nanos),
            livemode=payment.livemode,
        )  # fmt: skip


class RefundIn(Body):
    """Unspent credit that shall go back to where it came from."""

    amount_usd: Amount | None = None
    """Whole cents; left out: everything that can go back."""
    reason: Annotated[str, Field(max_length=500)] = ""


class RefundOut(Body):
    """Credit on its way back to one payment."""

    id: str
    payment_id: str
    amount: Money
    status: Literal["reserved", "sent", "done", "failed"]
    """`failed`: it is credit again."""
    failure: str | None
    created_at: Moment
    finished_at: Moment | None
    livemode: bool
    """False: play money."""

    @classmethod
    def of(cls, refund: Refund, *, livemode: bool) -> "RefundOut":
        """Show a refund."""
        return cls.model_validate({
            "id": str(refund.id), "payment_id": refund.payment_id, "amount": Money.of(refund.amount_nanos), "status": refund.status,
            "failure": refund.failure, "created_at": refund.created_at, "finished_at": refund.finished_at,
            "livemode": livemode,
        })  # fmt: skip


class RefundsOut(Body):
    """One refund for each payment that the credit came from."""

    data: list[RefundOut]
    livemode: bool
    """False: play money."""


class LimitsIn(Body):
    """Your own limits; null takes one away."""

    day_usd: Amount | None = None
    """Jobs of one UTC day hold or cost no more."""
    job_usd: Amount | None = None
    """One job holds no more; without a budget of its own this is its budget."""


class LimitsOut(Body):
    """Your own limits; null: none."""

    day: Money | None
    job: Money | None
    livemode: bool
    """False: play money."""

    @classmethod
    def of(cls, state: WalletState, *, livemode: bool) -> "LimitsOut":
        """Show the limits of a wallet."""
        day, job = state.day_limit_nanos, state.job_limit_nanos
        return cls(day=None if day is None else Money.of(day), job=None if job is None else Money.of(job), livemode=livemode)


class PromotionIn(Body):
    """Credit to be given; for operators."""

    user_id: str
    amount_usd: Amount
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class PromotionOut(Body):
    """Credit that was given."""

    id: str
    user_id: str
    amount: Money
    reason: str
    livemode: bool

    @classmethod
    def of(cls, promotion: Promotion, *, livemode: bool) -> "PromotionOut":
        """Show a promotion."""
        return cls(
            id=str(promotion.id), user_id=str(promotion.user_id), amount=Money.of(promotion.amount_nanos), reason=promotion.reason,
            livemode=livemode,
        )  # fmt: skip
