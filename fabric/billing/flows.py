"""Posts the money around jobs: fees, promotional credit, maturation, clawbacks, payouts, refunds, chargebacks.

Each call is one named flow of the ledger, keyed by the business fact, so it may be made again at any time. All of them raise what
`ledger.call` raises. The payment service is never reached from here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fabric.billing.ledger import call, short_of_funds
from fabric.billing.named_sql import STATEMENTS
from fabric.core.ids import AttemptId, JobId, PayoutId, ProviderId, RefundId, SubtaskId, TransactionId, UserId
from fabric.db.engine import Transaction


@dataclass(frozen=True, slots=True)
class Matured:
    """What became an owner's to be paid out, in nano-USD."""

    matured_nanos: int
    collected_nanos: int  # of it: taken for the owner's debt


@dataclass(frozen=True, slots=True)
class Clawback:
    """A capture that was taken back."""

    transaction_id: TransactionId
    requestor_id: UserId
    provider_id: ProviderId
    returned_nanos: int  # to the requestor: the gross
    owed_nanos: int  # by the machine's owner, because the earnings had matured


@dataclass(frozen=True, slots=True)
class Chargeback:
    """A payment that a bank took back."""

    transaction_id: TransactionId
    owed_nanos: int  # what the requestor's credit did not cover


@dataclass(frozen=True, slots=True)
class Leg:
    """One line of a correction: a kind of the chart, its owner where the kind has one, a side and an amount above zero."""

    kind: str
    owner_id: UserId | None
    side: str
    amount_nanos: int


async def add_to_hold(tx: Transaction, user_id: UserId, job_id: JobId, amount_nanos: int, key: str) -> int:
    """Reserve more of the requestor's own money for a job that has a hold; all that was ever held for it, in nano-USD.

    Raises:
        InsufficientFunds: nothing was written, and the transaction may go on.
    """
    values = {"user": user_id, "job": job_id, "amount": amount_nanos, "key": key}
    row = await call(tx, STATEMENTS["add_to_hold"], values)
    _funded("wallet", row, amount_nanos)
    return int(row.held_nanos)


async def stripe_fee(tx: Transaction, balance_transaction_id: str, amount_nanos: int) -> TransactionId:
    """What the payment service kept, by the id of its own balance transaction."""
    return _id(await call(tx, STATEMENTS["stripe_fee"], {"txn": balance_transaction_id, "amount": amount_nanos}))


async def give_promotion(
    tx: Transaction, user_id: UserId, amount_nanos: int, key: str, metadata: Mapping[str, Any]
) -> TransactionId:
    """Credit that can be spent and never leaves."""
    values = {"user": user_id, "amount": amount_nanos, "key": key, "metadata": json.dumps(dict(metadata))}
    return _id(await call(tx, STATEMENTS["give_promotion"], values))


async def pay_check(tx: Transaction, attempt_id: AttemptId, provider_id: ProviderId, amount_nanos: int) -> TransactionId:
    """The platform pays a machine for checking a result."""
    return _id(await call(tx, STATEMENTS["pay_check"], {"attempt": attempt_id, "provider": provider_id, "amount": amount_nanos}))


async def mature(tx: Transaction, provider_id: ProviderId, owner_id: UserId, before: datetime) -> Matured:
    """Move what a machine earned before a moment to what its owner may be paid, less the owner's debt."""
    row = await call(tx, STATEMENTS["mature"], {"provider": provider_id, "owner": owner_id, "before": before})
    return Matured(row.matured_nanos, row.collected_nanos)


async def claw_back(tx: Transaction, subtask_id: SubtaskId, owner_id: UserId, reason: str) -> Clawback:
    """Take a capture back: gross to the requestor, commission from the platform, the rest from the machine or its owner.

    Raises:
        NotFound: nothing was captured for this subtask.
    """
    row = await call(tx, STATEMENTS["claw_back"], {"subtask": subtask_id, "owner": owner_id, "reason": reason})
    return Clawback(
        TransactionId.of(row.transaction_id), UserId.of(row.requestor_id), ProviderId.of(row.provider_id), row.returned_nanos,
        row.owed_nanos,
    )  # fmt: skip


async def reserve_payout(tx: Transaction, owner_id: UserId, payout_id: PayoutId, amount_nanos: int) -> TransactionId:
    """Take an amount of whole cents from what may be paid out, after the owner's debt.

    Raises:
        InsufficientFunds: nothing was written, and the transaction may go on.
    """
    values = {"owner": owner_id, "payout": payout_id, "amount": amount_nanos}
    return _funded("account of earnings", await call(tx, STATEMENTS["payout_reserve"], values), amount_nanos)


