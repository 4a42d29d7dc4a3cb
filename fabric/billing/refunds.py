"""Unspent credit on its way back to the payments it came from.

    reserved → sent → done              the credit is taken aside first; the payment service is asked after that commit
        └───────┴──────┴──→ failed      it is credit again, also when it comes back after it was done

Credit that was given, held or spent does not go back.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fabric.billing import flows, limits, outgoing
from fabric.billing import store as billing_store
from fabric.billing.gateway import GatewayRefund, GatewayRefused, PayoutGateway
from fabric.billing.named_sql import STATEMENTS
from fabric.core.errors import Conflict, Invalid, PaymentsUnavailable, WalletFrozen
from fabric.core.ids import RefundId, UserId
from fabric.core.money import NANOS_PER_CENT, usd_text, whole_cents
from fabric.db.engine import Database, Reader, Transaction

LOOK_AGAIN_S = 60.0  # at one that was sent
TRY_AGAIN_S = 10.0  # after no answer; twice as long each time
PER_TURN_MAX = 50


@dataclass(frozen=True, slots=True)
class Refund:
    """Credit that goes back, in nano-USD."""

    id: RefundId
    user_id: UserId
    payment_id: str
    amount_nanos: int
    status: str  # reserved, sent, done, failed
    gateway_id: str | None
    reason: str
    failure: str | None
    created_at: datetime
    finished_at: datetime | None


async def request_refund(
    tx: Transaction, user_id: UserId, amount_nanos: int | None, *, reason: str = "", payment_id: str | None = None
) -> list[Refund]:
    """Take unspent credit aside to be sent back, the newest payments first; one refund for each payment it comes from.

    Args:
        tx: The transaction.
        user_id: Whose credit.
        amount_nanos: How much, in whole cents; None: all that can go back.
        reason: For people.
        payment_id: Only of this payment.

    Raises:
        Invalid: nothing, or no whole cents.
        InsufficientFunds: so much is not available; credit that was given, held or spent does not go back.
        Conflict: so much was never paid, went back already, or is disputed.
        WalletFrozen: the wallet is frozen.
    """
    if (await limits.take_wallet(tx, user_id)).status == "frozen":
        raise WalletFrozen
    payments = (await tx.execute(STATEMENTS["refundable_payments"], {"user": user_id, "id": payment_id})).all()
    rests = {payment.id: whole_cents(payment.rest) for payment in payments}
    if amount_nanos is None:
        available = (await billing_store.read_balance(tx, user_id))["available"]
        amount_nanos = min(whole_cents(available), sum(rests.values()))
    if amount_nanos <= 0 or amount_nanos % NANOS_PER_CENT:
        raise Invalid("A refund is of whole cents, more than 0.")
    if amount_nanos > sum(rests.values()):
        raise Conflict(f"Of your payments {usd_text(sum(rests.values()))} USD can be refunded.")
    made = []
    for payment, rest in rests.items():
        if (part := min(rest, amount_nanos)) > 0:
            made.append(await _begin(tx, user_id, payment, part, reason))
            amount_nanos -= part
    return made


async def refunds_of(reader: Reader, user_id: UserId, *, before: UUID | None, limit: int) -> list[Refund]:
    """A user's refunds, newest first."""
    rows = await reader.execute(STATEMENTS["refunds_of"], {"user": user_id, "before": before, "limit": limit})
    return [_refund(row) for row in rows]


async def advance_refunds(database: Database, gateway: PayoutGateway) -> int:
    """Take every refund that is due one step further; how many there were."""
    async with database.reading() as reader:
        rows = (await reader.execute(STATEMENTS["due_refunds"], {"limit": PER_TURN_MAX})).all()
    for row in rows:
        try:
            await _advance(database, gateway, RefundId.of(row.id))
        except PaymentsUnavailable:
            await _defer(database, RefundId.of(row.id))
    return len(rows)


