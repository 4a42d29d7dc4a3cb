"""Tables: jobs, subtasks, attempts, job_templates."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
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

jobs = Table(
    "jobs", metadata, key(),
    Column("owner_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("model_version_id", Uuid, ForeignKey("model_versions.id"), nullable=False),
    Column("status", Text, nullable=False, server_default=text("'queued'"), comment="queued, running, succeeded, failed, cancelled"),
    Column("request", JSONB, nullable=False, comment="the body as submitted"),
    Column("inputs", JSONB, nullable=False, comment="resolved parts: objects, offsets, item sizes, dtype, shape"),
    Column("requirements", JSONB, nullable=False, server_default=text("'{}'")),
    Column("own_machines", Boolean, nullable=False, server_default=text("false")),
    Column("priority", Integer, nullable=False, server_default=text("0"), comment="higher goes first"),
    Column("items_total", Integer, nullable=False),
    Column("items_done", Integer, nullable=False, server_default=text("0"), comment="delivered, failed items not counted"),
    Column("items_failed", Integer, nullable=False, server_default=text("0")),
    Column("subtasks_total", Integer, nullable=False),
    Column("subtasks_done", Integer, nullable=False, server_default=text("0")),
    Column("subtasks_leased", Integer, nullable=False, server_default=text("0"), comment="now; so that planning need not count rows"),
    Column("item_us", Float, nullable=False, comment="expected microseconds of one item on a slot of speed 1"),
    nanos("held_nanos", "placed at submit, and what was added later"),
    nanos("captured_nanos", "gross, commission included"),
    nanos("commission_nanos", "part of captured_nanos"),
    nanos("reserved_nanos", "caps of the outstanding leases; captured + reserved <= held"),
    nanos("released_nanos", "returned at the end"),
    nanos("rate_nanos_per_hour_max", "the requestor's limit", required=False),
    Column("waiting_reason", Text, comment="no_capacity, price_below_market, model_loading, funds, provider_failing"),
    moment("waiting_since", comment="when waiting_reason became what it is"),
    Column("barred_owner_ids", ARRAY(Uuid), nullable=False, server_default=text("'{}'"),
           comment="who gave the promotional credit in the hold: machines of theirs cannot earn it"),
    Column("commission_bps", Integer, comment="as it was at submit, or in its quote; NULL: from before it was kept here"),
    Column("quote_id", Uuid),
    moment("priced_at", comment="the device table of this moment counts; NULL: that of created_at"),
    Column("error_code", Text), Column("error_detail", Text),
    Column("event_seq", Integer, nullable=False, server_default=text("0")),
    Column("request_id", Text, nullable=False),
    created_at(), moment("started_at"), moment("finished_at"), moment("deadline_at"),
    Column("labels", JSONB, nullable=False, server_default=text("'{}'"), comment="names and values of the owner's, to find jobs by"),
    Column("retry_of", Uuid, ForeignKey("jobs.id"), comment="the job whose missing items this one does again"),
    Column("retried_items", JSONB, comment="[[first, count] …]: which items of retry_of these are, in order"),
    Column("results_kept_s", BigInteger, nullable=False, server_default=text("2592000"), comment="after the end; then the results are deleted"),
    moment("results_warned_at"), moment("results_deleted_at"),
    CheckConstraint("captured_nanos + reserved_nanos <= held_nanos", name="spend"),
    CheckConstraint("commission_bps BETWEEN 0 AND 10000", name="commission"),
    CheckConstraint("status IN ('queued','running','succeeded','failed','cancelled')", name="status"),
    postgresql_with={"fillfactor": "70"},
)  # fmt: skip
Index("jobs_owner_id_id_idx", jobs.c.owner_id, jobs.c.id)
Index("jobs_labels_idx", jobs.c.labels, postgresql_using="gin", postgresql_ops={"labels": "jsonb_path_ops"})
Index("jobs_results_idx", jobs.c.finished_at,
      postgresql_where=jobs.c.finished_at.is_not(None) & jobs.c.results_deleted_at.is_(None))  # fmt: skip
Index("jobs_open_idx", jobs.c.priority.desc(), jobs.c.id, postgresql_where=jobs.c.status.in_(["queued", "running"]))

subtasks = Table(
    "subtasks", metadata, key(),
    Column("job_id", Uuid, ForeignKey("jobs.id"), nullable=False),
    Column("position", Integer, nullable=False, comment="0, 1, 2 … in input order"),
    Column("item_start", Integer, nullable=False),
    Column("item_count", Integer, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'waiting'"), comment="waiting, leased, done, failed, cancelled"),
    Column("fence", Integer, nullable=False, server_default=text("0"), comment="grows with each lease; a receipt with another fence is nothing"),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="leases that ended without a result and count against the limit"),
    Column("not_before", BigInteger, nullable=False, server_default=text("0"), comment="epoch ms; back-off after a failure"),
    Column("avoid_provider_id", Uuid, comment="the provider of the last failed attempt"),
    Column("order_id", Uuid), Column("provider_id", Uuid), Column("slot", Integer),
    nanos("cap_nanos", "reserved in jobs.reserved_nanos while leased"),
    Column("rate_nanos_per_hour", BigInteger, nullable=False, server_default=text("0"), comment="locked when leased"),
    moment("leased_at"), moment("lease_until"), moment("finished_at"),
    Column("output", LargeBinary, comment="a tensor frame, when small"),
    Column("output_key", Text, comment="the object, when large"),
    Column("output_size", BigInteger), Column("output_sha256", LargeBinary),
    Column("item_errors", JSONB, comment="[[index in the job, code, detail]]"),
    nanos("gross_nanos", "captured for this subtask"),
    Column("error_code", Text), Column("error_detail", Text),
    UniqueConstraint("job_id", "position"),
    CheckConstraint("status IN ('waiting','leased','done','failed','cancelled')", name="status"),
    postgresql_with={"fillfactor": "70"},
)  # fmt: skip
Index("subtasks_waiting_idx", subtasks.c.job_id, subtasks.c.position, postgresql_where=subtasks.c.status == "waiting")
Index("subtasks_retrying_idx", subtasks.c.job_id, postgresql_where=(subtasks.c.status == "waiting") & (subtasks.c.not_before > 0))
Index("subtasks_leased_idx", subtasks.c.lease_until, postgresql_where=subtasks.c.status == "leased")

attempts = Table(
    "attempts", metadata, key(),
    Column("subtask_id", Uuid, ForeignKey("subtasks.id"), nullable=False),
    Column("job_id", Uuid, ForeignKey("jobs.id"), nullable=False, index=True),
    Column("fence", Integer, nullable=False),
    Column("order_id", Uuid, nullable=False),
    Column("provider_id", Uuid, ForeignKey("providers.id"), nullable=False),
    Column("slot", Integer, nullable=False),
    Column("outcome", Text, nullable=False, comment="done, failed, lost or cancelled"),
    moment("leased_at", required=True), moment("finished_at", required=True),
    Column("reported_us", BigInteger, comment="what the provider says it took"),
    Column("observed_us", BigInteger, comment="its share of what the dispatcher saw"),
    Column("cap_us", BigInteger, comment="what calibration allows"),
    Column("billed_us", BigInteger, nullable=False, server_default=text("0"), comment="the smallest of the three; 0 unless done"),
    Column("rate_nanos_per_hour", BigInteger, nullable=False, server_default=text("0")),
    nanos("gross_nanos"), nanos("commission_nanos"),
    moment("late_at", comment="a result came when its lease had ended; it was dropped and cost nothing"),
    Column("error_code", Text), Column("error_detail", Text),
    UniqueConstraint("subtask_id", "fence"),
    comment="one row for each lease that ended; the usage record",
)  # fmt: skip
job_templates = Table(
    "job_templates", metadata, key(),
    Column("owner_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("request", JSONB, nullable=False, comment="what a job body may say, inputs included or not"),
    created_at(), Column("updated_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    UniqueConstraint("owner_id", "name"),
)  # fmt: skip

Index("attempts_provider_id_id_idx", attempts.c.provider_id, attempts.c.id)
