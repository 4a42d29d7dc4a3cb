"""Money out, at Stripe: owners' accounts, transfers into them, payouts to their banks, refunds.

Transfers and payouts are separate steps: an owner's account pays out only when we say so.
"""

from typing import Any

from fabric.billing import stripe_facts as facts
from fabric.billing.gateway import BankPayout, ConnectedAccount, GatewayRefund, Transfer
from fabric.billing.stripe_client import PAGE, StripeClient, whole_cents_of
from fabric.core.ids import PayoutId, RefundId, RequestId, UserId

INCLUDED = ["configuration.recipient", "requirements"]


class StripeConnect(StripeClient):
    """PayoutGateway on Connect."""

    async def open_account(self, user_id: UserId, email: str, key: str) -> ConnectedAccount:
        """An account that receives transfers, and whose payouts are asked for by us."""
        asked: Any = {
            "contact_email": email, "dashboard": "express", "metadata": {"user": user_id.hex}, "include": INCLUDED,
            "configuration": {"recipient": {"capabilities": {"stripe_balance": {"stripe_transfers": {"requested": True}}}}},
            "defaults": {"responsibilities": {"fees_collector": "application", "losses_collector": "application"}},
        }  # fmt: skip
        made = self._api.v2.core.accounts.create_async(asked, {"idempotency_key": key})
        opened = await self.made(made, lambda: self.find_account(user_id), lambda fields: facts.account_facts(fields)[0])
        await self._pay_out_only_when_asked(opened.id)
        return opened

    async def find_account(self, user_id: UserId) -> ConnectedAccount | None:
        """Among the newest recipients, by our mark. It may have been made just before its answer was lost, so it is set up again."""
        listed = self._api.v2.core.accounts.list_async({"applied_configurations": ["recipient"]})
        if (found := await self.find(listed, {"user": user_id.hex})) is None:
            return None
        await self._pay_out_only_when_asked(facts.id_of(found))
        return await self.account(facts.id_of(found))

    async def _pay_out_only_when_asked(self, account_id: str) -> None:
        by_hand: Any = {"payments": {"payouts": {"schedule": {"interval": "manual"}}}}
        options: Any = {
            "stripe_account": account_id,
            "idempotency_key": f"by_hand:{RequestId.new().hex}",
        }  # a setting, not a deed
        await self.read(self._api.v1.balance_settings.update_async(by_hand, options))

    async def account(self, account_id: str) -> ConnectedAccount:
        """An owner's account now."""
        return (await self.account_of(account_id))[0]

    async def account_of(self, account_id: str) -> tuple[ConnectedAccount, UserId | None]:
        """The account with what it lacks, and whose it is."""
        include: Any = {"include": INCLUDED}
        return facts.account_facts(await self.read(self._api.v2.core.accounts.retrieve_async(account_id, include)))

    async def onboarding_link(self, account_id: str, return_url: str) -> str:
        """Stripe's own form. It asks for what will be needed later too, so that nobody is stopped half-way."""
        form: Any = {"return_url": return_url, "refresh_url": return_url, "collection_options": {"fields": "eventually_due"}}
        asked: Any = {"account": account_id, "use_case": {"type": "account_onboarding", "account_onboarding": form}}
        key = f"link:{RequestId.new().hex}"  # each link is good once
        answer = await self.read(self._api.v2.core.account_links.create_async(asked, {"idempotency_key": key}))
        return str(answer["url"])

    async def make_transfer(self, key: str, account_id: str, amount_nanos: int, payout_id: PayoutId) -> Transfer:
        """A transfer in a group of its own, by which it is found again."""
        asked = self._api.v1.transfers.create_async(
            {
                "amount": whole_cents_of(amount_nanos), "currency": facts.CURRENCY, "destination": account_id,
                "transfer_group": _group(payout_id), "metadata": {"payout": payout_id.hex},
            },
            {"idempotency_key": key},
        )  # fmt: skip
        return await self.made(asked, lambda: self.find_transfer(payout_id), lambda fields: facts.transfer_facts(fields)[0])

    async def find_transfer(self, payout_id: PayoutId) -> Transfer | None:
        """By its group."""
        found = await self.find(
            self._api.v1.transfers.list_async({"transfer_group": _group(payout_id)}), {"payout": payout_id.hex}
        )
        return None if found is None else facts.transfer_facts(found)[0]

    async def transfer(self, transfer_id: str) -> tuple[Transfer, PayoutId | None]:
        """A transfer, and the payout of ours that it is for."""
        return facts.transfer_facts(await self.read(self._api.v1.transfers.retrieve_async(transfer_id)))

    async def reverse_transfer(self, key: str, transfer_id: str, amount_nanos: int) -> str:
        """Take a transfer back, in full."""
        asked = self._api.v1.transfers.reversals.create_async(
            transfer_id, {"amount": whole_cents_of(amount_nanos)}, {"idempotency_key": key}
        )
        return await self.made(asked, lambda: self.find_reversal(transfer_id), facts.id_of)

    async def find_reversal(self, transfer_id: str) -> str | None:
        """A transfer is reversed once."""
        found = await self.find(self._api.v1.transfers.reversals.list_async(transfer_id, {"limit": 1}), {})
        return None if found is None else facts.id_of(found)

    async def make_bank_payout(
        self, key: str, account_id: str, amount_nanos: int, payout_id: PayoutId, attempt: int
    ) -> BankPayout:
        """A payout of the owner's account."""
        marks = {"payout": payout_id.hex, "attempt": str(attempt)}
        asked = self._api.v1.payouts.create_async(
            {"amount": whole_cents_of(amount_nanos), "currency": facts.CURRENCY, "metadata": marks},
            {"stripe_account": account_id, "idempotency_key": key},
        )
        return await self.made(
            asked,
            lambda: self.find_bank_payout(account_id, payout_id, attempt),
            lambda fields: facts.bank_payout_facts(fields)[0],
        )

    async def find_bank_payout(self, account_id: str, payout_id: PayoutId, attempt: int) -> BankPayout | None:
        """Among the account's newest payouts, by our marks."""
        listed = self._api.v1.payouts.list_async({"limit": PAGE}, {"stripe_account": account_id})
        found = await self.find(listed, {"payout": payout_id.hex, "attempt": str(attempt)})
        return None if found is None else facts.bank_payout_facts(found)[0]

    async def bank_payout(self, account_id: str, bank_payout_id: str) -> BankPayout:
        """Where a bank payout is now."""
        return (await self.payout_of(account_id, bank_payout_id))[0]

    async def payout_of(self, account_id: str, bank_payout_id: str) -> tuple[BankPayout, PayoutId | None]:
        """The same, and the payout of ours that it is for."""
        options: Any = {"stripe_account": account_id}
        return facts.bank_payout_facts(await self.read(self._api.v1.payouts.retrieve_async(bank_payout_id, None, options)))

    async def make_refund(self, key: str, payment_id: str, amount_nanos: int, refund_id: RefundId) -> GatewayRefund:
        """A refund of an intent."""
        asked = self._api.v1.refunds.create_async(
            {"payment_intent": payment_id, "amount": whole_cents_of(amount_nanos), "metadata": {"refund": refund_id.hex}},
            {"idempotency_key": key},
        )
        return await self.made(
            asked, lambda: self.find_refund(payment_id, refund_id), lambda fields: facts.refund_facts(fields)[0]
        )

    async def find_refund(self, payment_id: str, refund_id: RefundId) -> GatewayRefund | None:
        """Among the refunds of the intent, by our mark."""
        listed = self._api.v1.refunds.list_async({"payment_intent": payment_id, "limit": PAGE})
        found = await self.find(listed, {"refund": refund_id.hex})
        return None if found is None else facts.refund_facts(found)[0]

    async def refund(self, gateway_id: str) -> GatewayRefund:
        """Where a refund is now."""
        return (await self.refund_of(gateway_id))[0]

    async def refund_of(self, gateway_id: str) -> tuple[GatewayRefund, RefundId | None]:
        """The same, and which of ours it is."""
        return facts.refund_facts(await self.read(self._api.v1.refunds.retrieve_async(gateway_id)))


def _group(payout_id: PayoutId) -> str:
    return f"payout_{payout_id.hex}"
