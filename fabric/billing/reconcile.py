"""Reconciliation: every balance transaction of the payment service is exactly one transaction of the ledger, and the other way round.

Differences are reported, never mended: a person finds out why, and posts a correction whose key is the balance transaction's id. Only
fees are booked from here, because a balance transaction is the first to know them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from fabric.billing import flows
from fabric.billing.card_gateway import BalanceTransaction, CardGateway
from fabric.billing.stripe_sql import STRIPE
from fabric.core import clock
from fabric.core.money import usd_text
from fabric.db.engine import Database, Reader

YOUNG = timedelta(minutes=15)  # what is younger may be on its way
EARLIER = timedelta(days=14)  # a posting may come so long after its balance transaction
PAYMENTS = frozenset({"charge", "payment"})
REFUNDS = frozenset({"refund", "payment_refund"})
REFUNDS_FAILED = frozenset({"refund_failure", "payment_failure_refund"})


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that one side knows and the other does not; amounts in nano-USD."""

    kind: str  # only_there, only_here, amount, twice, fee, balance, connected
    there: str | None  # balance transaction or account
    here: str | None  # key of the ledger's transaction
    there_nanos: int
    here_nanos: int

    def __str__(self) -> str:
        return f"{self.kind}: {self.there or '-'} {usd_text(self.there_nanos)} | {self.here or '-'} {usd_text(self.here_nanos)}"


@dataclass(slots=True)
class Report:
    """What was compared, and every difference."""

    there: int = 0
    here: int = 0
    fees_booked: int = 0
    on_their_way: int = 0
    explained_nanos: int = 0  # of the difference of the balances
    differences: list[Difference] = field(default_factory=list)

    def note(self, difference: Difference, *, young: bool = False) -> None:
        """Count something that only one side knows, or that both know differently."""
        self.explained_nanos += difference.there_nanos - difference.here_nanos
        if young:
            self.on_their_way += 1
        else:
            self.differences.append(difference)


@dataclass(frozen=True, slots=True)
class Line:
    """What one transaction of the ledger moved on platform:stripe."""

    key: str
    created_at: datetime
    nanos: int


async def book_fees(database: Database, transactions: Sequence[BalanceTransaction]) -> int:
    """Post the fees that no payment's own event has brought, each under its balance transaction's id; how many there are."""
    fees = [(txn.id, fee) for txn in transactions if (fee := fee_nanos(txn)) > 0]
    for start in range(0, len(fees), 100):
        async with database.transaction() as tx:
            for id, amount in fees[start : start + 100]:
                await flows.stripe_fee(tx, id, amount)
    return len(fees)


async def reconcile(
    database: Database, gateway: CardGateway, *, since: datetime | None = None, young: timedelta = YOUNG
) -> Report:
    """Compare both sides, after booking fees.

    Args:
        database: Ours.
        gateway: Theirs.
        since: Compare what is younger; None: everything.
        young: What is younger than this and unknown to one side is counted as on its way.

    Raises:
        PaymentsUnavailable: the payment service cannot be reached now.
    """
    before = await gateway.balance()
    transactions = await gateway.balance_transactions(None if since is None else since - EARLIER)
    booked = await book_fees(database, transactions)
    async with database.reading() as reader:
        report = await _compare(reader, transactions, since, clock.now() - young)
        here = int((await reader.execute(STRIPE["stripe_balance"])).scalar_one())
    report.fees_booked = booked
    there = await gateway.balance()
    # A balance that changes while it is read says nothing; the next turn tells.
    if there == before and there - here != report.explained_nanos:
        report.differences.append(Difference("balance", None, None, there, here + report.explained_nanos))
    for account_id in await _wrong_accounts(database, gateway):
        report.differences += (await _wrong_accounts(database, gateway, account_id)).values()  # still, and not just in between
    return report


def fee_nanos(txn: BalanceTransaction) -> int:
    """What a balance transaction says of fees that are booked on their own. A dispute's fee is part of the dispute's posting."""
    if txn.kind == "stripe_fee":
        return -txn.amount_nanos
    return 0 if txn.kind == "adjustment" else txn.fee_nanos


