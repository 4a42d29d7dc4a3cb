"""Tables: price_changes, demand_factors, market_samples. Quotes are with the tables of money."""

from sqlalchemy import CheckConstraint, Column, DateTime, Float, ForeignKey, Index, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from fabric.db.tables.metadata import created_at, key, metadata, moment

price_changes = Table(
    "price_changes", metadata, key(),
    Column("kind", Text, nullable=False, comment="commission or devices"),
    Column("commission_bps", Integer),
    Column("devices", JSONB, comment="the whole device table"),
    Column("operator_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("reason", Text, nullable=False),
    moment("effective_at", required=True, comment="never before it was decided"), created_at(),
    CheckConstraint("kind IN ('commission','devices')", name="kind"),
    CheckConstraint("(kind = 'commission') = (commission_bps IS NOT NULL) AND (kind = 'devices') = (devices IS NOT NULL)", name="value"),
    CheckConstraint("commission_bps BETWEEN 0 AND 10000", name="commission"),
    CheckConstraint("reason <> ''", name="reason"),
    CheckConstraint("effective_at >= created_at", name="effective"),
    comment="what operators decided, append-only: who, when, why, and from which time on",
)  # fmt: skip
Index("price_changes_kind_effective_at_idx", price_changes.c.kind, price_changes.c.effective_at)

demand_factors = Table(
    "demand_factors", metadata,
    Column("device_class", Text, primary_key=True, comment="cpu, npu, other, or an entry of the device table"),
    Column("factor", Float, nullable=False),
    Column("target", Float, nullable=False, comment="where the factor moves, one bounded step at a time"),
    moment("updated_at", required=True),
    CheckConstraint("factor BETWEEN 1 AND 3 AND target BETWEEN 1 AND 3", name="bounds"),
)  # fmt: skip

market_samples = Table(
    "market_samples", metadata,
    Column("taken_at", DateTime(timezone=True), primary_key=True),
    Column("device_class", Text, primary_key=True),
    Column("slots", Integer, nullable=False),
    Column("idle", Integer, nullable=False),
    Column("backlog_s", Float, nullable=False, comment="seconds for which the queue would keep each slot of the class busy"),
    CheckConstraint("slots >= 0 AND idle BETWEEN 0 AND slots AND backlog_s >= 0", name="counts"),
    comment="queue and idle slots of the last hours, one row for each look and device class",
)  # fmt: skip
