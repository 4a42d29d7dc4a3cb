"""Sign-up, log-in, change of password and e-mail address."""

import re

from fabric.core.errors import AlreadyExists, Forbidden, Invalid, NotFound, Unauthenticated
from fabric.core.ids import SessionId, UserId
from fabric.core.settings import AuthSettings
from fabric.db.engine import Database, Transaction
from fabric.identity import audit, letters, recovery, second_factor, session_store, store, throttle
from fabric.identity.access import Role
from fabric.identity.origin import Origin
from fabric.identity.passwords import hash_password, is_password
from fabric.identity.refresh import TokenPair, start_session
from fabric.identity.store import User
from fabric.mail import outbox

EMAIL_CHARACTERS_MAX = 254
FRESH_S = 600
"""Who has no password proves their presence by a log-in that is no older."""
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+")


def checked_email(email: str) -> str:
    """The address without blanks around it.

    Raises:
        Invalid: it is none.
    """
    email = email.strip()
    if len(email) > EMAIL_CHARACTERS_MAX or not _EMAIL.fullmatch(email) or not email.isprintable():
        raise Invalid("This is not an e-mail address.")
    return email


async def register(
    database: Database, email: str, password: str, *, role: Role = "user", auth: AuthSettings | None = None,
    origin: Origin | None = None,
) -> User:  # fmt: skip
    """Make a user; with `auth`, ask by mail whether the address is theirs.

    Raises:
        Invalid: the address or the password cannot be accepted.
        AlreadyExists: the address is taken.
    """
    email = checked_email(email)
    password_hash = await hash_password(password)  # before the transaction: it takes long
    async with database.transaction() as tx:
        user = await store.insert_user(tx, UserId.new(), email, password_hash, role)
        if user is None:
            raise AlreadyExists("Somebody has registered with this e-mail address already.")
        await audit.record(tx, "registered", user.id, (origin or Origin()).by(user.id), method="password")
        if auth is not None:
            await recovery.ask_to_verify(tx, auth, user)
    return user


async def find_or_register(database: Database, email: str, password: str, *, role: Role = "user") -> User:
    """The user with this address, made if there is none; the password of one who exists stays as it is."""
    async with database.reading() as reader:
        user = await store.user_by_email(reader, email)
    return user or await register(database, email, password, role=role)


async def log_in(
    database: Database, settings: AuthSettings, email: str, password: str, *, code: str | None = None, origin: Origin
) -> TokenPair:
    """A new session of whoever has this address and password.

    Raises:
        Unauthenticated: nobody, or the second factor's code is wrong.
        SecondFactorNeeded: the password is right, and a code is needed too.
        RateLimited: too many attempts at this account, or from this address.
    """
    email = email.strip()
    limits = [
        (throttle.LOG_IN_BY_ADDRESS, (origin.network,)),
        (throttle.LOG_IN_BY_PAIR, (email.lower(), origin.network)),
        (throttle.LOG_IN_BY_ACCOUNT, (email.lower(),)),
    ]
    for limit, subject in limits:
        await throttle.take(database, limit, *subject)
    async with database.reading() as reader:
        user = await store.user_by_email(reader, email)
    if not await is_password(password, user.password_hash if user else None) or user is None:
        if user is not None:
            async with database.transaction() as tx:
                await audit.record(tx, "log_in_failed", user.id, origin)
        raise Unauthenticated("The e-mail address or the password is wrong.")
    await second_factor.check(database, settings, user, code, origin)
    async with database.transaction() as tx:
        for limit, subject in limits:
            await throttle.give_back(tx, limit, *subject)
        return await start_session(tx, settings, user.id, origin)


async def user(database: Database, user_id: UserId) -> User:
    """One user, by an id from a credential.

    Raises:
        Unauthenticated: they are gone.
    """
    async with database.reading() as reader:
        found = await store.user_by_id(reader, user_id)
    if found is None:
        raise Unauthenticated("This user does not exist any more.")
    return found


async def prove(database: Database, user: User, password: str | None, session_id: SessionId | None) -> None:
    """Let pass whoever shows the present password; somebody who has none, by a session that is minutes old.

    Raises:
        Forbidden: the password is wrong, or the session too old.
        RateLimited: too many wrong ones.
    """
    await throttle.take(database, throttle.PASSWORD_PROOF, user.id.hex)
    if user.password_hash is None:
        if session_id is not None:
            async with database.reading() as reader:
                if await session_store.is_younger_than(reader, session_id, FRESH_S):
                    return
        raise Forbidden(f"This account has no password: log in anew, and do this within {FRESH_S // 60} minutes.")
    if not await is_password(password or "", user.password_hash):
        raise Forbidden("The current password is wrong.")
    async with database.transaction() as tx:
        await throttle.give_back(tx, throttle.PASSWORD_PROOF, user.id.hex)


async def change(
    database: Database, settings: AuthSettings, user_id: UserId, *, current_password: str | None, email: str | None = None,
    new_password: str | None = None, origin: Origin,
) -> User:  # fmt: skip
    """Change the password, which ends all log-ins; ask for another address, which counts once it is confirmed there.

    Raises:
        Forbidden: the current password is wrong.
        Invalid: the address or the new password cannot be accepted.
        AlreadyExists: the address is taken.
        RateLimited: too many mails to that address.
    """
    before = await user(database, user_id)
    await prove(database, before, current_password, origin.session_id)
    wanted = None if email is None else checked_email(email)
    if wanted is not None:
        await throttle.take(database, throttle.MAIL_BY_RECIPIENT, wanted.lower())
    password_hash = None if new_password is None else await hash_password(new_password)
    async with database.transaction() as tx:
        if wanted is not None and wanted != before.email:
            await recovery.ask_to_change(tx, settings, before, wanted, origin)
        if password_hash is not None:
            await store.update_user(tx, user_id, {"password_hash": password_hash})
            await session_store.end_sessions(tx, "password_changed", user_id=user_id)
            await audit.record(tx, "password_changed", user_id, origin)
            await outbox.queue(tx, before.email, *letters.PASSWORD_CHANGED)
    return await user(database, user_id)


async def set_role(tx: Transaction, user_id: UserId, role: Role, origin: Origin) -> User:
    """Make a user an operator, or an operator a user; from the next request on.

    Raises:
        NotFound: there is no such user.
        Invalid: nobody would be an operator any more.
    """
    if await store.user_by_id(tx, user_id) is None:
        raise NotFound(f"There is no user {user_id}.")
    if not await store.set_role(tx, user_id, role):
        raise Invalid("This is the last operator; make somebody else one first.")
    await audit.record(tx, "role_changed", user_id, origin, role=role)
    changed = await store.user_by_id(tx, user_id)
    assert changed is not None, "locked by this transaction"
    return changed