def expected(txn: BalanceTransaction, payments: Mapping[str, str]) -> tuple[str, int]:
    """The key of the ledger's transaction that a balance transaction is, and what that moves on platform:stripe.

    Args:
        txn: The balance transaction.
        payments: Our payments by their intents.
    """
    source = txn.source_id or ""
    if txn.kind == "stripe_fee":
        return f"fee:{txn.id}", txn.amount_nanos
    if txn.kind in PAYMENTS and txn.intent_id is not None:
        return f"topup:{payments.get(txn.intent_id, txn.intent_id)}", txn.amount_nanos
    if txn.kind in REFUNDS:
        return f"refund:{source}", txn.amount_nanos
    if txn.kind in REFUNDS_FAILED and txn.refund_id is not None:
        return f"refund:{UUID(hex=txn.refund_id.hex)}:failed", txn.amount_nanos
    if txn.kind == "transfer":
        return f"transfer:{source}", txn.amount_nanos
    if txn.kind == "transfer_refund":
        return f"reversal:{source}", txn.amount_nanos
    if txn.kind == "adjustment" and source.startswith(("dp_", "du_")):
        return f"dispute:{source}{':won' if txn.reverses else ''}", txn.amount_nanos - txn.fee_nanos
    return f"correction:{txn.id}", txn.amount_nanos - fee_nanos(txn)


async def _compare(
    reader: Reader, transactions: Sequence[BalanceTransaction], since: datetime | None, settled_before: datetime
) -> Report:
    payments = await _payments_of(reader, [txn.intent_id for txn in transactions if txn.intent_id is not None])
    open_refunds = {row.id for row in await reader.execute(STRIPE["open_refunds"])}
    pairs = [(txn, *expected(txn, payments)) for txn in transactions]
    pairs += [(txn, f"fee:{txn.id}", -fee) for txn in transactions if txn.kind != "stripe_fee" and (fee := fee_nanos(txn)) > 0]
    lines = await _lines_of(reader, [key for _, key, _ in pairs] + [f"correction:{txn.id}" for txn in transactions])
    report, matched = Report(there=len(transactions)), set[str]()
    unmatched: list[tuple[BalanceTransaction, int]] = []
    for txn, key, nanos in pairs:
        line = lines.get(key) or lines.get(f"correction:{txn.id}")
        if line is None:
            unmatched.append((txn, nanos))
        elif line.key in matched:
            report.note(Difference("twice", txn.id, line.key, nanos, 0))
        else:
            matched.add(line.key)
            if line.nanos != nanos:
                report.note(Difference("amount", txn.id, line.key, nanos, line.nanos))
    for txn, nanos in _without_what_came_back(unmatched):
        young = txn.created_at > settled_before or txn.refund_id in open_refunds
        report.note(Difference("only_there", txn.id, None, nanos, 0), young=young)
    rows = (await reader.execute(STRIPE["stripe_lines"], {"since": since})).all()
    report.here = len(rows)
    for row in rows:
        if row.idem_key not in matched:
            young = row.created_at > settled_before
            report.note(Difference("only_here", None, row.idem_key, 0, row.nanos), young=young)
    return report


def _without_what_came_back(unmatched: Sequence[tuple[BalanceTransaction, int]]) -> list[tuple[BalanceTransaction, int]]:
    """Without refunds that failed before they were posted as sent: the credit was given back and the money never left."""
    sums: dict[str | None, int] = {}
    for txn, nanos in unmatched:
        sums[txn.source_id] = sums.get(txn.source_id, 0) + nanos
    refunds = REFUNDS | REFUNDS_FAILED
    return [(txn, nanos) for txn, nanos in unmatched if txn.kind not in refunds or sums[txn.source_id] != 0]


async def _payments_of(reader: Reader, intents: Sequence[str]) -> dict[str, str]:
    rows = await reader.execute(STRIPE["payments_of_intents"], {"intents": list(intents)})
    return {row.intent_id: row.id for row in rows}


async def _lines_of(reader: Reader, keys: Sequence[str]) -> dict[str, Line]:
    rows = await reader.execute(STRIPE["lines_of_keys"], {"keys": list(keys)})
    return {row.idem_key: Line(row.idem_key, row.created_at, row.nanos) for row in rows}


async def _wrong_accounts(database: Database, gateway: CardGateway, only: str | None = None) -> dict[str, Difference]:
    """Owners' accounts whose balance there is not what the ledger says, less what is on its way to a bank."""
    async with database.reading() as reader:
        accounts = (await reader.execute(STRIPE["connected_balances"])).all()
    wrong = {}
    for account in accounts:
        if only is None or account.gateway_id == only:
            there = await gateway.balance(account.gateway_id)
            if there not in {account.nanos, account.nanos - account.leaving}:
                wrong[account.gateway_id] = Difference("connected", account.gateway_id, None, there, account.nanos)
    return wrong
