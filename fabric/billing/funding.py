"""Money in: top-ups.

A payment is credited once, under a key made of its own id, whoever reports it and however often. The row in `payments` is what it can
be refunded from, and what a dispute is about.
"""

from dataclasses import dataclass

from fabric.billing import ledger, limits, refunds
from fabric.billing.fake_gateway import FakeGateway
from fabric.billing.gateway import Payment
from fabric.billing.named_sql import STATEMENTS
from fabric.core.errors import Conflict, Invalid
from fabric.core.ids import TransactionId, UserId
from fabric.core.money import usd_nanos, usd_text, whole_cents
from fabric.core.settings import BillingSettings
from fabric.db.engine import Reader, Transaction

TOP_UP_NANOS_MIN = 10_000_000
"""One cent: the smallest amount that a payment service can move."""
CLOSED = "The wallet was closed before the payment arrived."


@dataclass(frozen=True, slots=True)
class TopUp:
    """Credit that was added to a wallet."""

    transaction_id: TransactionId
    payment_id: str
    amount_nanos: int
    livemode: bool


def check_amount(amount_nanos: int, billing: BillingSettings) -> None:
    """Refuse a top-up that is too small or too large.

    Raises:
        Invalid: outside one cent … `billing.top_up_usd_max`.
    """
    most = usd_nanos(billing.top_up_usd_max)
    if not TOP_UP_NANOS_MIN <= amount_nanos <= most:
        raise Invalid(f"A top-up is between {usd_text(TOP_UP_NANOS_MIN)} and {usd_text(most)} USD.")


async def require_open_wallet(reader: Reader, user_id: UserId) -> None:
    """Refuse to ask for money that could not be spent.

    Raises:
        WalletFrozen: a payment is disputed.
        WalletClosed: it was closed.
    """
    (await limits.read_wallet(reader, user_id)).require_open()


async def note_payment(tx: Transaction, payment: Payment, *, intent_id: str | None = None) -> None:
    """Remember a payment that has begun, so that it can be recognised when it is told of."""
    values = {
        "id": payment.id, "user": payment.user_id, "intent": intent_id, "amount": payment.amount_nanos, "livemode": payment.livemode,
    }  # fmt: skip
    await tx.execute(STATEMENTS["note_payment"], values)


async def credit_payment(tx: Transaction, payment: Payment, *, request_id: str = "", intent_id: str | None = None) -> TopUp:
    """Credit a payment that is paid; again, and it is the same top-up. To a closed wallet nothing is given: it is sent back.

    Raises:
        Conflict: the money has not arrived yet.
        IdempotencyMismatch: the same payment was credited with another amount.
    """
    if payment.status != "paid":
        raise Conflict(f"Payment {payment.id} is not paid yet.")
    wallet = await limits.take_wallet(tx, payment.user_id)
    await note_payment(tx, payment, intent_id=intent_id)
    metadata = {"payment": payment.id, "livemode": payment.livemode, "request_id": request_id}
    transaction_id = await ledger.top_up(tx, payment.user_id, payment.amount_nanos, payment.id, metadata)
    credited = await tx.execute(STATEMENTS["payment_credited"], {"id": payment.id, "transaction_id": transaction_id})
    if wallet.status == "closed" and credited.rowcount == 1:
        back = whole_cents(payment.amount_nanos)
        await refunds.request_refund(tx, payment.user_id, back, reason=CLOSED, payment_id=payment.id)
    return TopUp(transaction_id, payment.id, payment.amount_nanos, payment.livemode)


async def fail_payment(tx: Transaction, payment_id: str) -> None:
    """A payment that began will not come; one that was credited stays so."""
    await tx.execute(STATEMENTS["payment_failed"], {"id": payment_id})


async def top_up_with_play_money(tx: Transaction, user_id: UserId, amount_nanos: int, key: str, *, request_id: str = "") -> TopUp:
    """Credit play money; the same key again is the same top-up. Play money is made on the spot, so a transaction may be open.

    Raises:
        IdempotencyMismatch: this user topped up another amount under the same key.
    """
    payment = await FakeGateway().begin_payment(user_id, amount_nanos, key)
    return await credit_payment(tx, payment, request_id=request_id)
