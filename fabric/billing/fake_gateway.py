"""PaymentGateway with play money, for tests and for a fabric without Stripe keys: every payment is paid at once."""

import hashlib

from fabric.billing.gateway import Payment
from fabric.core.ids import UserId

ID_CHARACTERS = 32


class FakeGateway:
    """Play money. Keeps nothing: the id of a payment follows from user and key, so a retry finds the same one."""

    @property
    def livemode(self) -> bool:
        """Never real."""
        return False

    async def begin_payment(self, user_id: UserId, amount_nanos: int, key: str) -> Payment:
        """A payment that is paid already."""
        digest = hashlib.sha256(user_id.bytes + key.encode()).hexdigest()
        return Payment(f"play_{digest[:ID_CHARACTERS]}", user_id, amount_nanos, "paid", livemode=False)
