"""Events of the payment service: verified and stored when they come, acted upon by a loop.

An event is a hint that something changed. The loop reads the object again and posts under a key made of the object's id, so events may
come twice, late, in any order or not at all: what was missed is fetched, and money that a bank may send back is looked at again.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fabric.billing import disputes, payout_accounts, payouts, refunds, top_ups
from fabric.billing.card_gateway import CardGateway, DisputeFacts, SignedEvent
from fabric.billing.gateway import GatewayRefused
from fabric.billing.stripe_sql import STRIPE
from fabric.core.errors import FabricError, NotFound
from fabric.core.ids import UserId
from fabric.core.telemetry import logger
from fabric.db.engine import Database, Transaction

log = logger(__name__)

PER_TURN_MAX = 100
TRY_AGAIN_S = 5.0  # after the first failure; twice as long each time
ATTEMPTS_MAX = 12  # then a person must look: about four hours
OVERLAP = timedelta(hours=1)  # events are fetched again from before the newest one we have
FETCH_DAYS_MAX = 30  # so long they are kept
RETURN_DAYS = 10.0  # a bank may send money back for so long


@dataclass(frozen=True, slots=True)
class Told:
    """What an event says: something about this object, of our own account or of an owner's."""

    type: str
    object_id: str
    account_id: str | None
    intent_id: str | None = None


async def receive(database: Database, gateway: CardGateway, payload: bytes, signature: str | None, *, thin: bool) -> bool:
    """Store an event whose signature is good; False when it was stored before.

    Raises:
        Malformed: the signature is not good.
    """
    event = gateway.verify_event(payload, signature, thin=thin)
    async with database.transaction() as tx:
        return await _store(tx, event)


async def handle_events(database: Database, gateway: CardGateway) -> int:
    """Act upon what was told and is due; how many events there were."""
    async with database.reading() as reader:
        rows = (await reader.execute(STRIPE["due_events"], {"limit": PER_TURN_MAX})).all()
    for row in rows:
        await _handle(database, gateway, row)
    return len(rows)


async def fetch_missed_events(database: Database, gateway: CardGateway) -> int:
    """Store the events of our own account that no webhook has brought; how many those were."""
    async with database.reading() as reader:
        row = (await reader.execute(STRIPE["latest_event"])).one()
    first = row.now - timedelta(days=FETCH_DAYS_MAX)
    since = first if row.latest is None else max(first, row.latest - OVERLAP)
    fetched = await gateway.events_since(since)
    async with database.transaction() as tx:
        return sum([await _store(tx, event) for event in fetched if _act_of(event.type) is not None])


async def look_at_paid_payouts(database: Database, gateway: CardGateway) -> int:
    """See whether banks have sent money back that they had taken; how many payouts were looked at.

    Events of owners' accounts cannot be fetched, and this is the one that would be missed dearly.
    """
    async with database.reading() as reader:
        rows = (await reader.execute(STRIPE["finished_payouts"], {"days": RETURN_DAYS})).all()
    for row in rows:
        await _payout(database, gateway, Told("payout.failed", row.bank_payout_id, row.account_id))
    return len(rows)


async def _handle(database: Database, gateway: CardGateway, event: Any) -> None:
    error: str | None = None
    try:
        if event.livemode != gateway.livemode:
            error = "of another mode than our key"
        elif (act := _act_of(event.type)) is not None:
            await act(database, gateway, read_event(event.kind, bytes(event.payload)))
    except FabricError as failure:
        if failure.retryable or event.attempts < ATTEMPTS_MAX:
            await _defer(database, event.id, f"{failure.code}: {failure.detail}")
            return
        error = f"{failure.code}: {failure.detail}"
    except GatewayRefused as refusal:
        error = str(refusal)
    except Exception:  # a fault of ours must not keep the other events from being handled
        log.exception("event_failed", event_id=event.id, type=event.type)
        await _defer(database, event.id, "internal")
        return
    if error is not None:
        log.error("event_given_up", event_id=event.id, type=event.type, why=error)
    async with database.transaction() as tx:
        await tx.execute(STRIPE["event_handled"], {"id": event.id, "error": error})


def read_event(kind: str, payload: bytes) -> Told:
    """What stored bytes say."""
    fields = json.loads(payload)
    if kind == "thin":
        return Told(fields["type"], (fields.get("related_object") or {}).get("id", ""), fields.get("context"))
    thing = fields["data"]["object"]
    intent = thing.get("payment_intent")
    return Told(fields["type"], thing.get("id", ""), fields.get("account"), intent if isinstance(intent, str) else None)


