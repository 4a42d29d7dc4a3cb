"""Tables: files, garbage_objects."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, LargeBinary, Table, Text, Uuid, text

from fabric.db.tables.metadata import created_at, key, metadata, moment

files = Table(
    "files", metadata, key(),
    Column("owner_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", LargeBinary, comment="NULL until the content is here"),
    Column("object_key", Text, nullable=False, index=True),
    Column("object_offset", BigInteger, nullable=False, server_default=text("0"), comment="files of one multipart upload share an object"),
    Column("status", Text, nullable=False, server_default=text("'ready'"), comment="pending (signed upload not yet completed) or ready"),
    created_at(), moment("expires_at"), moment("deleted_at"),
    CheckConstraint("size >= 0 AND object_offset >= 0", name="extent"),
)  # fmt: skip
Index("files_owner_id_id_idx", files.c.owner_id, files.c.id)

garbage_objects = Table(
    "garbage_objects", metadata,
    Column("object_key", Text, primary_key=True),
    moment("not_before", required=True, comment="running orders may still read it until then"),
    comment="objects whose last owner row is gone; a loop deletes them",
)  # fmt: skip
