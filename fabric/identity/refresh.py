"""Refresh tokens: random, stored hashed, good for one use.

All tokens that descend from one log-in are a family. Showing a used one again means that two hold it, one of them a thief: the
whole family is revoked, and both must log in.
"""

import hashlib
import secrets
from dataclasses import dataclass
from uuid import UUID

from fabric.core.errors import CredentialExpired, Unauthenticated
from fabric.core.ids import Id, UserId
from fabric.core.settings import AuthSettings
from fabric.db.engine import Database, Transaction
from fabric.identity import store
from fabric.identity.store import RefreshRow
from fabric.identity.tokens import AccessToken, issue_access_token

PREFIX = "frt_"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a log-in gives."""

    access: AccessToken
    refresh: str
    refresh_expires_s: int


async def start_family(database: Database, settings: AuthSettings, user_id: UserId, role: str) -> TokenPair:
    """The first pair of a new log-in."""
    async with database.transaction() as tx:
        return await _next_pair(tx, settings, user_id, role, Id.new())


async def rotate(database: Database, settings: AuthSettings, token: str) -> TokenPair:
    """Exchange a refresh token for a new pair.

    Raises:
        Unauthenticated: unknown, revoked, or used before; then its whole family is revoked.
        CredentialExpired: it was good once.
    """
    # Decided inside the transaction, raised after it: the revocation must be committed although the caller is refused.
    async with database.transaction() as tx:
        row = await store.lock_refresh_token(tx, _hash(token))
        if row is not None and row.used and not row.revoked:
            await store.revoke_refresh_tokens(tx, family=row.family)
        if row is not None and _is_good(row):
            await store.mark_refresh_token_used(tx, _hash(token))
            return await _next_pair(tx, settings, row.user_id, row.role, row.family)
    if row is not None and row.expired and not (row.used or row.revoked):
        raise CredentialExpired("This refresh token has expired; log in.")
    raise Unauthenticated("This refresh token is not valid; log in.")


async def end_family(database: Database, token: str) -> None:
    """Log out: this token and all of its family are worthless from now on. Nothing happens for an unknown one."""
    async with database.transaction() as tx:
        row = await store.lock_refresh_token(tx, _hash(token))
        if row is not None:
            await store.revoke_refresh_tokens(tx, family=row.family)


def _is_good(row: RefreshRow) -> bool:
    return not (row.used or row.revoked or row.expired)


async def _next_pair(tx: Transaction, settings: AuthSettings, user_id: UserId, role: str, family: UUID) -> TokenPair:
    refresh = PREFIX + secrets.token_urlsafe(32)
    await store.insert_refresh_token(
        tx, Id.new(), user_id, family=family, token_hash=_hash(refresh), expires_s=settings.refresh_token_s
    )
    return TokenPair(issue_access_token(settings, user_id, role), refresh, settings.refresh_token_s)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
