"""Earnings on their way to an owner's bank, in two steps: into the owner's account at the payment service, and from there to the bank.

    reserved → transferring → in_stripe → paid → returned → in_stripe …        a bank that fails is tried again later
                    └→ unreserved     └→ reversing → reversed                  refused for certain; taken back by an operator

Each step is written down before the payment service is asked and after it has answered; the money is posted only on an answer. A lost
answer posts nothing: the same call is made again under the same key.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fabric.billing import flows, limits, outgoing, payout_accounts
from fabric.billing.gateway import BankPayout, GatewayRefused, PayoutGateway, Transfer
from fabric.billing.named_sql import STATEMENTS
from fabric.core.errors import AlreadyExists, Conflict, FabricError, Invalid, NotFound, PaymentsUnavailable, WalletFrozen
from fabric.core.ids import PayoutId, UserId
from fabric.core.money import NANOS_PER_CENT, usd_nanos, usd_text, whole_cents
from fabric.core.settings import BillingSettings
from fabric.db.engine import Database, Reader, Transaction

LOOK_AGAIN_S = 60.0  # at money on its way to a bank
TRY_AGAIN_S = 10.0  # after no answer; twice as long each time
BANK_AGAIN_S = 6 * 3600.0  # after a bank that refused: its owner must mend something first
PER_TURN_MAX = 50
WEEKLY_PER_TURN_MAX = 200


@dataclass(frozen=True, slots=True)
class Payout:
    """Earnings that are paid out, in nano-USD."""

    id: PayoutId
    user_id: UserId
    account_id: str
    amount_nanos: int
    status: str  # reserved, transferring, in_stripe, paid, returned, unreserved, reversing, reversed
    transfer_id: str | None
    bank_payout_id: str | None
    bank_attempt: int
    failure: str | None  # of the last step, in words
    week: str | None  # of the automatic schedule
    created_at: datetime
    finished_at: datetime | None


async def request_payout(
    tx: Transaction, user_id: UserId, amount_nanos: int | None, *, billing: BillingSettings, week: str | None = None
) -> Payout:
    """Take matured earnings aside to be paid out; None: all of them, in whole cents. Debts are taken first.

    Raises:
        Invalid: less than the smallest payout, or no whole cents.
        InsufficientFunds: so much has not matured.
        NotOnboarded: the payout account is not complete.
        WalletFrozen: the wallet is frozen.
        AlreadyExists: this week's payout was made.
    """
    if (await limits.take_wallet(tx, user_id)).status == "frozen":
        raise WalletFrozen
    account = await payout_accounts.require_ready(tx, user_id)
    if amount_nanos is None:
        earnings = await payout_accounts.earnings(tx, user_id)
        amount_nanos = whole_cents(max(0, earnings.available_nanos - earnings.debt_nanos))
    if amount_nanos % NANOS_PER_CENT or amount_nanos < usd_nanos(billing.payout_usd_min):
        raise Invalid(f"A payout is of whole cents, at least {billing.payout_usd_min} USD; this is {usd_text(amount_nanos)} USD.")
    payout_id = PayoutId.new()
    await flows.reserve_payout(tx, user_id, payout_id, amount_nanos)
    values = {"id": payout_id, "user": user_id, "account": account.gateway_id, "amount": amount_nanos, "week": week}
    if (await tx.execute(STATEMENTS["insert_payout"], values)).rowcount == 0:
        raise AlreadyExists("This week's payout was made already.")
    return await _locked(tx, payout_id)


async def payouts_of(reader: Reader, user_id: UserId, *, before: UUID | None, limit: int) -> list[Payout]:
    """An owner's payouts, newest first."""
    values = {"user": user_id, "before": before, "id": None, "limit": limit}
    return [_payout(row) for row in await reader.execute(STATEMENTS["payouts_of"], values)]


async def get_payout(reader: Reader, user_id: UserId, payout_id: PayoutId) -> Payout:
    """One payout of this owner.

    Raises:
        NotFound: there is none.
    """
    values = {"user": user_id, "before": None, "id": payout_id, "limit": 1}
    row = (await reader.execute(STATEMENTS["payouts_of"], values)).one_or_none()
    if row is None:
        raise NotFound(f"There is no payout {payout_id} of yours.")
    return _payout(row)


