"""Table: events, the outbox. Written in the transaction of what happened, told afterwards."""

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from fabric.db.tables.metadata import created_at, metadata

events = Table(
    "events", metadata,
    Column("job_id", Uuid, ForeignKey("jobs.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, comment="from jobs.event_seq, so without gaps for each job"),
    Column("type", Text, nullable=False),
    Column("data", JSONB, nullable=False),
    created_at(),
)  # fmt: skip
