"""The frozen SQL of the migrations makes exactly the tables that the code knows."""

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, create_engine

from fabric.db.engine import sqlalchemy_url
from fabric.db.migrate import MIGRATIONS, migrate
from fabric.db.tables import metadata


def test_a_migrated_database_is_what_the_tables_say(owner_url):
    engine = create_engine(sqlalchemy_url(owner_url))
    with engine.connect() as connection:
        options = {
            "compare_type": True,
            "include_name": lambda name, kind, _: not (kind == "table" and name == "alembic_version"),
        }
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()
    assert differences == []


def test_every_check_of_the_tables_is_in_the_database(owner_url):
    # Alembic does not compare CHECK constraints, and the spending limit of a job is one.
    wanted = {
        str(constraint.name)
        for table in metadata.sorted_tables
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    with psycopg.connect(owner_url) as connection:
        rows = connection.execute(
            "SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
        )
        assert {row[0] for row in rows} >= wanted
    assert "jobs_spend_check" in wanted


def test_migrating_again_changes_nothing(owner_url):
    with psycopg.connect(owner_url) as connection:
        before = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    migrate(owner_url)
    with psycopg.connect(owner_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == before


def test_the_application_cannot_change_the_schema(app_url):
    with psycopg.connect(app_url, autocommit=True) as connection:
        for statement in ("CREATE TABLE mine (x int)", "ALTER TABLE jobs ADD COLUMN x int", "DROP TABLE jobs", "TRUNCATE jobs"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_each_migration_reads_only_files_of_its_own_number():
    for revision in (MIGRATIONS / "versions").glob("*.py"):
        number = revision.name.split("_")[0]
        named = [word for word in revision.read_text().replace('"', " ").split() if word.endswith((".sql", ".sql,", ".sql):"))]
        assert all(word.startswith(number) for word in named), revision.name
        assert named
