"""Sessions and their refresh tokens: random, stored hashed, good for one use.

All tokens that descend from one log-in are the family of its session. Showing a used one again means that two hold it, one of them
a thief: the whole session is ended, and both must log in.
"""

import hashlib
import secrets
from dataclasses import dataclass

from fabric.core.errors import CredentialExpired, NotFound, Unauthenticated
from fabric.core.ids import Id, SessionId, UserId
from fabric.core.settings import AuthSettings
from fabric.db.engine import Database, Transaction
from fabric.identity import audit, session_store
from fabric.identity.origin import Origin
from fabric.identity.session_store import RefreshRow
from fabric.identity.tokens import AccessToken, issue_access_token

PREFIX = "frt_"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a log-in gives."""

    access: AccessToken
    refresh: str
    refresh_expires_s: int


async def start_session(
    tx: Transaction, settings: AuthSettings, user_id: UserId, origin: Origin, *, method: str = "password"
) -> TokenPair:
    """The first pair of a new log-in."""
    session_id = SessionId.new()
    await session_store.insert_session(tx, session_id, user_id, method=method, origin=origin, expires_s=settings.refresh_token_s)
    await audit.record(tx, "logged_in", user_id, origin.by(user_id), session=str(session_id), method=method)
    return await _next_pair(tx, settings, user_id, session_id)


async def rotate(database: Database, settings: AuthSettings, token: str, origin: Origin) -> TokenPair:
    """Exchange a refresh token for a new pair.

    Raises:
        Unauthenticated: unknown, revoked, or used before; then its whole session is ended.
        CredentialExpired: it was good once.
    """
    # Decided inside the transaction, raised after it: the revocation must be committed although the caller is refused.
    async with database.transaction() as tx:
        row = await session_store.lock_refresh_token(tx, _hash(token))
        if row is not None and row.used and not row.revoked:
            await session_store.end_sessions(tx, "reused", session_id=row.family)
            await audit.record(tx, "refresh_token_reused", row.user_id, origin, session=str(row.family))
        if row is not None and _is_good(row):
            await session_store.mark_refresh_token_used(tx, _hash(token))
            await session_store.note_seen(tx, row.family, address=origin.address, extend_s=settings.refresh_token_s)
            return await _next_pair(tx, settings, row.user_id, row.family)
    if row is not None and row.expired and not (row.used or row.revoked):
        raise CredentialExpired("This refresh token has expired; log in.")
    raise Unauthenticated("This refresh token is not valid; log in.")


async def log_out(database: Database, token: str, origin: Origin) -> None:
    """End the session of this refresh token. Nothing happens for an unknown one."""
    async with database.transaction() as tx:
        row = await session_store.lock_refresh_token(tx, _hash(token))
        if row is not None and await session_store.end_sessions(tx, "logged_out", session_id=row.family):
            await audit.record(tx, "logged_out", row.user_id, origin.by(row.user_id), session=str(row.family))


async def end_session(tx: Transaction, user_id: UserId, session_id: SessionId, origin: Origin) -> None:
    """End one log-in; its access tokens are refused from this commit on.

    Raises:
        NotFound: no such live log-in of this user.
    """
    if not await session_store.end_sessions(tx, "ended", session_id=session_id, user_id=user_id):
        raise NotFound(f"There is no log-in {session_id} of yours.")
    await audit.record(tx, "session_ended", user_id, origin, session=str(session_id))


async def end_all_sessions(tx: Transaction, user_id: UserId, origin: Origin) -> int:
    """Log out everywhere; says how many log-ins that ended."""
    ended = await session_store.end_sessions(tx, "ended", user_id=user_id)
    await audit.record(tx, "all_sessions_ended", user_id, origin, sessions=ended)
    return ended


def _is_good(row: RefreshRow) -> bool:
    return not (row.used or row.revoked or row.expired)


async def _next_pair(tx: Transaction, settings: AuthSettings, user_id: UserId, session_id: SessionId) -> TokenPair:
    refresh = PREFIX + secrets.token_urlsafe(32)
    await session_store.insert_refresh_token(
        tx, Id.new(), user_id, family=session_id, token_hash=_hash(refresh), expires_s=settings.refresh_token_s
    )
    return TokenPair(issue_access_token(settings, user_id, session_id), refresh, settings.refresh_token_s)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
