"""The PaymentGateway protocol: how money comes in.

1. The same key for the same user is the same payment, however often it is asked for.
2. A payment is `paid` only when the money is ours; until then nothing may be credited.
3. `livemode` is False for play money, and everything that shows such money says so.
4. Nothing here writes to the ledger: `billing.funding` does, with a key made of the payment's id.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from fabric.core.ids import UserId


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment of a requestor, as the payment service knows it."""

    id: str
    user_id: UserId
    amount_nanos: int
    status: Literal["pending", "paid"]
    livemode: bool
    url: str | None = None
    """Where the requestor pays; None when there is nothing to do."""


class PaymentGateway(Protocol):
    """A payment service."""

    @property
    def livemode(self) -> bool:
        """Whether this is real money."""
        ...

    async def begin_payment(self, user_id: UserId, amount_nanos: int, key: str) -> Payment:
        """Ask for money. Never call it inside a transaction: a real service is far away.

        Raises:
            Unavailable: the payment service cannot be reached now.
        """
        ...
