"""Automatic top-ups: when credit falls below a threshold, a saved payment method is charged, at most so much in a UTC day.

Off by default. A charge that is refused, or that would need its owner, stops them until the owner pays once more or sets them anew.
The calls themselves are remembered before they are made, and count against the day: a lost answer is asked for again, not charged twice.
"""

from dataclasses import dataclass
from typing import Any

from fabric.billing import funding, outgoing, top_ups
from fabric.billing.card_gateway import CardGateway, PaymentFacts
from fabric.billing.gateway import GatewayRefused
from fabric.billing.stripe_sql import STRIPE
from fabric.core.errors import FabricError, Invalid, NotFound
from fabric.core.ids import UserId
from fabric.core.money import NANOS_PER_CENT
from fabric.core.settings import BillingSettings
from fabric.core.telemetry import logger
from fabric.db.engine import Database, Reader, Transaction

log = logger(__name__)

PER_TURN_MAX = 100


@dataclass(frozen=True, slots=True)
class AutomaticTopUp:
    """What a user has set, in nano-USD."""

    enabled: bool = False
    threshold_nanos: int = 0
    amount_nanos: int = 0
    day_max_nanos: int = 0
    has_method: bool = False  # somebody paid once and let the method be saved
    is_stopped: bool = False  # the last charge was refused


async def read(reader: Reader, user_id: UserId) -> AutomaticTopUp:
    """What this user has set."""
    row = (await reader.execute(STRIPE["auto_top_up"], {"user": user_id})).one_or_none()
    if row is None:
        return AutomaticTopUp()
    return AutomaticTopUp(
        row.enabled,
        row.threshold_nanos,
        row.amount_nanos,
        row.day_max_nanos,
        row.payment_method is not None,
        row.failed_at is not None,
    )


async def write(
    tx: Transaction, user_id: UserId, *, enabled: bool, threshold_nanos: int, amount_nanos: int, day_max_nanos: int,
    billing: BillingSettings,
) -> AutomaticTopUp:  # fmt: skip
    """Set it.

    Raises:
        Invalid: no whole cents, an amount outside those of a top-up, or a day that has no room for one.
    """
    if enabled:
        funding.check_amount(amount_nanos, billing)
        if amount_nanos % NANOS_PER_CENT or day_max_nanos < amount_nanos:
            raise Invalid("An automatic top-up is of whole cents, and its most for a day is at least one of them.")
    values = {
        "user": user_id, "enabled": enabled, "threshold": threshold_nanos, "amount": amount_nanos, "day_max": day_max_nanos,
    }  # fmt: skip
    await tx.execute(STRIPE["set_auto_top_up"], values)
    return await read(tx, user_id)


async def top_up_short_wallets(database: Database, gateway: CardGateway) -> int:
    """Charge for every wallet that is short; how many were credited."""
    async with database.reading() as reader:
        rows = (await reader.execute(STRIPE["short_wallets"], {"user": None, "limit": PER_TURN_MAX})).all()
    credited = 0
    for row in rows:
        try:
            credited += await top_up_wallet(database, gateway, row)
        except FabricError as error:  # the next turn asks for the same; the others' wallets do not wait for it
            log.warning("automatic_top_up_without_answer", user=str(UserId.of(row.user_id)), error=error.code)
    return credited


async def top_up_wallet(database: Database, gateway: CardGateway, wallet: Any) -> int:
    """Charge for one row of `short_wallets`, however long ago it was read; 1 when it was credited."""
    user_id = UserId.of(wallet.user_id)
    call, amount = await _next_call(database, user_id, wallet)
    if call is None:
        return 0
    if (customer := await top_ups.known_customer(database, gateway, user_id)) is None:
        return 0
    try:
        made: PaymentFacts = await outgoing.make_once(
            database, call, {"user": user_id.hex, "amount": amount},
            make=lambda key: gateway.charge_saved(user_id, amount, customer, wallet.payment_method, key),
            find=lambda: gateway.find_charge(customer, call), id_of=lambda made: made.payment.id,
        )  # fmt: skip
    except (GatewayRefused, NotFound) as refusal:
        log.warning("automatic_top_up_refused", user=str(user_id), why=str(refusal))
        async with database.transaction() as tx:
            await tx.execute(STRIPE["auto_top_up_failed"], {"user": user_id})
        return 0
    async with database.transaction() as tx:
        await funding.note_payment(tx, made.payment, intent_id=made.intent_id)
    return int(await top_ups.settle(database, made) is not None)


async def _next_call(database: Database, user_id: UserId, wallet: Any) -> tuple[str | None, int]:
    """The call that has not been written down to its end, else the next of the day if there is room. The key has the amount."""
    prefix = f"automatic:{user_id.hex}:"
    async with database.reading() as reader:
        calls = (await reader.execute(STRIPE["automatic_calls"], {"prefix": prefix, "day": wallet.day})).all()
        # After the calls, so that a call which another clerk has just ended is seen in one of both.
        still_short = (await reader.execute(STRIPE["short_wallets"], {"user": user_id, "limit": 1})).all()
    for call in calls:
        if call.payment_status is None and call.refusal is None:
            return call.key, int(call.key.rpartition(":")[2])
    if not still_short or any(call.payment_status == "pending" for call in calls):
        return None, 0  # a bank takes its time; another charge would come on top
    spent = sum(call.amount_nanos or 0 for call in calls if call.payment_status == "credited")
    if spent + wallet.amount_nanos > wallet.day_max_nanos:
        return None, 0
    return f"{prefix}{wallet.day}:{len(calls) + 1}:{wallet.amount_nanos}", wallet.amount_nanos
