"""Table: gate_grants, what the gate lets each machine say."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, LargeBinary, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from fabric.db.tables.metadata import metadata, moment

gate_grants = Table(
    "gate_grants", metadata,
    Column("provider_id", Uuid, ForeignKey("providers.id"), primary_key=True),
    Column("key_hash", LargeBinary, nullable=False, comment="SHA-256 of the key with which the machine enters"),
    Column("loopback_number", SmallInteger, unique=True, comment="the N of 127.64.0.N, for a machine of the control node itself"),
    Column("peer", Text, unique=True, comment="the address that is this machine; NULL until it entered"),
    Column("node_id", Text, unique=True, comment="hex; of the one Ray node that the gate accepted for it"),
    Column("labels", JSONB, nullable=False, comment="what its node must register, but for ray.io/…"),
    Column("resources", JSONB, nullable=False, comment="the most that its node may register"),
    moment("entered_at"), moment("banned_at", comment="cut off for good; its address and number are free again"),
    moment("updated_at", required=True),
    CheckConstraint("loopback_number > 0", name="loopback_number"),
    CheckConstraint("banned_at IS NULL OR loopback_number IS NULL", name="banned"),
)  # fmt: skip
