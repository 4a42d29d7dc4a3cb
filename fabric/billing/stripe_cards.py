"""Money in, at Stripe: customers, Checkout, saved payment methods, disputes."""

import hashlib
from typing import Any

from fabric.billing import stripe_facts as facts
from fabric.billing.card_gateway import Checkout, DisputeFacts, PaymentFacts
from fabric.billing.gateway import GatewayRefused, Payment
from fabric.billing.stripe_client import PAGE, StripeClient, whole_cents_of
from fabric.core.errors import Invalid
from fabric.core.ids import UserId

CHARGE_CENTS_MIN = 50  # Stripe's own for USD
PRODUCT = "Fabric credit"
FEE_OF_INTENT = "latest_charge.balance_transaction"


class StripeCards(StripeClient):
    """CardGateway as far as people pay."""

    async def begin_payment(self, user_id: UserId, amount_nanos: int, key: str) -> Payment:
        """A page for somebody without a saved customer."""
        digest = hashlib.sha256(key.encode()).hexdigest()[:32]
        return await self.begin_checkout(Checkout(user_id, "", amount_nanos), f"checkout:{user_id.hex}:{digest}")

    async def open_customer(self, user_id: UserId, email: str, key: str) -> str:
        """A customer with our id in its metadata."""
        asked = self._api.v1.customers.create_async({"email": email, "metadata": {"user": user_id.hex}}, {"idempotency_key": key})
        return await self.made(asked, lambda: self.find_customer(user_id, email), facts.id_of)

    async def find_customer(self, user_id: UserId, email: str) -> str | None:
        """By email, then by our id."""
        listed = self._api.v1.customers.list_async({"email": email, "limit": PAGE})
        found = await self.find(listed, {"user": user_id.hex})
        return None if found is None else facts.id_of(found)

    async def begin_checkout(self, checkout: Checkout, key: str) -> Payment:
        """A Checkout Session in payment mode.

        Raises:
            Invalid: no whole cents, or too few.
        """
        cents = whole_cents_of(checkout.amount_nanos)
        if cents < CHARGE_CENTS_MIN:
            raise Invalid("A payment by card is at least 0.50 USD.")
        user = checkout.user_id.hex
        intent: dict[str, Any] = {"metadata": {"user": user, "kind": facts.CHECKOUT}}
        if checkout.email:
            intent["receipt_email"] = checkout.email
        if checkout.save_method:
            intent["setup_future_usage"] = "off_session"
        price = {"currency": facts.CURRENCY, "unit_amount": cents, "product_data": {"name": PRODUCT}}
        asked: Any = {
            "mode": "payment", "client_reference_id": user, "metadata": {"user": user, "key": key}, "payment_intent_data": intent,
            "line_items": [{"quantity": 1, "price_data": price}],
            "success_url": f"{self._return_url}/topped-up?session_id={{CHECKOUT_SESSION_ID}}",
            "cancel_url": f"{self._return_url}/topped-up",
        }  # fmt: skip
        if checkout.customer_id:
            asked["customer"] = checkout.customer_id
        made = self._api.v1.checkout.sessions.create_async(asked, {"idempotency_key": key})
        try:
            return await self.made(made, lambda: self.find_checkout(checkout, key), facts.session_payment)
        except GatewayRefused as refusal:
            raise Invalid(str(refusal)) from refusal

    async def find_checkout(self, checkout: Checkout, key: str) -> Payment | None:
        """Among the newest sessions, by our key."""
        asked: Any = {"limit": PAGE} | ({"customer": checkout.customer_id} if checkout.customer_id else {})
        found = await self.find(self._api.v1.checkout.sessions.list_async(asked), {"key": key})
        return None if found is None else facts.session_payment(found)

    async def checkout(self, session_id: str) -> PaymentFacts:
        """The session with its intent, charge and fee."""
        expand: Any = {"expand": [f"payment_intent.{FEE_OF_INTENT}"]}
        return facts.session_facts(await self.read(self._api.v1.checkout.sessions.retrieve_async(session_id, expand)))

    async def checkout_of(self, intent_id: str) -> PaymentFacts | None:
        """An intent of Checkout has one session."""
        listed = await self.read(self._api.v1.checkout.sessions.list_async({"payment_intent": intent_id, "limit": 1}))
        return await self.checkout(listed["data"][0]["id"]) if listed["data"] else None

    async def charge_saved(self, user_id: UserId, amount_nanos: int, customer_id: str, method_id: str, key: str) -> PaymentFacts:
        """An intent that is confirmed while its owner is away. What would need its owner is refused."""
        asked = self._api.v1.payment_intents.create_async(
            {
                "amount": whole_cents_of(amount_nanos), "currency": facts.CURRENCY, "customer": customer_id, "payment_method": method_id,
                "off_session": True, "confirm": True, "expand": [FEE_OF_INTENT],
                "metadata": {"user": user_id.hex, "kind": facts.AUTOMATIC, "key": key},
            },
            {"idempotency_key": key},
        )  # fmt: skip
        made = await self.made(asked, lambda: self.find_charge(customer_id, key), facts.intent_facts)
        assert made is not None
        if made.ended:
            raise GatewayRefused(made.failure or "The payment method cannot be charged while its owner is away.")
        return made

    async def find_charge(self, customer_id: str, key: str) -> PaymentFacts | None:
        """Among the customer's intents, by our key."""
        listed = self._api.v1.payment_intents.list_async({"customer": customer_id, "limit": PAGE})
        found = await self.find(listed, {"key": key})
        return None if found is None else await self.charge(facts.id_of(found))

    async def charge(self, intent_id: str) -> PaymentFacts | None:
        """An intent of an automatic top-up; None for any other."""
        return facts.intent_facts(
            await self.read(self._api.v1.payment_intents.retrieve_async(intent_id, {"expand": [FEE_OF_INTENT]}))
        )

    async def dispute(self, dispute_id: str) -> DisputeFacts:
        """A dispute now."""
        return facts.dispute_facts(await self.read(self._api.v1.disputes.retrieve_async(dispute_id)))
