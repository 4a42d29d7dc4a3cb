"""Sign-up, log-in, change of password and e-mail address."""

import re
from typing import Any

from fabric.core.errors import AlreadyExists, Forbidden, Invalid, Unauthenticated
from fabric.core.ids import UserId
from fabric.db.engine import Database
from fabric.identity import store
from fabric.identity.access import Role
from fabric.identity.passwords import hash_password, is_password
from fabric.identity.store import User

EMAIL_CHARACTERS_MAX = 254
_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")


def checked_email(email: str) -> str:
    """The address without blanks around it.

    Raises:
        Invalid: it is none.
    """
    email = email.strip()
    if len(email) > EMAIL_CHARACTERS_MAX or not _EMAIL.fullmatch(email):
        raise Invalid("This is not an e-mail address.")
    return email


async def register(database: Database, email: str, password: str, *, role: Role = "user") -> User:
    """Make a user.

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
    return user


async def find_or_register(database: Database, email: str, password: str, *, role: Role = "user") -> User:
    """The user with this address, made if there is none; the password of one who exists stays as it is."""
    async with database.reading() as reader:
        user = await store.user_by_email(reader, email)
    return user or await register(database, email, password, role=role)


async def log_in(database: Database, email: str, password: str) -> User:
    """Whoever has this address and password.

    Raises:
        Unauthenticated: nobody.
    """
    async with database.reading() as reader:
        user = await store.user_by_email(reader, email.strip())
    if not await is_password(password, user.password_hash if user else None) or user is None:
        raise Unauthenticated("The e-mail address or the password is wrong.")
    return user


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


async def change(
    database: Database, user_id: UserId, *, current_password: str, email: str | None = None, new_password: str | None = None
) -> User:
    """Change address or password; a new password ends all log-ins.

    Raises:
        Forbidden: the current password is wrong.
        Invalid: the address or the new password cannot be accepted.
        AlreadyExists: the address is taken.
    """
    before = await user(database, user_id)
    if not await is_password(current_password, before.password_hash):
        raise Forbidden("The current password is wrong.")
    changes: dict[str, Any] = {}
    if email is not None:
        changes["email"] = checked_email(email)
    if new_password is not None:
        changes["password_hash"] = await hash_password(new_password)
    if not changes:
        return before
    async with database.transaction() as tx:
        if not await store.update_user(tx, user_id, changes):
            raise AlreadyExists("Somebody has registered with this e-mail address already.")
        if new_password is not None:
            await store.revoke_refresh_tokens(tx, user_id=user_id)
    return await user(database, user_id)
