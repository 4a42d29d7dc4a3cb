"""Table: audit_log."""

from sqlalchemy import Column, Index, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from fabric.db.tables.metadata import created_at, key, metadata

audit_log = Table(
    "audit_log", metadata, key(),
    Column("user_id", Uuid, comment="whose account it is about"),
    Column("act", Text, nullable=False),
    Column("actor_id", Uuid, comment="who did it; NULL: nobody who was logged in"),
    Column("api_key_id", Uuid), Column("session_id", Uuid),
    Column("address", Text),
    Column("request_id", Text),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    created_at(),
    comment="security-relevant acts; the application may add and read, and nothing else",
)  # fmt: skip
Index("audit_log_user_id_id_idx", audit_log.c.user_id, audit_log.c.id)
Index("audit_log_actor_id_id_idx", audit_log.c.actor_id, audit_log.c.id)
