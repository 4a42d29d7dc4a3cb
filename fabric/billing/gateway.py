"""The PaymentGateway and PayoutGateway protocols: how money comes in, and how it goes out.

PaymentGateway:
1. The same key for the same user is the same payment, however often it is asked for.
2. A payment is `paid` only when the money is ours; until then nothing may be credited.
3. `livemode` is False for play money, and everything that shows such money says so.
4. Nothing here writes to the ledger: `billing.funding` does, with a key made of the payment's id.

PayoutGateway:
1. The same key is the same transfer, bank payout, reversal or refund, for at least 24 hours; after that whoever is in doubt looks it
   up (`find_transfer`, `find_reversal`, `find_bank_payout`, `find_refund`) before asking again.
2. GatewayRefused means that for certain nothing was done. PaymentsUnavailable means that nothing is known: it may have been done.
3. A transfer moves our money into an owner's account at the payment service, a bank payout moves it on to the bank. Each names the
   payout of ours that it is for.
4. A bank payout is `paid` when the bank has it, and even then it may turn `failed`: the money is in the owner's account again.
5. A transfer is reversed in full, and only while the owner's account holds that much; otherwise it is refused.
6. A refund goes to where the payment came from, in one piece or several, never more than was paid. `sent` may still turn `failed`.
7. Amounts are whole cents, above zero.
8. What an account lacks is told in words that its owner understands. `ready` is said only of an account that can be paid.
9. Nothing here writes to the ledger: `billing.payouts` and `billing.refunds` do, outside the call and never before it.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from fabric.core.ids import PayoutId, RefundId, UserId


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


@dataclass(frozen=True, slots=True)
class ConnectedAccount:
    """An owner's account at the payment service."""

    id: str
    status: Literal["onboarding", "ready", "restricted"]
    requirements: tuple[str, ...] = ()  # in words: what is missing


@dataclass(frozen=True, slots=True)
class Transfer:
    """Our money that went into an owner's account."""

    id: str
    amount_nanos: int


@dataclass(frozen=True, slots=True)
class BankPayout:
    """Money on its way from an owner's account to the bank."""

    id: str
    status: Literal["pending", "paid", "failed"]
    failure: str | None = None  # in words
    attempt: int | None = None
    """Which attempt of ours made it, where that is known."""


@dataclass(frozen=True, slots=True)
class GatewayRefund:
    """Money on its way back to a requestor."""

    id: str
    status: Literal["sent", "done", "failed"]
    failure: str | None = None  # in words


class GatewayRefused(Exception):
    """The payment service refused for certain; nothing was done. `str()` says why, in words."""


class PaymentGateway(Protocol):
    """A payment service, as far as money comes in."""

    @property
    def livemode(self) -> bool:
        """Whether this is real money."""
        ...

    async def begin_payment(self, user_id: UserId, amount_nanos: int, key: str) -> Payment:
        """Ask for money. Never call it inside a transaction: a real service is far away.

        Raises:
            PaymentsUnavailable: the payment service cannot be reached now.
        """
        ...


class PayoutGateway(Protocol):
    """A payment service, as far as money goes out. Never call it inside a transaction.

    Every call may raise PaymentsUnavailable; those that move something may raise GatewayRefused.
    """

    @property
    def livemode(self) -> bool:
        """Whether this is real money."""
        ...

    async def open_account(self, user_id: UserId, email: str, key: str) -> ConnectedAccount:
        """The owner's account, made if there is none."""
        ...

    async def find_account(self, user_id: UserId) -> ConnectedAccount | None:
        """The account that was made for an owner, if there is one; it pays out only when asked, as a new one does."""
        ...

    async def account(self, account_id: str) -> ConnectedAccount:
        """What is known of an account now."""
        ...

    async def onboarding_link(self, account_id: str, return_url: str) -> str:
        """Where the owner completes the account; good for some minutes, once."""
        ...

    async def make_transfer(self, key: str, account_id: str, amount_nanos: int, payout_id: PayoutId) -> Transfer:
        """Move our money into an owner's account."""
        ...

    async def find_transfer(self, payout_id: PayoutId) -> Transfer | None:
        """The transfer that was made for a payout, if there is one."""
        ...

    async def reverse_transfer(self, key: str, transfer_id: str, amount_nanos: int) -> str:
        """Take a transfer back; the id of the reversal."""
        ...

    async def find_reversal(self, transfer_id: str) -> str | None:
        """The id of the reversal of a transfer, if there is one."""
        ...

    async def make_bank_payout(
        self, key: str, account_id: str, amount_nanos: int, payout_id: PayoutId, attempt: int
    ) -> BankPayout:
        """Move money from an owner's account to the bank. `attempt` counts 1, 2 … for the same payout."""
        ...

    async def find_bank_payout(self, account_id: str, payout_id: PayoutId, attempt: int) -> BankPayout | None:
        """The bank payout that was made by this attempt, if there is one."""
        ...

    async def bank_payout(self, account_id: str, bank_payout_id: str) -> BankPayout:
        """Where a bank payout is now."""
        ...

    async def make_refund(self, key: str, payment_id: str, amount_nanos: int, refund_id: RefundId) -> GatewayRefund:
        """Send money back to where a payment came from. `payment_id` is the intent where that is known."""
        ...

    async def find_refund(self, payment_id: str, refund_id: RefundId) -> GatewayRefund | None:
        """The refund that was made, if there is one."""
        ...

    async def refund(self, gateway_id: str) -> GatewayRefund:
        """Where a refund is now."""
        ...