async def settle_refund(tx: Transaction, refund_id: RefundId, found: GatewayRefund) -> None:
    """Write down what the payment service says of a refund; saying it again, or late, is nothing."""
    refund = await _locked(tx, refund_id)
    if found.status == "sent" and refund.status in {"reserved", "sent"}:
        await _move(tx, refund_id, "sent", gateway_id=found.id, wait_s=LOOK_AGAIN_S)
    if found.status == "done" and refund.status in {"reserved", "sent"}:
        await flows.refund_done(tx, refund_id, found.id)
        await _move(tx, refund_id, "done", gateway_id=found.id)
    if found.status == "failed" and refund.status != "failed":
        await _fail(tx, refund, found.failure or "The payment service could not send it.", gateway_id=found.id)


async def _begin(tx: Transaction, user_id: UserId, payment_id: str, amount_nanos: int, reason: str) -> Refund:
    refund_id = RefundId.new()
    await flows.begin_refund(tx, user_id, refund_id, amount_nanos)
    values = {"id": refund_id, "user": user_id, "payment": payment_id, "amount": amount_nanos, "reason": reason}
    await tx.execute(STATEMENTS["insert_refund"], values)
    await tx.execute(STATEMENTS["add_refunded"], {"id": payment_id, "amount": amount_nanos})
    return await _locked(tx, refund_id)


async def _advance(database: Database, gateway: PayoutGateway, refund_id: RefundId) -> None:
    async with database.transaction() as tx:
        refund = await _locked(tx, refund_id)
        payment = (await tx.execute(STATEMENTS["payment"], {"id": refund.payment_id})).one()
    charged = payment.intent_id or payment.id
    if refund.status == "sent" and refund.gateway_id is not None:
        found = await gateway.refund(refund.gateway_id)
    elif refund.status == "reserved":
        try:
            found = await outgoing.make_once(
                database, f"refund:{refund_id.hex}", {"payment": charged, "amount": refund.amount_nanos},
                make=lambda key: gateway.make_refund(key, charged, refund.amount_nanos, refund_id),
                find=lambda: gateway.find_refund(charged, refund_id), id_of=lambda made: made.id,
            )  # fmt: skip
        except GatewayRefused as refusal:
            async with database.transaction() as tx:
                refund = await _locked(tx, refund_id)
                if refund.status == "reserved":
                    await _fail(tx, refund, str(refusal))
            return
    else:
        return
    async with database.transaction() as tx:
        await settle_refund(tx, refund_id, found)


async def _fail(tx: Transaction, refund: Refund, why: str, *, gateway_id: str | None = None) -> None:
    await flows.refund_failed(tx, refund.id)
    await _move(tx, refund.id, "failed", gateway_id=gateway_id, failure=why)
    await tx.execute(STATEMENTS["add_refunded"], {"id": refund.payment_id, "amount": -refund.amount_nanos})


async def _move(
    tx: Transaction, refund_id: RefundId, status: str, *, gateway_id: str | None, failure: str | None = None, wait_s: float = 0.0
) -> None:
    values = {"id": refund_id, "status": status, "gateway_id": gateway_id, "failure": failure, "wait_s": wait_s}
    await tx.execute(STATEMENTS["move_refund"], values)


async def _defer(database: Database, refund_id: RefundId) -> None:
    async with database.transaction() as tx:
        await tx.execute(STATEMENTS["defer_refund"], {"id": refund_id, "wait_s": TRY_AGAIN_S})


async def _locked(tx: Transaction, refund_id: RefundId) -> Refund:
    return _refund((await tx.execute(STATEMENTS["refund"], {"id": refund_id})).one())


def _refund(row: Any) -> Refund:
    return Refund(
        RefundId.of(row.id), UserId.of(row.user_id), row.payment_id, row.amount_nanos, row.status, row.gateway_id, row.reason,
        row.failure, row.created_at, row.finished_at,
    )  # fmt: skip
