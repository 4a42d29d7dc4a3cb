"""SQL for join tokens."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, update

from fabric.core.errors import NotFound
from fabric.core.ids import JoinTokenId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables import join_tokens


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A token that lets machines join; its secret is kept nowhere."""

    id: JoinTokenId
    label: str
    hint: str
    uses_max: int
    uses: int
    expires_at: datetime
    revoked_at: datetime | None
    created_at: datetime


async def insert_join_token(tx: Transaction, owner_id: UUID, token: dict[str, Any], expires_s: int) -> JoinToken:
    """Keep a new token (id, label, hint, token_hash, uses_max)."""
    statement = (
        insert(join_tokens)
        .values(owner_id=owner_id, expires_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, expires_s), **token)
        .returning(join_tokens)
    )
    return _join_token((await tx.execute(statement)).one())


async def count_live_join_tokens(reader: Reader, owner_id: UUID) -> int:
    """Tokens of this user that could still let a machine in."""
    t = join_tokens.c
    statement = select(func.count()).where(
        t.owner_id == owner_id, t.revoked_at.is_(None), t.expires_at > func.now(), t.uses < t.uses_max
    )
    return int((await reader.execute(statement)).scalar_one())


async def list_join_tokens(reader: Reader, owner_id: UUID, before: UUID | None, limit: int) -> list[JoinToken]:
    """This user's tokens, newest first."""
    statement = select(join_tokens).where(join_tokens.c.owner_id == owner_id).order_by(join_tokens.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(join_tokens.c.id < before)
    return [_join_token(row) for row in await reader.execute(statement)]


async def revoke_join_token(tx: Transaction, owner_id: UUID, token_id: UUID) -> None:
    """Let this token in no more. Revoking twice is nothing.

    Raises:
        NotFound: this user has no such token.
    """
    statement = (
        update(join_tokens)
        .where(join_tokens.c.id == token_id, join_tokens.c.owner_id == owner_id)
        .values(revoked_at=func.coalesce(join_tokens.c.revoked_at, func.now()))
    )
    if (await tx.execute(statement)).rowcount == 0:
        raise NotFound


async def use_join_token(tx: Transaction, token_hash: bytes) -> UserId | None:
    """Spend one use of a live token; its owner, or None when it lets nobody in (any more)."""
    t = join_tokens.c
    statement = (
        update(join_tokens)
        .where(t.token_hash == token_hash, t.revoked_at.is_(None), t.expires_at > func.now(), t.uses < t.uses_max)
        .values(uses=t.uses + 1)
        .returning(t.owner_id)
    )
    owner = (await tx.execute(statement)).scalar_one_or_none()
    return None if owner is None else UserId.of(owner)


def _join_token(row: Row[Any]) -> JoinToken:
    return JoinToken(
        JoinTokenId.of(row.id), row.label, row.hint, row.uses_max, row.uses, row.expires_at, row.revoked_at, row.created_at
    )
