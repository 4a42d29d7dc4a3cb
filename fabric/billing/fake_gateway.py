"""PaymentGateway and PayoutGateway with play money, for tests and for a fabric without Stripe keys.

Keeps nothing, so every process sees the same: ids follow from what was asked, so a retry finds the same thing. States advance at the
second look: what was just made is on its way, and when it is asked for again it has arrived.
"""

import hashlib

from fabric.billing.gateway import BankPayout, ConnectedAccount, GatewayRefund, Payment, Transfer
from fabric.core.ids import PayoutId, RefundId, UserId

ID_CHARACTERS = 32


class FakeGateway:
    """Play money. Payments are paid at once, accounts are complete at once, and everybody has a bank."""

    @property
    def livemode(self) -> bool:
        """Never real."""
        return False

    async def begin_payment(self, user_id: UserId, amount_nanos: int, key: str) -> Payment:
        """A payment that is paid already."""
        return Payment(_id("play", user_id.bytes + key.encode()), user_id, amount_nanos, "paid", livemode=False)

    async def open_account(self, user_id: UserId, email: str, key: str) -> ConnectedAccount:
        """An account that lacks nothing."""
        return ConnectedAccount(_id("play_acct", user_id.bytes), "ready")

    async def find_account(self, user_id: UserId) -> ConnectedAccount | None:
        """Nothing is kept; making it again is the same one."""
        return None

    async def account(self, account_id: str) -> ConnectedAccount:
        """The same."""
        return ConnectedAccount(account_id, "ready")

    async def onboarding_link(self, account_id: str, return_url: str) -> str:
        """Straight back: there is nothing to fill in."""
        return return_url

    async def make_transfer(self, key: str, account_id: str, amount_nanos: int, payout_id: PayoutId) -> Transfer:
        """A transfer, one for each payout."""
        return Transfer(_id("play_tr", payout_id.bytes), amount_nanos)

    async def find_transfer(self, payout_id: PayoutId) -> Transfer | None:
        """Nothing is kept; making it again is the same transfer."""
        return None

    async def reverse_transfer(self, key: str, transfer_id: str, amount_nanos: int) -> str:
        """A reversal, one for each transfer."""
        return _id("play_trr", transfer_id.encode())

    async def find_reversal(self, transfer_id: str) -> str | None:
        """Nothing is kept; making it again is the same one."""
        return None

    async def make_bank_payout(
        self, key: str, account_id: str, amount_nanos: int, payout_id: PayoutId, attempt: int
    ) -> BankPayout:
        """On its way."""
        return BankPayout(_id("play_po", payout_id.bytes + attempt.to_bytes(4)), "pending", attempt=attempt)

    async def find_bank_payout(self, account_id: str, payout_id: PayoutId, attempt: int) -> BankPayout | None:
        """Nothing is kept; making it again is the same one."""
        return None

    async def bank_payout(self, account_id: str, bank_payout_id: str) -> BankPayout:
        """At the second look the bank has it."""
        return BankPayout(bank_payout_id, "paid")

    async def make_refund(self, key: str, payment_id: str, amount_nanos: int, refund_id: RefundId) -> GatewayRefund:
        """Sent."""
        return GatewayRefund(_id("play_re", refund_id.bytes), "sent")

    async def find_refund(self, payment_id: str, refund_id: RefundId) -> GatewayRefund | None:
        """Nothing is kept; making it again is the same one."""
        return None

    async def refund(self, gateway_id: str) -> GatewayRefund:
        """At the second look it has arrived."""
        return GatewayRefund(gateway_id, "done")


def _id(kind: str, facts: bytes) -> str:
    return f"{kind}_{hashlib.sha256(facts).hexdigest()[:ID_CHARACTERS]}"
