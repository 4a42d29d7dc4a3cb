"""Bodies of /api/v1/wallet."""

from typing import Annotated

from pydantic import Field

from fabric.api.schemas.common import Body, Moment, Money
from fabric.billing.funding import TopUp
from fabric.billing.wallet import Balance, WalletEntry


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
    livemode: bool
    """False: play money."""

    @classmethod
    def of(cls, balance: Balance, *, livemode: bool) -> "WalletOut":
        """Show a balance."""
        return cls(
            available=Money.of(balance.available_nanos), held=Money.of(balance.held_nanos),
            earned_pending=Money.of(balance.earned_pending_nanos), earned_available=Money.of(balance.earned_available_nanos),
            livemode=livemode,
        )  # fmt: skip


class EntryOut(Body):
    """One line on your available credit."""

    id: str
    kind: str
    """topup, hold, release …; there may be more in time."""
    amount: Money
    """Above zero when credit came in."""
    balance: Money
    """Available afterwards."""
    job_id: str | None
    livemode: bool | None
    """Of top-ups: whether it was real money."""
    created_at: Moment

    @classmethod
    def of(cls, entry: WalletEntry) -> "EntryOut":
        """Show a line."""
        return cls(
            id=str(entry.id), kind=entry.kind, amount=Money.of(entry.amount_nanos), balance=Money.of(entry.balance_nanos),
            job_id=None if entry.job_id is None else str(entry.job_id), livemode=entry.livemode, created_at=entry.created_at,
        )  # fmt: skip


class TopUpIn(Body):
    """Money that shall come in."""

    amount_usd: Annotated[str, Field(max_length=30, pattern=r"^[0-9]+(\.[0-9]{1,9})?$", examples=["25.00"])]
    """An exact decimal."""


class TopUpOut(Body):
    """Credit that was added."""

    id: str
    payment_id: str
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
