"""Tables: join_tokens, providers, slots."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from fabric.db.tables.metadata import created_at, key, metadata, moment

join_tokens = Table(
    "join_tokens", metadata, key(),
    Column("owner_id", Uuid, ForeignKey("users.id"), nullable=False, index=True),
    Column("label", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("uses_max", Integer, nullable=False, server_default=text("1")),
    Column("uses", Integer, nullable=False, server_default=text("0")),
    moment("expires_at", required=True), moment("revoked_at"), created_at(),
    CheckConstraint("uses <= uses_max", name="uses"),
)  # fmt: skip

providers = Table(
    "providers", metadata, key(),
    Column("owner_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("credential_hash", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the machine's own credential"),
    Column("status", Text, nullable=False, server_default=text("'enrolled'"),
           comment="enrolled, online, paused (owner), draining, offline, removed"),
    Column("capabilities", JSONB, nullable=False, comment="the report of provider_join: cpu, memory, devices, versions"),
    Column("labels", JSONB, nullable=False, comment="granted at enrolment, never declared"),
    Column("address", Text, comment="where the machine enrolled from"),
    Column("ray_node_id", Text, comment="of its present Ray node, as the agent reported it"),
    Column("agent_version", Text, nullable=False),
    Column("agent_state", JSONB, nullable=False, server_default=text("'{}'"), comment="the last heartbeat's report of its slots"),
    moment("last_heartbeat_at"), moment("removed_at"), created_at(),
    Column("schedule_revision", BigInteger, nullable=False, server_default=text("0"),
           comment="of the last wish for its schedule; it only grows"),
    Column("schedule_wanted", JSONB,
           comment="what that wish changes: hours, idle_only, idle_minutes; NULL: nothing that the machine has not taken"),
)  # fmt: skip
Index("providers_owner_id_id_idx", providers.c.owner_id, providers.c.id)

slots = Table(
    "slots", metadata,
    Column("provider_id", Uuid, ForeignKey("providers.id"), primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("resource", Text, nullable=False, comment="fabric_ and the accelerator"),
    Column("accelerator", Text, nullable=False, comment="cpu, cuda, rocm, directml, coreml, openvino or npu"),
    Column("device", Text, nullable=False, comment="its name, for people"),
    Column("execution_provider", Text, nullable=False, comment="ONNX Runtime's name, such as CPUExecutionProvider"),
    Column("threads", Integer, nullable=False, server_default=text("1")),
    Column("memory_gib", Float, nullable=False),
    Column("benchmark_runs_per_s", Float, nullable=False, comment="of the standard small model, at joining"),
    Column("rate_nanos_per_hour", BigInteger, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("is_auto", Boolean, nullable=False, server_default=text("false"), comment="the rate follows the suggestion; false: the owner has set it"),
    Column("older_rates", JSONB, nullable=False, server_default=text("'[]'"),
           comment="for jobs priced before a change of the device table: [[until, epoch seconds], rate], oldest first"),
    Column("device_id", Text, nullable=False, server_default=text("''"),
           comment="how its runtime is told which device; empty: the default one"),
    Column("device_key", Text, nullable=False, server_default=text("''"), comment="the owner's word for the device, such as cuda:1"),
    Column("model_rates", JSONB, nullable=False, server_default=text("'{}'"),
           comment="what is asked for single models: nano-USD an hour by model id; null: it is not run here"),
    CheckConstraint("rate_nanos_per_hour >= 0", name="rate"),
)  # fmt: skip
