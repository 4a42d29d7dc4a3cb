"""Bodies of top-ups that take time, and of automatic ones."""

from typing import Literal

from fabric.api.schemas.common import Body, Money
from fabric.api.schemas.wallet import Amount
from fabric.billing.automatic_top_ups import AutomaticTopUp
from fabric.billing.top_ups import TopUpState


class TopUpStateOut(Body):
    """Where a top-up is."""

    payment_id: str
    amount: Money
    status: Literal["pending", "credited", "failed"]
    transaction_id: str | None
    """Of the ledger, once it is credited."""
    livemode: bool
    """False: play money."""

    @classmethod
    def of(cls, state: TopUpState) -> "TopUpStateOut":
        """Show a top-up."""
        return cls.model_validate({
            "payment_id": state.payment_id, "amount": Money.of(state.amount_nanos), "status": state.status, "livemode": state.livemode,
            "transaction_id": None if state.transaction_id is None else str(state.transaction_id),
        })  # fmt: skip


class AutoTopUpIn(Body):
    """When to top up by itself, and how much."""

    enabled: bool
    threshold_usd: Amount = "0"
    """Top up when less is available."""
    amount_usd: Amount = "0"
    """So much each time, in whole cents."""
    day_max_usd: Amount = "0"
    """No more than this in one UTC day."""


class AutoTopUpOut(Body):
    """What you have set."""

    enabled: bool
    threshold: Money
    amount: Money
    day_max: Money
    has_method: bool
    """Whether a payment method was saved."""
    is_stopped: bool
    """The last charge was refused; it goes on after your next top-up, or when you set it anew."""
    livemode: bool
    """False: play money."""

    @classmethod
    def of(cls, found: AutomaticTopUp, *, livemode: bool) -> "AutoTopUpOut":
        """Show it."""
        return cls(
            enabled=found.enabled, threshold=Money.of(found.threshold_nanos), amount=Money.of(found.amount_nanos),
            day_max=Money.of(found.day_max_nanos), has_method=found.has_method, is_stopped=found.is_stopped,
            livemode=livemode,
        )  # fmt: skip
