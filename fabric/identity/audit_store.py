"""SQL for the audit log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, or_, select, text

from fabric.core.ids import ApiKeyId, AuditId, SessionId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables.audit import audit_log
from fabric.identity.origin import Origin


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One act."""

    id: AuditId
    user_id: UserId | None
    act: str
    actor_id: UserId | None
    api_key_id: ApiKeyId | None
    session_id: SessionId | None
    address: str | None
    request_id: str | None
    details: dict[str, Any]
    created_at: datetime


async def insert_line(tx: Transaction, act: str, user_id: UserId | None, origin: Origin, details: dict[str, Any]) -> None:
    """Write a line."""
    row = {
        "id": AuditId.new(), "user_id": user_id, "act": act, "actor_id": origin.actor_id, "api_key_id": origin.api_key_id,
        "session_id": origin.session_id, "address": origin.address, "request_id": origin.request_id, "details": details,
    }  # fmt: skip
    await tx.execute(insert(audit_log).values(row))


async def select_lines(
    reader: Reader, *, user_id: UserId | None, act: str | None, before: UUID | None, limit: int
) -> list[AuditLine]:
    """Lines, newest first, older than `before`."""
    statement = select(audit_log)
    if user_id is not None:
        statement = statement.where(or_(audit_log.c.user_id == user_id, audit_log.c.actor_id == user_id))
    if act is not None:
        statement = statement.where(audit_log.c.act == act)
    if before is not None:
        statement = statement.where(audit_log.c.id < before)
    rows = (await reader.execute(statement.order_by(audit_log.c.id.desc()).limit(limit))).mappings()
    return [
        AuditLine(
            id=AuditId.of(row["id"]), act=row["act"], address=row["address"], request_id=row["request_id"],
            details=row["details"], created_at=row["created_at"],
            user_id=None if row["user_id"] is None else UserId.of(row["user_id"]),
            actor_id=None if row["actor_id"] is None else UserId.of(row["actor_id"]),
            api_key_id=None if row["api_key_id"] is None else ApiKeyId.of(row["api_key_id"]),
            session_id=None if row["session_id"] is None else SessionId.of(row["session_id"]),
        )
        for row in rows
    ]  # fmt: skip


async def forget(tx: Transaction, user_id: UserId) -> None:
    """Erase addresses and details of a deleted account."""
    await tx.execute(text("SELECT forget_in_audit_log(:user_id)"), {"user_id": user_id})
