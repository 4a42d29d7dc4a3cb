"""Tables: users, api_keys, sessions, refresh_tokens, idempotency_keys, and what proves who somebody is."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

from fabric.db.tables.metadata import created_at, key, metadata, moment

users = Table(
    "users", metadata, key(),
    Column("email", Text, nullable=False),
    Column("password_hash", Text, comment="argon2id; NULL: logs in through an identity provider only"),
    Column("role", Text, nullable=False, server_default=text("'user'"), comment="user or operator"),
    created_at(),
    moment("email_verified_at"),
    Column("totp_secret", LargeBinary, comment="encrypted; counts once totp_confirmed_at is set"),
    moment("totp_confirmed_at"),
    Column("totp_last_step", BigInteger, nullable=False, server_default=text("0"),
           comment="of the last accepted code; that one and older ones are refused"),
    moment("deleted_at", comment="personal data is erased; the row stays because the ledger names its id"),
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
    Column("requests_per_minute", Integer, comment="the owner's own limit; NULL: the fabric's"),
    CheckConstraint("requests_per_minute > 0", name="requests"),
)  # fmt: skip

sessions = Table(
    "sessions", metadata,
    Column("id", Uuid, primary_key=True, comment="of one log-in; its refresh tokens are the family of this id"),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False, index=True),
    Column("method", Text, nullable=False, comment="password or the name of an identity provider"),
    Column("device", Text, comment="what the client called itself at log-in"),
    Column("address", Text),
    Column("last_seen_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    moment("expires_at", required=True), moment("ended_at"),
    Column("end_reason", Text, comment="logged_out, ended, reused, password_changed, deleted"),
    created_at(),
)  # fmt: skip
Index("sessions_expires_at_idx", sessions.c.expires_at)

refresh_tokens = Table(
    "refresh_tokens", metadata, key(),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False, index=True),
    Column("family", Uuid, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True,
           comment="all tokens that descend from one log-in"),
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

emailed_tokens = Table(
    "emailed_tokens", metadata, key(),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("email", Text, nullable=False, comment="the address that it was sent to"),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    moment("expires_at", required=True), created_at(),
    UniqueConstraint("user_id", "purpose", name="emailed_tokens_user_id_purpose_key"),
    CheckConstraint("purpose IN ('verify_email','change_email','reset_password')", name="purpose"),
    comment="what a mail asked to be shown again; deleted when used, replaced by the next of its purpose",
)  # fmt: skip

recovery_codes = Table(
    "recovery_codes", metadata,
    Column("user_id", Uuid, ForeignKey("users.id"), primary_key=True),
    Column("code_hash", LargeBinary, primary_key=True),
    created_at(),
    comment="each is deleted when it is used",
)  # fmt: skip

linked_identities = Table(
    "linked_identities", metadata, key(),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False, index=True),
    Column("provider", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="who this is for the issuer; addresses change, this does not"),
    Column("email", Text),
    moment("last_used_at"), created_at(),
    UniqueConstraint("issuer", "subject", name="linked_identities_issuer_subject_key"),
)  # fmt: skip

social_log_ins = Table(
    "social_log_ins", metadata,
    Column("state_hash", LargeBinary, primary_key=True),
    Column("browser_hash", LargeBinary, nullable=False, comment="of the cookie of the browser that began it"),
    Column("provider", Text, nullable=False),
    Column("nonce", Text, comment="NULL once the provider has answered, which it may do once"),
    Column("code_verifier", Text),
    Column("return_to", Text),
    Column("ticket_hash", LargeBinary, unique=True, comment="of what the browser exchanges for tokens"),
    Column("user_id", Uuid, ForeignKey("users.id")),
    moment("expires_at", required=True), created_at(),
    comment="log-ins through an identity provider that are under way",
)  # fmt: skip
Index("social_log_ins_expires_at_idx", social_log_ins.c.expires_at)

throttles = Table(
    "throttles", metadata,
    Column("key_hash", LargeBinary, primary_key=True),
    Column("count", Integer, nullable=False),
    moment("expires_at", required=True),
    comment="attempts in a window of time, for all gateways together",
)  # fmt: skip
Index("throttles_expires_at_idx", throttles.c.expires_at)
