"""An owner's account at the payment service: onboarding, what is missing in words, schedule, and what can be paid out."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from fabric.billing import outgoing
from fabric.billing.gateway import ConnectedAccount, GatewayRefused, PayoutGateway
from fabric.billing.named_sql import STATEMENTS
from fabric.core.errors import NotOnboarded, PaymentRefused
from fabric.core.ids import UserId
from fabric.db.engine import Database, Reader, Transaction

Schedule = Literal["manual", "weekly"]


@dataclass(frozen=True, slots=True)
class PayoutAccount:
    """Where an owner's earnings go."""

    user_id: UserId
    gateway_id: str
    status: str  # onboarding, ready, restricted
    requirements: tuple[str, ...]
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class Earnings:
    """What an owner's machines have earned, and where it is; in nano-USD."""

    pending_nanos: int  # within the dispute window
    available_nanos: int  # may be paid out
    in_transit_nanos: int  # a payout was asked for
    in_stripe_nanos: int  # transferred, not yet at the bank
    debt_nanos: int  # taken from what comes next


async def earnings(reader: Reader, user_id: UserId) -> Earnings:
    """Zeros for somebody whose machines never earned."""
    row = (await reader.execute(STATEMENTS["earnings"], {"user": user_id})).one()
    return Earnings(row.pending, row.available, row.in_transit, row.in_stripe, row.debt)


async def find_account(reader: Reader, user_id: UserId) -> PayoutAccount | None:
    """This owner's account, if onboarding has begun."""
    row = (await reader.execute(STATEMENTS["payout_account"], {"user": user_id})).one_or_none()
    return None if row is None else _account(row)


async def require_ready(reader: Reader, user_id: UserId) -> PayoutAccount:
    """This owner's account, complete.

    Raises:
        NotOnboarded: there is none, or something is missing; `requirements` says what.
    """
    account = await find_account(reader, user_id)
    if account is None:
        raise NotOnboarded
    if account.status != "ready":
        detail = "The payout account is not complete: " + ("; ".join(account.requirements) or "it is being checked") + "."
        raise NotOnboarded(detail, requirements=list(account.requirements))
    return account


async def begin_onboarding(
    database: Database, gateway: PayoutGateway, user_id: UserId, email: str, return_url: str
) -> tuple[PayoutAccount, str]:
    """Make the owner's account if there is none; the account, and where it is completed. Opens transactions of its own.

    Raises:
        PaymentsUnavailable: the payment service cannot be reached now, or nothing is known of the account; ask again.
        PaymentRefused: the payment service has refused; nothing was made.
    """
    async with database.reading() as reader:
        known = await find_account(reader, user_id)
    try:
        if known is None:
            opened = await _open_account(database, gateway, user_id, email)
            async with database.transaction() as tx:  # before the link is asked for, which may get no answer
                await note_account(tx, user_id, opened)
        else:
            opened = await gateway.account(known.gateway_id)
        link = await gateway.onboarding_link(opened.id, return_url)
    except GatewayRefused as refusal:
        raise PaymentRefused(f"The payment service has refused: {refusal}") from refusal
    async with database.transaction() as tx:
        return await note_account(tx, user_id, opened), link


async def _open_account(database: Database, gateway: PayoutGateway, user_id: UserId, email: str) -> ConnectedAccount:
    return await outgoing.make_once(
        database, await outgoing.key_after_refusals(database, f"account:{user_id.hex}"), {"user": user_id.hex},
        make=lambda key: gateway.open_account(user_id, email, key), find=lambda: gateway.find_account(user_id),
        id_of=lambda made: made.id,
    )  # fmt: skip


async def refreshed(database: Database, gateway: PayoutGateway, user_id: UserId) -> PayoutAccount | None:
    """This owner's account as the payment service sees it now, if there is one.

    Raises:
        PaymentsUnavailable: the payment service cannot be reached now.
    """
    async with database.reading() as reader:
        known = await find_account(reader, user_id)
    if known is None:
        return None
    found = await gateway.account(known.gateway_id)
    async with database.transaction() as tx:
        return await note_account(tx, user_id, found)


async def note_account(tx: Transaction, user_id: UserId, found: ConnectedAccount) -> PayoutAccount:
    """Write down what the payment service says of an account."""
    values = {
        "user": user_id, "gateway_id": found.id, "status": found.status, "requirements": json.dumps(list(found.requirements)),
    }  # fmt: skip
    await tx.execute(STATEMENTS["note_payout_account"], values)
    return _account((await tx.execute(STATEMENTS["payout_account"], {"user": user_id})).one())


async def set_schedule(tx: Transaction, user_id: UserId, schedule: Schedule) -> PayoutAccount:
    """Pay on request, or every week by itself.

    Raises:
        NotOnboarded: there is no account yet.
    """
    await tx.execute(STATEMENTS["set_schedule"], {"user": user_id, "schedule": schedule})
    if (account := await find_account(tx, user_id)) is None:
        raise NotOnboarded
    return account


def _account(row: Any) -> PayoutAccount:
    return PayoutAccount(UserId.of(row.user_id), row.gateway_id, row.status, tuple(row.requirements), row.schedule)
