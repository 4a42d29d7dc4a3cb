"""Table: quotes. The ledger's own tables are SQL, in db/migrations/versions/0001_ledger.sql."""

from sqlalchemy import Column, ForeignKey, Table, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from fabric.db.tables.metadata import created_at, key, metadata, moment

quotes = Table(
    "quotes", metadata, key(),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False, index=True),
    Column("request", JSONB, nullable=False),
    Column("answer", JSONB, nullable=False),
    moment("expires_at", required=True), created_at(),
)  # fmt: skip
