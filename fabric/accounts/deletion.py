"""The end of an account: personal data is erased, and the books stay true.

Ledger lines, jobs and machines keep the user's id, which says nothing once the user's row does not. Deleting is refused while
something is still to happen with the account: jobs that run, money that is held or on its way, credit and earnings that are left.
Operators are made users first, so that nobody ends the last one by accident.
"""

from fabric.accounts import store
from fabric.billing import limits, wallet
from fabric.core.errors import Conflict, Forbidden
from fabric.core.ids import ProviderId, UserId
from fabric.core.money import usd_text
from fabric.db.engine import Database, Transaction
from fabric.files.files import GARBAGE_DELAY_S
from fabric.files.store import mark_garbage
from fabric.identity import audit, letters, session_store
from fabric.identity import store as users
from fabric.identity.origin import Origin
from fabric.mail import outbox
from fabric.mail import store as mails
from fabric.providers import presence


async def delete_account(database: Database, user_id: UserId, origin: Origin, *, give_up_credit: bool = False) -> None:
    """Erase a user; all of it or nothing.

    Args:
        database: Where.
        user_id: Who has proved that it is really them.
        origin: For the audit log.
        give_up_credit: Credit and earnings that are left are given up; they stay in the books.

    Raises:
        Conflict: with `reasons`: what must come to its end first.
        Forbidden: an operator.
    """

    async def act(tx: Transaction) -> None:
        await limits.take_wallet(tx, user_id)  # nothing is submitted, topped up or paid out meanwhile
        await users.lock_user(tx, user_id)
        user = await users.user_by_id(tx, user_id)
        if user is None:
            return
        if user.role == "operator":
            raise Forbidden("An operator's account is not deleted; another operator makes it a user first.")
        reasons = await _reasons_against(tx, user_id, give_up_credit=give_up_credit)
        if reasons:
            raise Conflict("The account cannot be deleted yet: " + "; ".join(reasons) + ".", reasons=reasons)
        await limits.close_wallet(tx, user_id, "the account was deleted")
        for provider_id in await store.live_machines(tx, user_id):
            await presence.remove(tx, user_id, ProviderId.of(provider_id))
        await mark_garbage(tx, await store.retire_content(tx, user_id), GARBAGE_DELAY_S)
        await session_store.end_sessions(tx, "deleted", user_id=user_id)
        await mails.forget_recipient(tx, user.email)
        await store.erase(tx, user_id)
        await audit.record(tx, "account_deleted", user_id, Origin(request_id=origin.request_id, actor_id=user_id))
        await audit.forget(tx, user_id)
        await outbox.queue(tx, user.email, *letters.ACCOUNT_DELETED)

    await database.retrying(act)


async def _reasons_against(tx: Transaction, user_id: UserId, *, give_up_credit: bool) -> list[str]:
    balance = await wallet.balance(tx, user_id)
    open_things = await store.open_things(tx, user_id)
    reasons = [f"{count} {what}" for what, count in open_things.items() if count]
    if balance.held_nanos > 0:
        reasons.append(f"{usd_text(balance.held_nanos)} USD are held for jobs")
    if balance.earned_pending_nanos > 0 and not give_up_credit:
        reasons.append(f"{usd_text(balance.earned_pending_nanos)} USD of earnings cannot be paid out yet")
    if balance.earned_available_nanos > 0 and not give_up_credit:
        reasons.append(f"{usd_text(balance.earned_available_nanos)} USD of earnings were not paid out")
    if balance.available_nanos > 0 and not give_up_credit:
        reasons.append(f"{usd_text(balance.available_nanos)} USD of credit are left; have them sent back, or give them up")
    if await store.owed_nanos(tx, user_id) > 0:
        reasons.append("money is owed after a dispute")
    return reasons
