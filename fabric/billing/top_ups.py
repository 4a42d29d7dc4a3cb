"""Top-ups at a payment service: begun on a page, credited when the money is ours, whoever says so first.

`fulfil` reads the payment again each time and posts under a key made of its id, so webhooks, the page people come back to, and the
loop that looks at silent payments may all call it, in any order and as often as they like.
"""

import hashlib
from dataclasses import dataclass

from fabric.billing import flows, funding, outgoing
from fabric.billing.card_gateway import CardGateway, Checkout, PaymentFacts
from fabric.billing.funding import TopUp
from fabric.billing.gateway import GatewayRefused, Payment
from fabric.billing.named_sql import STATEMENTS
from fabric.billing.stripe_sql import STRIPE
from fabric.core.errors import NotFound, PaymentRefused
from fabric.core.ids import TransactionId, UserId
from fabric.core.telemetry import logger
from fabric.db.engine import Database, Reader, Transaction

log = logger(__name__)

SILENT_S = 60.0  # a payment of which nothing was heard for so long is looked at
PER_TURN_MAX = 50


@dataclass(frozen=True, slots=True)
class TopUpState:
    """Where a top-up is."""

    payment_id: str
    amount_nanos: int
    status: str  # pending, credited, failed
    livemode: bool
    transaction_id: TransactionId | None


async def begin(
    database: Database,
    gateway: CardGateway,
    user_id: UserId,
    email: str,
    amount_nanos: int,
    key: str,
    *,
    save_method: bool = False,
) -> Payment:
    """Make the page where somebody pays; the same key of a user is the same page. Opens transactions of its own.

    Raises:
        Invalid: an amount that cannot be paid.
        WalletFrozen: a payment is disputed.
        WalletClosed: it was closed.
        IdempotencyMismatch: the key was used for another amount.
        PaymentsUnavailable: the payment service cannot be reached now.
        PaymentRefused: the payment service has refused; nothing was made.
    """
    async with database.reading() as reader:
        await funding.require_open_wallet(reader, user_id)
    customer = await customer_of(database, gateway, user_id, email)
    checkout = Checkout(user_id, email, amount_nanos, customer, save_method)
    call = f"checkout:{user_id.hex}:{hashlib.sha256(key.encode()).hexdigest()[:32]}"
    payment = await outgoing.make_once(
        database, call, {"user": user_id.hex, "amount": amount_nanos, "save": save_method},
        make=lambda key: gateway.begin_checkout(checkout, key), find=lambda: gateway.find_checkout(checkout, call),
        id_of=lambda made: made.id,
    )  # fmt: skip
    async with database.transaction() as tx:
        await funding.note_payment(tx, payment)
    return payment


async def customer_of(database: Database, gateway: CardGateway, user_id: UserId, email: str) -> str:
    """The user's customer at the payment service, made if there is none."""
    call = f"customer:{user_id.hex}:{'live' if gateway.livemode else 'test'}"
    if (known := await known_customer(database, gateway, user_id)) is not None:
        return known
    try:
        return await outgoing.make_once(
            database, await outgoing.key_after_refusals(database, call), {"user": user_id.hex},
            make=lambda key: gateway.open_customer(user_id, email, key), find=lambda: gateway.find_customer(user_id, email), id_of=str,
        )  # fmt: skip
    except GatewayRefused as refusal:
        raise PaymentRefused(f"The payment service has refused: {refusal}") from refusal


async def known_customer(database: Database, gateway: CardGateway, user_id: UserId) -> str | None:
    """The same, if it was made before. Test and live customers are different ones."""
    call = f"customer:{user_id.hex}:{'live' if gateway.livemode else 'test'}"
    async with database.reading() as reader:
        known = (await reader.execute(STRIPE["answered_call"], {"key": call})).one_or_none()
    return None if known is None else str(known.answer_id)


async def fulfil(database: Database, gateway: CardGateway, session_id: str) -> TopUp | None:
    """Credit a page if it is paid; None when it is not (yet).

    Raises:
        NotFound: no such page, or it names nobody.
    """
    return await settle(database, await gateway.checkout(session_id))


async def fulfil_intent(database: Database, gateway: CardGateway, intent_id: str) -> TopUp | None:
    """The same for whatever payment an intent belongs to.

    Raises:
        NotFound: it is none of ours.
    """
    found = await gateway.checkout_of(intent_id) or await gateway.charge(intent_id)
    if found is None:
        raise NotFound(f"Payment intent {intent_id} is none of ours.")
    return await settle(database, found)


async def settle(database: Database, found: PaymentFacts) -> TopUp | None:
    """Write down what is known of a payment: credit and fee, or that nothing will come. Saying it again is nothing."""
    payment = found.payment
    if payment.user_id.int == 0:
        raise NotFound(f"Payment {payment.id} names no user of ours.")
    if payment.status != "paid":
        if found.ended:
            async with database.transaction() as tx:
                await funding.fail_payment(tx, payment.id)
        return None

    async def credit(tx: Transaction) -> TopUp:
        top_up = await funding.credit_payment(tx, payment, intent_id=found.intent_id)
        if found.fee is not None and found.fee.amount_nanos > 0:
            await flows.stripe_fee(tx, found.fee.balance_transaction_id, found.fee.amount_nanos)
        known = (await tx.execute(STATEMENTS["user_exists"], {"user": payment.user_id})).scalar_one()
        if found.method_id is not None and known:
            await tx.execute(STRIPE["save_method"], {"user": payment.user_id, "method": found.method_id})
        if not known:  # the money is ours to keep for somebody: the books say for whom, and an operator decides
            log.error("payment_of_unknown_user", payment=payment.id, user=str(payment.user_id))
        return top_up

    return await database.retrying(credit)


async def look_at_silent_payments(database: Database, gateway: CardGateway, *, silent_s: float = SILENT_S) -> int:
    """Read payments again that began and of which nothing was heard; how many ended one way or the other."""
    async with database.reading() as reader:
        values = {"livemode": gateway.livemode, "older_s": silent_s, "limit": PER_TURN_MAX}
        rows = (await reader.execute(STRIPE["pending_payments"], values)).all()
    ended = 0
    for row in rows:
        try:
            ended += await look_at(database, gateway, row.id)
        except NotFound:
            log.error("payment_unknown_at_the_service", payment=row.id)
    return ended


async def look_at(database: Database, gateway: CardGateway, payment_id: str) -> bool:
    """Read one payment again; whether it has ended one way or the other.

    Raises:
        NotFound: the payment service does not know it.
    """
    found = await gateway.charge(payment_id) if payment_id.startswith("pi_") else await gateway.checkout(payment_id)
    if found is None or not (found.payment.status == "paid" or found.ended):
        return False
    await settle(database, found)
    return True


async def find_top_up(reader: Reader, user_id: UserId, payment_id: str) -> TopUpState:
    """One top-up of this user.

    Raises:
        NotFound: there is none.
    """
    row = (await reader.execute(STRIPE["payment_of_user"], {"id": payment_id, "user": user_id})).one_or_none()
    if row is None:
        raise NotFound(f"There is no top-up {payment_id} of yours.")
    transaction_id = None if row.transaction_id is None else TransactionId.of(row.transaction_id)
    return TopUpState(row.id, row.amount_nanos, row.status, row.livemode, transaction_id)
