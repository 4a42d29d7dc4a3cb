"""Tables: webhooks, webhook_deliveries."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)

from fabric.db.tables.metadata import created_at, key, metadata, moment

webhooks = Table(
    "webhooks", metadata, key(),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False, index=True),
    Column("url", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("events", ARRAY(Text), nullable=False, comment="subset of webhooks.endpoints.EVENTS"),
    Column("secret", LargeBinary, nullable=False, comment="encrypted; signs what is sent"),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("switched_off_because", Text, comment="by the fabric; NULL: by its owner, or not at all"),
    moment("failing_since", comment="when a delivery was given up and none has arrived since"),
    created_at(),
)  # fmt: skip

webhook_deliveries = Table(
    "webhook_deliveries", metadata, key(),
    Column("webhook_id", Uuid, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("event", Text, nullable=False),
    Column("job_id", Uuid, comment="which job it is about"),
    Column("body", Text, nullable=False, comment="as it is signed and sent"),
    Column("status", Text, nullable=False, server_default=text("'pending'")),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="since it was last asked for"),
    Column("next_try_at", DateTime(timezone=True), server_default=text("now()"), comment="NULL: delivered, or given up"),
    Column("give_up_at", DateTime(timezone=True), nullable=False, comment="no try is made after that"),
    Column("response_status", Integer),
    Column("failure", Text),
    moment("finished_at"), created_at(),
    CheckConstraint("status IN ('pending','delivered','given_up')", name="status"),
    CheckConstraint("(status = 'pending') = (next_try_at IS NOT NULL)", name="pending"),
)  # fmt: skip
Index("webhook_deliveries_webhook_id_id_idx", webhook_deliveries.c.webhook_id, webhook_deliveries.c.id)
Index(
    "webhook_deliveries_due_idx", webhook_deliveries.c.next_try_at, postgresql_where=webhook_deliveries.c.next_try_at.isnot(None)
)
Index(
    "webhook_deliveries_pending_idx",
    webhook_deliveries.c.webhook_id,
    postgresql_where=webhook_deliveries.c.next_try_at.isnot(None),
)
Index("webhook_deliveries_created_at_idx", webhook_deliveries.c.created_at)