async def transfer_made(tx: Transaction, payout_id: PayoutId, transfer_id: str) -> TransactionId:
    """The money of a payout is in its owner's account at the payment service."""
    return _id(await call(tx, STATEMENTS["transfer_made"], {"payout": payout_id, "transfer": transfer_id}))


async def unreserve_payout(tx: Transaction, payout_id: PayoutId) -> TransactionId:
    """The transfer was refused for certain: the money may be paid out again."""
    return _id(await call(tx, STATEMENTS["payout_unreserve"], {"payout": payout_id}))


async def payout_paid(tx: Transaction, payout_id: PayoutId, bank_payout_id: str) -> TransactionId:
    """The bank has it."""
    return _id(await call(tx, STATEMENTS["payout_paid"], {"payout": payout_id, "bank_payout": bank_payout_id}))


async def payout_returned(tx: Transaction, payout_id: PayoutId, bank_payout_id: str) -> TransactionId:
    """The bank had it and sent it back."""
    return _id(await call(tx, STATEMENTS["payout_returned"], {"payout": payout_id, "bank_payout": bank_payout_id}))


async def transfer_reversed(tx: Transaction, payout_id: PayoutId, reversal_id: str) -> TransactionId:
    """The transfer was taken back: the money is the owner's to be paid out, less debt."""
    return _id(await call(tx, STATEMENTS["transfer_reversed"], {"payout": payout_id, "reversal": reversal_id}))


async def begin_refund(tx: Transaction, user_id: UserId, refund_id: RefundId, amount_nanos: int) -> TransactionId:
    """Take an amount of whole cents of unspent credit aside, to be sent back.

    Raises:
        InsufficientFunds: nothing was written, and the transaction may go on.
    """
    values = {"user": user_id, "refund": refund_id, "amount": amount_nanos}
    return _funded("wallet", await call(tx, STATEMENTS["refund_begin"], values), amount_nanos)


async def refund_done(tx: Transaction, refund_id: RefundId, gateway_id: str) -> TransactionId:
    """The payment service has sent it."""
    return _id(await call(tx, STATEMENTS["refund_done"], {"refund": refund_id, "gateway_id": gateway_id}))


async def refund_failed(tx: Transaction, refund_id: RefundId) -> TransactionId:
    """It could not be sent, or came back: it is the requestor's credit again."""
    return _id(await call(tx, STATEMENTS["refund_failed"], {"refund": refund_id}))


async def chargeback(tx: Transaction, user_id: UserId, dispute_id: str, amount_nanos: int, fee_nanos: int) -> Chargeback:
    """A bank took a payment back: from the requestor's credit what is there, the rest is owed."""
    values = {"user": user_id, "dispute": dispute_id, "amount": amount_nanos, "fee": fee_nanos}
    row = await call(tx, STATEMENTS["chargeback"], values)
    return Chargeback(TransactionId.of(row.transaction_id), row.owed_nanos)


async def chargeback_won(tx: Transaction, dispute_id: str, fee_back_nanos: int) -> TransactionId:
    """Everything is as before the chargeback, but for what is kept of the fee."""
    return _id(await call(tx, STATEMENTS["chargeback_won"], {"dispute": dispute_id, "fee_back": fee_back_nanos}))


async def chargeback_lost(tx: Transaction, dispute_id: str) -> int:
    """What is still owed is taken from credit that came meanwhile; returns the rest, our loss, in nano-USD."""
    return int((await call(tx, STATEMENTS["chargeback_lost"], {"dispute": dispute_id})).lost_nanos)


async def correct(tx: Transaction, key: str, legs: Sequence[Leg], operator: str, reason: str) -> TransactionId:
    """Put something right by hand. Only a transaction of the database's owner may: the application cannot execute it."""
    values = {
        "key": key, "kinds": [leg.kind for leg in legs], "owners": [leg.owner_id for leg in legs],
        "sides": [leg.side for leg in legs], "amounts": [leg.amount_nanos for leg in legs], "operator": operator, "reason": reason,
    }  # fmt: skip
    return _id(await call(tx, STATEMENTS["correct"], values))


def _id(row: Any) -> TransactionId:
    return TransactionId.of(row[0])


def _funded(what: str, row: Any, wanted_nanos: int) -> TransactionId:
    if row.transaction_id is None:
        raise short_of_funds(what, row.available_nanos, wanted_nanos)
    return _id(row)