async def request_reversal(tx: Transaction, payout_id: PayoutId, reason: str) -> Payout:
    """Take a transfer back that the bank does not have: the money may be paid out again, less debt.

    Raises:
        Conflict: there is no transfer, it is on its way to the bank, or the bank has it.
    """
    payout = await _locked(tx, payout_id)
    if payout.status not in {"in_stripe", "returned"} or payout.bank_payout_id is not None:
        raise Conflict(f"Payout {payout_id} is {payout.status}; only money that rests at the payment service can be taken back.")
    # An attempt of its own: a refusal is remembered with its key, and the account may be full enough another time.
    await _move(tx, payout, "reversing", bank_attempt=payout.bank_attempt + 1, failure=reason)
    return await _locked(tx, payout_id)


async def pay_weekly(database: Database, billing: BillingSettings) -> int:
    """Make this week's payouts for owners who asked for that; how many were made. Who has too little waits for the next turn."""
    values = {"min": usd_nanos(billing.payout_usd_min), "limit": WEEKLY_PER_TURN_MAX}
    async with database.reading() as reader:
        rows = (await reader.execute(STATEMENTS["weekly_payouts"], values)).all()
    made = 0
    for row in rows:
        try:
            async with database.transaction() as tx:
                await request_payout(tx, UserId.of(row.user_id), None, billing=billing, week=row.week)
            made += 1
        except FabricError as error:
            if error.retryable:
                raise
    return made


async def advance_payouts(database: Database, gateway: PayoutGateway) -> int:
    """Take every payout that is due one step further; how many there were."""
    async with database.reading() as reader:
        rows = (await reader.execute(STATEMENTS["due_payouts"], {"limit": PER_TURN_MAX})).all()
    for row in rows:
        payout_id = PayoutId.of(row.id)
        try:
            await _advance(database, gateway, payout_id)
        except PaymentsUnavailable:
            async with database.transaction() as tx:
                await tx.execute(STATEMENTS["defer_payout"], {"id": payout_id, "wait_s": TRY_AGAIN_S})
    return len(rows)


async def settle_transfer(tx: Transaction, payout_id: PayoutId, transfer: Transfer) -> None:
    """The transfer of a payout was made; saying it again is nothing.

    Raises:
        Conflict: another amount was transferred than was asked.
    """
    payout = await _locked(tx, payout_id)
    if transfer.amount_nanos != payout.amount_nanos:
        raise Conflict(f"Transfer {transfer.id} is of another amount than payout {payout_id}.")
    if payout.status in {"reserved", "transferring"}:
        await flows.transfer_made(tx, payout_id, transfer.id)
        await _move(tx, payout, "in_stripe", transfer_id=transfer.id, wait_s=0.0)


async def settle_bank_payout(tx: Transaction, payout_id: PayoutId, found: BankPayout) -> None:
    """Write down what the payment service says of money on its way to the bank; saying it again, or of an old attempt, is nothing."""
    payout = await _locked(tx, payout_id)
    # An event may tell of an attempt before its call was answered: then it is the one after those that are written down.
    is_unheard = found.status != "failed" if found.attempt is None else found.attempt > payout.bank_attempt
    is_next = payout.bank_payout_id is None and is_unheard
    if payout.bank_payout_id != found.id and not is_next:
        return
    attempt = max(payout.bank_attempt, found.attempt or payout.bank_attempt)
    if found.status == "paid" and payout.status in {"in_stripe", "returned"}:
        await flows.payout_paid(tx, payout_id, found.id)
        await _move(tx, payout, "paid", bank_payout_id=found.id, bank_attempt=attempt)
    elif found.status == "pending" and payout.status in {"in_stripe", "returned"}:
        await _move(tx, payout, "in_stripe", bank_payout_id=found.id, bank_attempt=attempt, wait_s=LOOK_AGAIN_S)
    elif found.status == "failed":
        why = found.failure or "The bank did not take it."
        if payout.status == "paid":
            await flows.payout_returned(tx, payout_id, found.id)
            await _move(tx, payout, "returned", bank_attempt=attempt, failure=why, wait_s=BANK_AGAIN_S)
        elif payout.status in {"in_stripe", "returned"}:
            await _move(tx, payout, "in_stripe", bank_attempt=attempt, failure=why, wait_s=BANK_AGAIN_S)


async def _advance(database: Database, gateway: PayoutGateway, payout_id: PayoutId) -> None:
    async with database.transaction() as tx:
        payout = await _locked(tx, payout_id)
        if payout.status == "reserved":
            await _move(tx, payout, "transferring")
    if payout.status in {"reserved", "transferring"}:
        await _transfer(database, gateway, payout)
    elif payout.status == "reversing":
        await _reverse(database, gateway, payout)
    elif payout.status in {"in_stripe", "returned"} and payout.bank_payout_id is None:
        await _send_to_bank(database, gateway, payout)
    elif payout.status == "in_stripe" and payout.bank_payout_id is not None:
        found = await gateway.bank_payout(payout.account_id, payout.bank_payout_id)
        async with database.transaction() as tx:
            await settle_bank_payout(tx, payout_id, found)


