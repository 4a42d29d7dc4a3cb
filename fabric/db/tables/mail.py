"""Table: mails."""

from sqlalchemy import Column, DateTime, Index, Integer, Table, Text, text

from fabric.db.tables.metadata import created_at, key, metadata, moment

mails = Table(
    "mails", metadata, key(),
    Column("recipient", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False, comment="erased when the mail is sent or given up: it may hold a token"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_try_at", DateTime(timezone=True), server_default=text("now()"), comment="NULL: sent, or given up"),
    moment("sent_at"),
    Column("failure", Text),
    created_at(),
)  # fmt: skip
Index("mails_due_idx", mails.c.next_try_at, postgresql_where=mails.c.next_try_at.isnot(None))
Index("mails_created_at_idx", mails.c.created_at)
