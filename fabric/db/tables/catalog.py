"""Tables: models, model_versions."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from fabric.db.tables.metadata import created_at, key, metadata, moment

models = Table(
    "models", metadata, key(),
    Column("owner_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("visibility", Text, nullable=False, server_default=text("'private'"), comment="private or public"),
    created_at(), moment("deleted_at"),
)  # fmt: skip
Index("models_owner_id_name_key", models.c.owner_id, models.c.name, unique=True, postgresql_where=models.c.deleted_at.is_(None))

model_versions = Table(
    "model_versions", metadata, key(),
    Column("model_id", Uuid, ForeignKey("models.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("object_key", Text, nullable=False),
    Column("card", JSONB, nullable=False, comment="what the owner declares: codecs of inputs, description"),
    Column("inspection", JSONB, nullable=False, comment="what the file says: inputs, outputs, opset, operators"),
    Column("profile", JSONB, nullable=False, comment="what admission measured: batchable, item_us, load_us, output_bytes_item"),
    created_at(), moment("deleted_at"),
    UniqueConstraint("model_id", "version"),
)  # fmt: skip
