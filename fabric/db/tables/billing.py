"""Tables of quotes and of money outside the ledger. The ledger's own tables are SQL, in db/migrations/versions."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from fabric.db.tables.metadata import created_at, key, metadata, moment, nanos

quotes = Table(
    "quotes", metadata, key(),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False, index=True),
    Column("request", JSONB, nullable=False),
    Column("answer", JSONB, nullable=False),
    Column("model_version_id", Uuid, nullable=False),
    Column("items", BigInteger, nullable=False),
    nanos("rate_nanos_per_hour_max", "a job under it pays no slot more; NULL: no slot was on offer, and no limit given", required=False),
    nanos("hold_nanos"),
    Column("commission_bps", Integer, nullable=False),
    Column("job_id", Uuid, unique=True, comment="the one job that was submitted with it"),
    moment("expires_at", required=True), created_at(),
)  # fmt: skip

wallets = Table(
    "wallets", metadata,
    Column("user_id", Uuid, primary_key=True, comment="locked by everything that spends; made on first use"),
    Column("status", Text, nullable=False, server_default=text("'active'"), comment="active, frozen (by a dispute or an operator), closed"),
    Column("status_reason", Text),
    nanos("day_limit_nanos", "jobs of one UTC day may hold or cost no more", required=False),
    nanos("job_limit_nanos", "one job may hold no more", required=False),
    moment("changed_at"),
    CheckConstraint("status IN ('active','frozen','closed')", name="status"),
    CheckConstraint("day_limit_nanos >= 0 AND job_limit_nanos >= 0", name="limits"),
)  # fmt: skip

auto_top_ups = Table(
    "auto_top_ups", metadata,
    Column("user_id", Uuid, ForeignKey("users.id"), primary_key=True),
    Column("enabled", Boolean, nullable=False, server_default=text("false")),
    nanos("threshold_nanos", "top up when less is available"),
    nanos("amount_nanos"),
    nanos("day_max_nanos", "no more than this in one UTC day"),
    Column("payment_method", Text, comment="the payment service's id of the saved one"),
    moment("failed_at"), moment("changed_at"),
    CheckConstraint("threshold_nanos >= 0 AND amount_nanos >= 0 AND day_max_nanos >= 0", name="amounts"),
)  # fmt: skip

payments = Table(
    "payments", metadata,
    Column("id", Text, primary_key=True, comment="the payment service's: a Checkout Session, or play money"),
    Column("user_id", Uuid, nullable=False, comment="no foreign key: a payment of somebody unknown is stored all the same"),
    Column("intent_id", Text, unique=True, comment="the payment intent, once it is known; refunds and disputes name it"),
    nanos("amount_nanos"), nanos("refunded_nanos", "asked for, and not failed"),
    Column("status", Text, nullable=False, server_default=text("'pending'"), comment="pending, credited, failed"),
    Column("livemode", Boolean, nullable=False),
    Column("transaction_id", Uuid, comment="the ledger transaction that credited it"),
    created_at(),
    CheckConstraint("amount_nanos > 0 AND refunded_nanos BETWEEN 0 AND amount_nanos", name="amounts"),
    CheckConstraint("status IN ('pending','credited','failed')", name="status"),
)  # fmt: skip
Index("payments_user_id_created_at_idx", payments.c.user_id, payments.c.created_at)

refunds = Table(
    "refunds", metadata, key(),
    Column("user_id", Uuid, nullable=False, index=True),
    Column("payment_id", Text, ForeignKey("payments.id"), nullable=False, index=True),
    nanos("amount_nanos"),
    Column("status", Text, nullable=False, server_default=text("'reserved'"), comment="reserved, sent, done, failed"),
    Column("gateway_id", Text, unique=True, comment="the payment service's"),
    Column("reason", Text, nullable=False, server_default=text("''")),
    Column("failure", Text),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    moment("next_try_at"), moment("finished_at"), created_at(),
    CheckConstraint("amount_nanos > 0", name="amount"),
    CheckConstraint("status IN ('reserved','sent','done','failed')", name="status"),
)  # fmt: skip
Index("refunds_open_idx", refunds.c.next_try_at, postgresql_where=refunds.c.status.in_(["reserved", "sent"]))

disputes = Table(
    "disputes", metadata,
    Column("id", Text, primary_key=True, comment="the payment service's"),
    Column("user_id", Uuid, nullable=False, index=True),
    Column("payment_id", Text, comment="of ours, where it is known"),
    nanos("amount_nanos"), nanos("fee_nanos"), nanos("owed_nanos", "what was not there when it opened"),
    Column("reason", Text, nullable=False, server_default=text("''")),
    Column("status", Text, nullable=False, server_default=text("'open'"), comment="open, won, lost"),
    moment("opened_at"), moment("closed_at"), created_at(),
    CheckConstraint("amount_nanos > 0 AND fee_nanos >= 0", name="amounts"),
    CheckConstraint("status IN ('open','won','lost')", name="status"),
)  # fmt: skip

payout_accounts = Table(
    "payout_accounts", metadata,
    Column("user_id", Uuid, ForeignKey("users.id"), primary_key=True),
    Column("gateway_id", Text, nullable=False, unique=True, comment="the payment service's id of the connected account"),
    Column("status", Text, nullable=False, server_default=text("'onboarding'"), comment="onboarding, ready, restricted"),
    Column("requirements", JSONB, nullable=False, server_default=text("'[]'"), comment="in words: what is still missing"),
    Column("schedule", Text, nullable=False, server_default=text("'manual'"), comment="manual or weekly"),
    moment("checked_at"), created_at(),
    CheckConstraint("status IN ('onboarding','ready','restricted')", name="status"),
    CheckConstraint("schedule IN ('manual','weekly')", name="schedule"),
)  # fmt: skip

payouts = Table(
    "payouts", metadata, key(),
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("account_id", Text, nullable=False, comment="the connected account, as it was when asked"),
    nanos("amount_nanos", "whole cents"),
    Column("status", Text, nullable=False, server_default=text("'reserved'"),
           comment="reserved, transferring, in_stripe, paid, returned, unreserved, reversing, reversed"),
    Column("transfer_id", Text, unique=True),
    Column("bank_payout_id", Text, unique=True, comment="of the last attempt to pay it to the bank"),
    Column("bank_attempt", Integer, nullable=False, server_default=text("0"), comment="which attempt that is"),
    Column("failure", Text, comment="of the last step, in words"),
    Column("week", Text, comment="of the automatic schedule, such as 2026-W31; NULL when asked for"),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="looks without an answer, for the back-off"),
    moment("next_try_at"), moment("finished_at"), created_at(),
    UniqueConstraint("user_id", "week"),
    CheckConstraint("amount_nanos > 0", name="amount"),
    CheckConstraint(
        "status IN ('reserved','transferring','in_stripe','paid','returned','unreserved','reversing','reversed')", name="status"
    ),
)  # fmt: skip
Index("payouts_user_id_id_idx", payouts.c.user_id, payouts.c.id)
Index(
    "payouts_open_idx", payouts.c.next_try_at,
    postgresql_where=payouts.c.status.in_(["reserved", "transferring", "in_stripe", "returned", "reversing"]),
)  # fmt: skip

promotions = Table(
    "promotions", metadata, key(),
    Column("user_id", Uuid, nullable=False, index=True),
    Column("giver_id", Uuid, nullable=False, comment="the operator; machines of theirs cannot earn with it"),
    nanos("amount_nanos"),
    Column("reason", Text, nullable=False),
    Column("transaction_id", Uuid, nullable=False),
    created_at(),
    CheckConstraint("amount_nanos > 0", name="amount"),
)  # fmt: skip

corrections = Table(
    "corrections", metadata,
    Column("transaction_id", Uuid, primary_key=True, comment="the ledger transaction"),
    Column("operator", Text, nullable=False),
    Column("reason", Text, nullable=False),
    created_at(),
)  # fmt: skip

stripe_events = Table(
    "stripe_events", metadata,
    Column("id", Text, primary_key=True, comment="of the event; postings are keyed by the object that it names"),
    Column("kind", Text, nullable=False, comment="snapshot or thin"),
    Column("type", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False, comment="the raw bytes, as they were signed"),
    Column("livemode", Boolean, nullable=False),
    created_at(),
    moment("handled_at", comment="NULL: to be done"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    moment("next_try_at"),
    Column("error", Text),
)  # fmt: skip
Index("stripe_events_open_idx", stripe_events.c.created_at, postgresql_where=stripe_events.c.handled_at.is_(None))

stripe_calls = Table(
    "stripe_calls", metadata,
    Column("key", Text, primary_key=True, comment="our idempotency key, made of the business fact and stored before the call"),
    Column("route", Text, nullable=False),
    Column("body_hash", LargeBinary, nullable=False, comment="SHA-256 of what was asked; another body under the same key is refused"),
    created_at(),
    moment("answered_at"),
    Column("answer_id", Text, comment="the object that the payment service made"),
    Column("refusal", Text, comment="why it refused for certain"),
)  # fmt: skip

money_modes = Table(
    "money_modes", metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, server_default=text("1")),
    Column("mode", Text, nullable=False, comment="play, test, live"),
    created_at(),
    CheckConstraint("id = 1", name="single"),
    CheckConstraint("mode IN ('play','test','live')", name="mode"),
    comment="one row, written by the first start: play money, test money and real money never share a ledger",
)  # fmt: skip
