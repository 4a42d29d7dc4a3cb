"""Bodies of /api/v1/payouts."""

from typing import Annotated, Literal

from pydantic import Field

from fabric.api.schemas.common import Body, Moment, Money
from fabric.api.schemas.wallet import Amount
from fabric.billing.payout_accounts import Earnings, PayoutAccount
from fabric.billing.payouts import Payout


class PayoutAccountOut(Body):
    """Where your earnings go, and how much there is."""

    status: Literal["none", "onboarding", "ready", "restricted"]
    """`none`: begin with the onboarding link."""
    requirements: list[str]
    """In words: what is still missing."""
    schedule: Literal["manual", "weekly"]
    pending: Money
    """Earned, within the dispute window."""
    available: Money
    """May be paid out."""
    in_transit: Money
    """A payout was asked for."""
    in_stripe: Money
    """In your account at the payment service, not yet at your bank."""
    debt: Money
    """Of results that were bad after they were paid; taken from what you earn next."""
    payout_min: Money
    livemode: bool
    """False: play money."""

    @classmethod
    def of(cls, account: PayoutAccount | None, earnings: Earnings, *, min_nanos: int, livemode: bool) -> "PayoutAccountOut":
        """Show an account with the earnings."""
        return cls.model_validate({
            "status": "none" if account is None else account.status,
            "requirements": [] if account is None else list(account.requirements),
            "schedule": "manual" if account is None else account.schedule,
            "pending": Money.of(earnings.pending_nanos), "available": Money.of(earnings.available_nanos),
            "in_transit": Money.of(earnings.in_transit_nanos), "in_stripe": Money.of(earnings.in_stripe_nanos),
            "debt": Money.of(earnings.debt_nanos), "payout_min": Money.of(min_nanos), "livemode": livemode,
        })  # fmt: skip


class OnboardingIn(Body):
    """Where to come back to."""

    return_url: Annotated[str, Field(max_length=2000, pattern=r"^https?://[^\s]+$", examples=["https://fabric.example/payouts"])]


class OnboardingOut(Body):
    """Where you complete your account."""

    url: str
    """Good for some minutes, once."""
    status: Literal["onboarding", "ready", "restricted"]
    livemode: bool


class ScheduleIn(Body):
    """How you are paid."""

    schedule: Literal["manual", "weekly"]


class PayoutIn(Body):
    """Matured earnings that shall go to your bank."""

    amount_usd: Amount | None = None
    """Whole cents; left out: everything."""


class PayoutOut(Body):
    """Earnings on their way to your bank."""

    id: str
    amount: Money
    status: Literal["reserved", "transferring", "in_stripe", "paid", "returned", "unreserved", "reversing", "reversed"]
    """`unreserved` and `reversed`: it may be paid out again. `returned`: the bank sent it back, and it is tried again."""
    failure: str | None
    """Of the last step, in words."""
    week: str | None
    """Of the weekly schedule, such as 2026-W31."""
    created_at: Moment
    finished_at: Moment | None
    livemode: bool
    """False: play money."""

    @classmethod
    def of(cls, payout: Payout, *, livemode: bool) -> "PayoutOut":
        """Show a payout."""
        return cls.model_validate({
            "id": str(payout.id), "amount": Money.of(payout.amount_nanos), "status": payout.status, "failure": payout.failure,
            "week": payout.week, "created_at": payout.created_at, "finished_at": payout.finished_at, "livemode": livemode,
        })  # fmt: skip