async def _transfer(database: Database, gateway: PayoutGateway, payout: Payout) -> None:
    try:
        transfer = await outgoing.make_once(
            database, f"transfer:{payout.id.hex}", {"account": payout.account_id, "amount": payout.amount_nanos},
            make=lambda key: gateway.make_transfer(key, payout.account_id, payout.amount_nanos, payout.id),
            find=lambda: gateway.find_transfer(payout.id), id_of=lambda made: made.id,
        )  # fmt: skip
    except GatewayRefused as refusal:
        async with database.transaction() as tx:
            if (await _locked(tx, payout.id)).status == "transferring":
                await flows.unreserve_payout(tx, payout.id)
                await _move(tx, payout, "unreserved", failure=str(refusal))
        return
    async with database.transaction() as tx:
        await settle_transfer(tx, payout.id, transfer)


async def _send_to_bank(database: Database, gateway: PayoutGateway, payout: Payout) -> None:
    attempt = payout.bank_attempt + 1
    try:
        found = await outgoing.make_once(
            database, f"bank_payout:{payout.id.hex}:{attempt}", {"account": payout.account_id, "amount": payout.amount_nanos},
            make=lambda key: gateway.make_bank_payout(key, payout.account_id, payout.amount_nanos, payout.id, attempt),
            find=lambda: gateway.find_bank_payout(payout.account_id, payout.id, attempt), id_of=lambda made: made.id,
        )  # fmt: skip
    except GatewayRefused as refusal:
        async with database.transaction() as tx:
            if (await _locked(tx, payout.id)).bank_attempt == payout.bank_attempt:
                await _move(tx, payout, "in_stripe", bank_attempt=attempt, failure=str(refusal), wait_s=BANK_AGAIN_S)
        return
    async with database.transaction() as tx:
        present = await _locked(tx, payout.id)
        if present.bank_attempt == payout.bank_attempt and present.status in {"in_stripe", "returned"}:
            await _move(tx, present, "in_stripe", bank_payout_id=found.id, bank_attempt=attempt, wait_s=LOOK_AGAIN_S)
        if found.status != "pending":
            await settle_bank_payout(tx, payout.id, found)


async def _reverse(database: Database, gateway: PayoutGateway, payout: Payout) -> None:
    assert payout.transfer_id is not None
    transfer_id = payout.transfer_id
    try:
        reversal_id = await outgoing.make_once(
            database, f"reversal:{payout.id.hex}:{payout.bank_attempt}", {"transfer": transfer_id, "amount": payout.amount_nanos},
            make=lambda key: gateway.reverse_transfer(key, transfer_id, payout.amount_nanos),
            find=lambda: gateway.find_reversal(transfer_id), id_of=str,
        )  # fmt: skip
    except GatewayRefused as refusal:
        async with database.transaction() as tx:
            if (await _locked(tx, payout.id)).status == "reversing":
                await _move(tx, payout, "in_stripe", failure=str(refusal), wait_s=BANK_AGAIN_S)
        return
    async with database.transaction() as tx:
        if (await _locked(tx, payout.id)).status == "reversing":
            await flows.transfer_reversed(tx, payout.id, reversal_id)
            await _move(tx, payout, "reversed", failure=payout.failure)


async def _move(
    tx: Transaction,
    payout: Payout,
    status: str,
    *,
    transfer_id: str | None = None,
    bank_payout_id: str | None = None,
    bank_attempt: int | None = None,
    failure: str | None = None,
    wait_s: float = 0.0,
) -> None:
    values = {
        "id": payout.id, "status": status, "transfer": transfer_id, "bank_payout": bank_payout_id, "failure": failure, "wait_s": wait_s,
        "bank_attempt": payout.bank_attempt if bank_attempt is None else bank_attempt,
    }  # fmt: skip
    await tx.execute(STATEMENTS["move_payout"], values)


async def _locked(tx: Transaction, payout_id: PayoutId) -> Payout:
    row = (await tx.execute(STATEMENTS["payout"], {"id": payout_id})).one_or_none()
    if row is None:
        raise NotFound(f"There is no payout {payout_id}.")
    return _payout(row)


def _payout(row: Any) -> Payout:
    return Payout(
        PayoutId.of(row.id), UserId.of(row.user_id), row.account_id, row.amount_nanos, row.status, row.transfer_id,
        row.bank_payout_id, row.bank_attempt, row.failure, row.week, row.created_at, row.finished_at,
    )  # fmt: skip
