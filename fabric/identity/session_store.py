"""SQL for sessions and refresh tokens."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, text, update

from fabric.core.ids import SessionId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables.identity import refresh_tokens, sessions
from fabric.identity.origin import Origin

SEEN_PRECISION_S = 60


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in as its person sees it."""

    id: SessionId
    method: str
    device: str | None
    address: str | None
    last_seen_at: datetime
    expires_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SessionBearer:
    """What a session says of whoever shows an access token of it."""

    user_id: UserId
    role: str
    is_over: bool
    seen_lately: bool  # last_seen_at is recent enough


@dataclass(frozen=True, slots=True)
class RefreshRow:
    """A refresh token that was shown, locked."""

    user_id: UserId
    role: str
    family: SessionId
    expired: bool
    used: bool
    revoked: bool


async def insert_session(
    tx: Transaction, session_id: SessionId, user_id: UserId, *, method: str, origin: Origin, expires_s: int
) -> None:
    """Write a log-in."""
    row = {
        "id": session_id, "user_id": user_id, "method": method, "device": origin.device, "address": origin.address,
        "expires_at": _in_seconds(expires_s),
    }  # fmt: skip
    await tx.execute(insert(sessions).values(row))


async def bearer_of(reader: Reader, session_id: SessionId) -> SessionBearer | None:
    """Whose session this is."""
    statement = text("""
        SELECT s.user_id, u.role, s.ended_at IS NOT NULL OR s.expires_at <= now() OR u.deleted_at IS NOT NULL AS is_over,
               s.last_seen_at > now() - make_interval(secs => :precision_s) AS seen_lately
        FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = :id""")
    row = (await reader.execute(statement, {"id": session_id, "precision_s": SEEN_PRECISION_S})).one_or_none()
    return None if row is None else SessionBearer(UserId.of(row.user_id), row.role, row.is_over, row.seen_lately)


async def note_seen(tx: Transaction, session_id: SessionId, *, address: str | None = None, extend_s: int | None = None) -> None:
    """Remember that a session was used now, from where; with `extend_s`, that it goes on for so long."""
    values: dict[str, Any] = {"last_seen_at": func.now()}
    if address is not None:
        values["address"] = address
    if extend_s is not None:
        values["expires_at"] = _in_seconds(extend_s)
    await tx.execute(update(sessions).where(sessions.c.id == session_id).values(values))


async def is_younger_than(reader: Reader, session_id: SessionId, seconds: int) -> bool:
    """Whether the log-in was so short a time ago."""
    young = (sessions.c.id == session_id) & (sessions.c.created_at > _in_seconds(-seconds))
    return (await reader.execute(select(sessions.c.id).where(young))).one_or_none() is not None


async def select_sessions(reader: Reader, user_id: UserId, before: UUID | None, limit: int) -> list[Session]:
    """This user's live log-ins, newest first, older than `before`."""
    live = (sessions.c.user_id == user_id) & sessions.c.ended_at.is_(None) & (sessions.c.expires_at > func.now())
    statement = select(sessions).where(live)
    if before is not None:
        statement = statement.where(sessions.c.id < before)
    rows = (await reader.execute(statement.order_by(sessions.c.id.desc()).limit(limit))).mappings()
    names = ("method", "device", "address", "last_seen_at", "expires_at", "created_at")
    return [Session(SessionId.of(row["id"]), **{name: row[name] for name in names}) for row in rows]


async def end_sessions(
    tx: Transaction, reason: str, *, session_id: SessionId | None = None, user_id: UserId | None = None
) -> int:
    """End one log-in, or all of one user, or one that must be of this user; access and refresh tokens are worthless at once."""
    assert session_id is not None or user_id is not None, "whose?"
    statement = update(sessions).where(sessions.c.ended_at.is_(None)).values(ended_at=func.now(), end_reason=reason)
    tokens = update(refresh_tokens).where(refresh_tokens.c.revoked_at.is_(None)).values(revoked_at=func.now())
    if session_id is not None:
        statement = statement.where(sessions.c.id == session_id)
        tokens = tokens.where(refresh_tokens.c.family == session_id)
    if user_id is not None:
        statement = statement.where(sessions.c.user_id == user_id)
        tokens = tokens.where(refresh_tokens.c.user_id == user_id)
    ended = int((await tx.execute(statement)).rowcount)
    await tx.execute(tokens)
    return ended


async def insert_refresh_token(
    tx: Transaction, token_id: UUID, user_id: UserId, *, family: SessionId, token_hash: bytes, expires_s: int
) -> None:
    """Write a refresh token that is good for `expires_s` on the database's clock."""
    row = {"id": token_id, "user_id": user_id, "family": family, "token_hash": token_hash, "expires_at": _in_seconds(expires_s)}
    await tx.execute(insert(refresh_tokens).values(row))


async def lock_refresh_token(tx: Transaction, token_hash: bytes) -> RefreshRow | None:
    """The row of a shown token; a second request with the same token waits until the first has ended."""
    statement = text("""
        SELECT t.user_id, u.role, t.family, t.expires_at <= now() AS expired, t.used_at IS NOT NULL AS used,
               t.revoked_at IS NOT NULL AS revoked
        FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE t.token_hash = :token_hash FOR UPDATE OF t""")
    row = (await tx.execute(statement, {"token_hash": token_hash})).one_or_none()
    if row is None:
        return None
    return RefreshRow(UserId.of(row.user_id), row.role, SessionId.of(row.family), row.expired, row.used, row.revoked)


async def mark_refresh_token_used(tx: Transaction, token_hash: bytes) -> None:
    """From now on showing this token again is a sign of theft."""
    await tx.execute(update(refresh_tokens).where(refresh_tokens.c.token_hash == token_hash).values(used_at=func.now()))


async def delete_old_refresh_tokens(tx: Transaction, expired_for_s: int) -> int:
    """Forget refresh tokens, and log-ins, long after they expired; returns how many tokens."""
    limit = _in_seconds(-expired_for_s)
    gone = int((await tx.execute(delete(refresh_tokens).where(refresh_tokens.c.expires_at < limit))).rowcount)
    await tx.execute(delete(sessions).where(sessions.c.expires_at < limit))
    return gone


def _in_seconds(seconds: int) -> Any:
    return func.now() + text("make_interval(secs => :seconds)").bindparams(seconds=seconds)
