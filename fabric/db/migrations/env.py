"""Alembic environment; the database URL is handed over by fabric.db.migrate."""

from alembic import context
from sqlalchemy import create_engine

from fabric.db.tables import metadata

engine = create_engine(context.config.attributes["url"])
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
