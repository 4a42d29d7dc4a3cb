"""What goes by mail: confirming an address, changing it, and a new password for somebody who forgot theirs.

Tokens are random, stored hashed, short-lived and good once; asking again makes the last one worthless. Asking for a reset does the
same work and gives the same answer whether somebody has the address or not.
"""

import hashlib
import secrets

from fabric.core.errors import AlreadyExists, Invalid
from fabric.core.ids import UserId
from fabric.core.settings import AuthSettings
from fabric.db.engine import Database, Transaction
from fabric.identity import audit, letters, proof_store, session_store, store, throttle
from fabric.identity.origin import Origin
from fabric.identity.passwords import hash_password
from fabric.identity.store import User
from fabric.mail import outbox

CONFIRM_S = 3 * 86_400
RESET_S = 1800
VERIFY, CHANGE, RESET = "verify_email", "change_email", "reset_password"
SPENT = "This link is not good any more: it was used, replaced by a newer one, or it is too old. Ask for another."


async def ask_to_verify(tx: Transaction, settings: AuthSettings, user: User) -> None:
    """Mail the user a token for their present address."""
    token = _new_token()
    put = await proof_store.put_token(tx, VERIFY, _hash(token), CONFIRM_S, user_id=user.id)
    if put is not None:
        await outbox.queue(tx, put.email, *letters.verification(settings.public_url, token))


async def ask_to_change(tx: Transaction, settings: AuthSettings, user: User, email: str, origin: Origin) -> None:
    """Mail a token to the address that shall become the user's; tell the present one.

    Raises:
        AlreadyExists: somebody has that address.
    """
    other = await store.user_by_email(tx, email)
    if other is not None and other.id != user.id:
        raise AlreadyExists("Somebody has registered with this e-mail address already.")
    token = _new_token()
    await proof_store.put_token(tx, CHANGE, _hash(token), CONFIRM_S, user_id=user.id, to_email=email)
    await outbox.queue(tx, email, *letters.address_change(settings.public_url, token))
    await outbox.queue(tx, user.email, *letters.address_changing(email))
    await audit.record(tx, "email_change_asked", user.id, origin, email=email)


async def confirm_address(database: Database, token: str, origin: Origin) -> UserId:
    """Take a token that proves an address, and change to that address if that was asked.

    Raises:
        Invalid: the token is unknown, used or too old.
        AlreadyExists: somebody else has taken the address meanwhile.
        RateLimited: too many tokens from this address.
    """
    await throttle.take(database, throttle.TOKEN_BY_ADDRESS, origin.network)
    async with database.transaction() as tx:
        shown = await proof_store.take_token(tx, [VERIFY, CHANGE], _hash(token))
        if shown is None:
            raise Invalid(SPENT)
        if shown.purpose == VERIFY:
            if not await store.verify_email(tx, shown.user_id, shown.email):
                raise Invalid(SPENT)
            await audit.record(tx, "email_verified", shown.user_id, origin)
            return shown.user_id
        before = await store.user_by_id(tx, shown.user_id)
        if before is None:
            raise Invalid(SPENT)
        if not await store.update_user(tx, shown.user_id, {"email": shown.email}):
            raise AlreadyExists("Somebody has registered with this e-mail address already.")
        await store.verify_email(tx, shown.user_id, shown.email)
        await audit.record(tx, "email_changed", shown.user_id, origin, before=before.email, after=shown.email)
        await outbox.queue(tx, before.email, *letters.address_changed(shown.email))
        return shown.user_id


async def ask_for_reset(database: Database, settings: AuthSettings, email: str, origin: Origin) -> None:
    """Mail whoever has this address a token for a new password; nobody learns whether somebody has.

    Raises:
        RateLimited: too many mails to this address, or asked for from one.
    """
    await throttle.take(database, throttle.MAIL_BY_ADDRESS, origin.network)
    await throttle.take(database, throttle.MAIL_BY_RECIPIENT, email.strip().lower())
    token = _new_token()
    letter = letters.password_reset(settings.public_url, token, RESET_S // 60)
    async with database.transaction() as tx:
        # The same statements either way; for an address that nobody has, what they wrote is taken back.
        attempt = await tx.begin_nested()
        put = await proof_store.put_token(tx, RESET, _hash(token), RESET_S, of_email=email.strip())
        await outbox.queue(tx, put.email if put else email, *letter)
        await audit.record(tx, "password_reset_asked", put.user_id if put else None, origin)
        await (attempt.commit if put else attempt.rollback)()


async def reset_password(database: Database, token: str, new_password: str, origin: Origin) -> None:
    """Set a new password and end every session. A second factor stays on.

    Raises:
        Invalid: the token is unknown, used or too old; or the password cannot be accepted.
        RateLimited: too many tokens from this address.
    """
    await throttle.take(database, throttle.TOKEN_BY_ADDRESS, origin.network)
    async with database.reading() as reader:
        if not await proof_store.has_token(reader, [RESET], _hash(token)):
            raise Invalid(SPENT)
    password_hash = await hash_password(new_password)  # outside the transaction: it takes long
    async with database.transaction() as tx:
        shown = await proof_store.take_token(tx, [RESET], _hash(token))
        if shown is None:
            raise Invalid(SPENT)
        await store.update_user(tx, shown.user_id, {"password_hash": password_hash})
        await store.verify_email(tx, shown.user_id, shown.email)  # whoever read the mail has the address
        await session_store.end_sessions(tx, "password_changed", user_id=shown.user_id)
        await audit.record(tx, "password_reset", shown.user_id, origin)
        await outbox.queue(tx, shown.email, *letters.PASSWORD_CHANGED)


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
