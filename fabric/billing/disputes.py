"""Chargebacks: a bank takes a payment back. The loss is booked and the wallet frozen until the dispute is won."""

from dataclasses import dataclass
from typing import Any

from fabric.billing import flows, limits
from fabric.billing.named_sql import STATEMENTS
from fabric.core.errors import Conflict, Invalid, NotFound
from fabric.core.ids import UserId
from fabric.db.engine import Transaction

DISPUTED = "the bank has taken a payment back"


@dataclass(frozen=True, slots=True)
class Dispute:
    """A payment that somebody's bank wants back; in nano-USD."""

    id: str
    user_id: UserId
    payment_id: str | None
    amount_nanos: int
    fee_nanos: int
    owed_nanos: int  # what the wallet did not cover when it opened
    status: str  # open, won, lost


async def open_dispute(
    tx: Transaction, dispute_id: str, payment_id: str, amount_nanos: int, fee_nanos: int, *, reason: str = ""
) -> Dispute:
    """Book the loss and freeze the wallet; again, and it is the same dispute. Jobs that run go on: their credit is held already.

    Args:
        tx: The transaction.
        dispute_id: The payment service's.
        payment_id: Of the payment, or of its intent.
        amount_nanos: What the bank took.
        fee_nanos: What the payment service charges for it.
        reason: The bank's, for people.

    Raises:
        NotFound: no payment of ours.
        Invalid: no amount.
        IdempotencyMismatch: the dispute was told with other amounts.
    """
    if amount_nanos <= 0 or fee_nanos < 0:
        raise Invalid("A dispute is about an amount.")
    payment = (await tx.execute(STATEMENTS["payment"], {"id": payment_id})).one_or_none()
    if payment is None:
        raise NotFound(f"There is no payment {payment_id}.")
    user_id = UserId.of(payment.user_id)
    await limits.take_wallet(tx, user_id)
    posted = await flows.chargeback(tx, user_id, dispute_id, amount_nanos, fee_nanos)
    values = {
        "id": dispute_id, "user": user_id, "payment": payment.id, "amount": amount_nanos, "fee": fee_nanos,
        "owed": posted.owed_nanos, "reason": reason,
    }  # fmt: skip
    if (await tx.execute(STATEMENTS["insert_dispute"], values)).rowcount == 1:
        await limits.freeze(tx, user_id, DISPUTED)
    return await _dispute(tx, dispute_id)


async def win_dispute(tx: Transaction, dispute_id: str, fee_back_nanos: int = 0) -> Dispute:
    """The money is back: everything is as before, and the wallet thaws unless something else froze it. Again is nothing.

    Raises:
        NotFound: no such dispute.
        Conflict: it was lost.
    """
    dispute = await _taken(tx, dispute_id)
    if dispute.status == "lost":
        raise Conflict(f"Dispute {dispute_id} was lost.")
    if dispute.status == "open":
        await flows.chargeback_won(tx, dispute_id, fee_back_nanos)
        await tx.execute(STATEMENTS["close_dispute"], {"id": dispute_id, "status": "won"})
        others = (await tx.execute(STATEMENTS["unsettled_disputes"], {"user": dispute.user_id})).one()
        wallet = await limits.take_wallet(tx, dispute.user_id)
        if others.n == 0 and wallet.status == "frozen" and wallet.reason == DISPUTED:
            await limits.thaw(tx, dispute.user_id)
    return await _dispute(tx, dispute_id)


async def lose_dispute(tx: Transaction, dispute_id: str) -> Dispute:
    """It is final: what nobody will pay is our loss, and the wallet stays frozen. Again is nothing.

    Raises:
        NotFound: no such dispute.
        Conflict: it was won.
    """
    dispute = await _taken(tx, dispute_id)
    if dispute.status == "won":
        raise Conflict(f"Dispute {dispute_id} was won.")
    if dispute.status == "open":
        await flows.chargeback_lost(tx, dispute_id)
        await tx.execute(STATEMENTS["close_dispute"], {"id": dispute_id, "status": "lost"})
    return await _dispute(tx, dispute_id)


async def _taken(tx: Transaction, dispute_id: str) -> Dispute:
    dispute = await _dispute(tx, dispute_id)
    await limits.take_wallet(tx, dispute.user_id)
    return await _dispute(tx, dispute_id)


async def _dispute(tx: Transaction, dispute_id: str) -> Dispute:
    row: Any = (await tx.execute(STATEMENTS["dispute"], {"id": dispute_id})).one_or_none()
    if row is None:
        raise NotFound(f"There is no dispute {dispute_id}.")
    return Dispute(
        row.id, UserId.of(row.user_id), row.payment_id, row.amount_nanos, row.fee_nanos, row.owed_nanos, row.status
    )  # fmt: skip
