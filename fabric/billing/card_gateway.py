"""The CardGateway protocol: a payment service that people pay at with cards and banks, and that tells of it by webhooks.

1. A checkout is a page where one amount is paid; the same key is the same page. `paid` only when the money is ours, which may be
   days after the page was completed.
2. A saved payment method is charged without its owner present. GatewayRefused: for certain nothing was taken.
3. An event is believed only if its bytes are signed with one of our secrets, lately. It is a hint: whoever acts reads the object again.
4. Every change of a balance is a balance transaction, and nothing else changes it.
5. Reading something that does not exist raises NotFound; any call may raise PaymentsUnavailable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from fabric.billing.gateway import BankPayout, ConnectedAccount, GatewayRefund, Payment, PaymentGateway, PayoutGateway, Transfer
from fabric.core.ids import PayoutId, RefundId, UserId


@dataclass(frozen=True, slots=True)
class Checkout:
    """What a page shall ask for."""

    user_id: UserId
    email: str
    amount_nanos: int
    customer_id: str | None = None
    save_method: bool = False
    """Whether the payment method may be charged again by automatic top-ups; the page says so."""


@dataclass(frozen=True, slots=True)
class Fee:
    """What the payment service kept of a payment."""

    balance_transaction_id: str
    amount_nanos: int


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """A payment as the payment service knows it now."""

    payment: Payment
    ended: bool
    """Nothing will come of it any more."""
    intent_id: str | None = None
    method_id: str | None = None
    """The payment method, where it may be charged again."""
    fee: Fee | None = None
    """None: not known yet, or nothing was paid."""
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class DisputeFacts:
    """A dispute as the payment service knows it now."""

    id: str
    intent_id: str | None
    status: Literal["no_money", "open", "won", "lost"]
    amount_nanos: int
    fee_nanos: int
    fee_back_nanos: int
    reason: str


@dataclass(frozen=True, slots=True)
class BalanceTransaction:
    """One change of our balance at the payment service."""

    id: str
    kind: str
    created_at: datetime
    amount_nanos: int
    """Before the fee; below zero when it left."""
    fee_nanos: int
    source_id: str | None
    intent_id: str | None = None
    """Of the payment, where it is one."""
    refund_id: RefundId | None = None
    """Ours, where it is one."""
    reverses: bool = False
    """A dispute that was won."""


@dataclass(frozen=True, slots=True)
class SignedEvent:
    """An event whose signature was good."""

    id: str
    kind: Literal["snapshot", "thin"]
    type: str
    livemode: bool
    payload: bytes


class CardGateway(PaymentGateway, PayoutGateway, Protocol):
    """A payment service where people pay."""

    def verify_event(self, payload: bytes, signature: str | None, *, thin: bool) -> SignedEvent:
        """Check the raw bytes of a webhook.

        Raises:
            Malformed: not signed with one of our secrets, too old, from the future, or no event.
        """
        ...

    async def events_since(self, moment: datetime) -> Sequence[SignedEvent]:
        """Snapshot events of our own account since a moment, oldest first: what webhooks should have told."""
        ...

    async def open_customer(self, user_id: UserId, email: str, key: str) -> str:
        """Somebody who can have saved payment methods; the id."""
        ...

    async def find_customer(self, user_id: UserId, email: str) -> str | None:
        """The customer that was made for a user, if there is one."""
        ...

    async def begin_checkout(self, checkout: Checkout, key: str) -> Payment:
        """A page where somebody pays.

        Raises:
            Invalid: an amount that cannot be charged.
        """
        ...

    async def find_checkout(self, checkout: Checkout, key: str) -> Payment | None:
        """The page that was made under a key, if there is one."""
        ...

    async def checkout(self, session_id: str) -> PaymentFacts:
        """What became of a page."""
        ...

    async def checkout_of(self, intent_id: str) -> PaymentFacts | None:
        """The same by the intent of its payment, if it has one."""
        ...

    async def charge_saved(self, user_id: UserId, amount_nanos: int, customer_id: str, method_id: str, key: str) -> PaymentFacts:
        """Charge a saved payment method."""
        ...

    async def find_charge(self, customer_id: str, key: str) -> PaymentFacts | None:
        """The charge that was made under a key, if there is one."""
        ...

    async def charge(self, intent_id: str) -> PaymentFacts | None:
        """A charge of a saved payment method; None: a payment that is not of ours, or belongs to a page."""
        ...

    async def dispute(self, dispute_id: str) -> DisputeFacts:
        """A dispute now."""
        ...

    async def transfer(self, transfer_id: str) -> tuple[Transfer, PayoutId | None]:
        """A transfer, and the payout of ours that it is for."""
        ...

    async def payout_of(self, account_id: str, bank_payout_id: str) -> tuple[BankPayout, PayoutId | None]:
        """A bank payout now, and the payout of ours that it is for."""
        ...

    async def refund_of(self, gateway_id: str) -> tuple[GatewayRefund, RefundId | None]:
        """A refund now, and which of ours it is."""
        ...

    async def account_of(self, account_id: str) -> tuple[ConnectedAccount, UserId | None]:
        """An owner's account now, and whose it is."""
        ...

    async def balance(self, account_id: str | None = None) -> int:
        """What an account holds, ours or an owner's, in nano-USD; also what is not available yet."""
        ...

    async def balance_transactions(self, since: datetime | None) -> Sequence[BalanceTransaction]:
        """Every change of our balance since a moment (None: ever), oldest first."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...