async def _store(tx: Transaction, event: SignedEvent) -> bool:
    values = {"id": event.id, "kind": event.kind, "type": event.type, "payload": event.payload, "livemode": event.livemode}
    return (await tx.execute(STRIPE["store_event"], values)).rowcount == 1


async def _defer(database: Database, event_id: str, error: str) -> None:
    async with database.transaction() as tx:
        await tx.execute(STRIPE["defer_event"], {"id": event_id, "wait_s": TRY_AGAIN_S, "error": error})


async def _session(database: Database, gateway: CardGateway, told: Told) -> None:
    await top_ups.fulfil(database, gateway, told.object_id)


async def _intent(database: Database, gateway: CardGateway, told: Told) -> None:
    await top_ups.fulfil_intent(database, gateway, told.object_id)


async def _charge(database: Database, gateway: CardGateway, told: Told) -> None:
    if told.intent_id is None:
        raise NotFound(f"Charge {told.object_id} belongs to no payment of ours.")
    await top_ups.fulfil_intent(database, gateway, told.intent_id)


async def _dispute(database: Database, gateway: CardGateway, told: Told) -> None:
    found = await gateway.dispute(told.object_id)
    if found.status == "no_money" or found.intent_id is None:
        return  # the bank only asks
    # The payment's own event may be on its way still, and nothing can be taken back that was not credited.
    await top_ups.fulfil_intent(database, gateway, found.intent_id)
    await database.retrying(lambda tx: settle_dispute(tx, found))


async def settle_dispute(tx: Transaction, found: DisputeFacts) -> None:
    """Write down where a dispute is; saying it again, or late, is nothing."""
    assert found.intent_id is not None
    await disputes.open_dispute(tx, found.id, found.intent_id, found.amount_nanos, found.fee_nanos, reason=found.reason)
    if found.status == "won":
        await disputes.win_dispute(tx, found.id, found.fee_back_nanos)
    elif found.status == "lost":
        await disputes.lose_dispute(tx, found.id)


async def _refund(database: Database, gateway: CardGateway, told: Told) -> None:
    found, refund_id = await gateway.refund_of(told.object_id)
    if refund_id is None:
        raise NotFound(f"Refund {told.object_id} is none of ours.")
    await database.retrying(lambda tx: refunds.settle_refund(tx, refund_id, found))


async def _transfer(database: Database, gateway: CardGateway, told: Told) -> None:
    found, payout_id = await gateway.transfer(told.object_id)
    if payout_id is None:
        raise NotFound(f"Transfer {told.object_id} is none of ours.")
    await database.retrying(lambda tx: payouts.settle_transfer(tx, payout_id, found))


async def _payout(database: Database, gateway: CardGateway, told: Told) -> None:
    if told.account_id is None:
        return  # of our own profit to our own bank: no posting says that, so reconciliation will ask for a correction
    found, payout_id = await gateway.payout_of(told.account_id, told.object_id)
    if payout_id is None:
        raise NotFound(f"Bank payout {told.object_id} is none of ours.")
    await database.retrying(lambda tx: payouts.settle_bank_payout(tx, payout_id, found))


async def _account(database: Database, gateway: CardGateway, told: Told) -> None:
    async with database.reading() as reader:
        owner = (await reader.execute(STRIPE["owner_of_account"], {"gateway_id": told.object_id})).one_or_none()
    if owner is None:
        return  # its onboarding has not been written down yet, and will be read again then
    found = await gateway.account(told.object_id)
    await database.retrying(lambda tx: payout_accounts.note_account(tx, UserId.of(owner.user_id), found))


Act = Callable[[Database, CardGateway, Told], Awaitable[None]]
ACTS: Mapping[str, Act] = {
    "checkout.session.": _session, "payment_intent.succeeded": _intent, "payment_intent.payment_failed": _intent,
    "charge.updated": _charge, "charge.dispute.": _dispute, "charge.refund.updated": _refund, "refund.": _refund,
    "transfer.created": _transfer, "payout.": _payout, "account.updated": _account, "v2.core.account": _account,
}  # fmt: skip
"""By the beginning of an event's type. Others are stored, and nothing is done about them."""


def _act_of(type: str) -> Act | None:
    return next((act for beginning, act in ACTS.items() if type.startswith(beginning)), None)
