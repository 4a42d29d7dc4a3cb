"""Tables: users, api_keys, refresh_tokens, idempotency_keys."""

from sqlalchemy import ARRAY, Column, ForeignKey, Index, LargeBinary, SmallInteger, Table, Text, Uuid, func, text

from fabric.db.tables.metadata import created_at, key, metadata, moment

users = Table(
    "users", metadata, key(),
    Column("email", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False, server_default=text("'user'"), comment="user or operator"),
    created_at(),
)  # fmt: skip
Index("users_email_key", func.lower(users.c.email), unique=True)

api_keys = Table(
    "api_keys", metadata, key(),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False, index=True),
    Column("label", Text, nullable=False),
    Column("hint", Text, nullable=False, comment="the first characters, to recognise it by"),
    Column("key_hash", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the key"),
    Column("scopes", ARRAY(Text), nullable=False, comment="subset of identity.access.SCOPES"),
    moment("expires_at"), moment("revoked_at"), moment("last_used_at"), created_at(),
)  # fmt: skip

refresh_tokens = Table(
    "refresh_tokens", metadata, key(),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False, index=True),
    Column("family", Uuid, nullable=False, index=True, comment="all tokens that descend from one log-in"),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    moment("expires_at", required=True), moment("used_at"), moment("revoked_at"), created_at(),
)  # fmt: skip

idempotency_keys = Table(
    "idempotency_keys", metadata,
    Column("user_id", Uuid, ForeignKey("users.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_hash", LargeBinary, nullable=False, comment="SHA-256 of method, path and body"),
    Column("response_status", SmallInteger, comment="NULL while the first request runs"),
    Column("response_body", LargeBinary),
    Column("response_type", Text),
    created_at(),
)  # fmt: skip
Index("idempotency_keys_created_at_idx", idempotency_keys.c.created_at)
