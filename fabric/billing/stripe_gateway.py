"""The gateway to Stripe, whole: people who pay, owners who are paid, and what both leave in the balance."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fabric.billing import stripe_facts as facts
from fabric.billing.card_gateway import BalanceTransaction, SignedEvent
from fabric.billing.stripe_cards import StripeCards
from fabric.billing.stripe_client import PAGE
from fabric.billing.stripe_connect import StripeConnect


class StripeGateway(StripeCards, StripeConnect):
    """PaymentGateway, PayoutGateway and CardGateway on Stripe."""

    async def events_since(self, moment: datetime) -> Sequence[SignedEvent]:
        """Snapshot events of our own account, oldest first. Stripe keeps them for 30 days."""
        listed = self._api.v1.events.list_async({"created": {"gte": int(moment.timestamp())}, "limit": PAGE})
        found = [event async for event in self.every(listed)]
        return [
            SignedEvent(event["id"], "snapshot", event["type"], bool(event["livemode"]), json.dumps(event).encode())
            for event in reversed(found)
        ]

    async def balance(self, account_id: str | None = None) -> int:
        """Available and pending USD."""
        options: Any = {"stripe_account": account_id} if account_id else None
        answer = await self.read(self._api.v1.balance.retrieve_async(None, options))
        parts = [*answer["available"], *answer["pending"]]
        return facts.nanos(sum(part["amount"] for part in parts if part["currency"] == facts.CURRENCY))

    async def balance_transactions(self, since: datetime | None) -> Sequence[BalanceTransaction]:
        """All of them, oldest first."""
        asked: Any = {"limit": PAGE, "expand": ["data.source"]}
        if since is not None:
            asked["created"] = {"gte": int(since.timestamp())}
        found = [facts.balance_transaction(txn) async for txn in self.every(self._api.v1.balance_transactions.list_async(asked))]
        return found[::-1]
