"""Brings a database to the present schema and gives the application its own, weaker role."""

import secrets
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import make_url

from fabric.db.engine import sqlalchemy_url

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(owner_url: str) -> None:
    """Run all Alembic migrations that are still due. `owner_url` names the owner's role (postgresql://…)."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = sqlalchemy_url(owner_url)
    command.upgrade(config, "head")


def ensure_application_role(owner_url: str, password: str | None = None) -> str:
    """Create (or re-key) the application's role of this database; returns the application's URL.

    The role is `<database>_app`. It may read and write the plain tables, read the ledger and execute the ledger's named flows;
    it owns nothing. Call after `migrate`.
    """
    url = make_url(owner_url)
    role = f"{url.database}_app"
    password = password or secrets.token_urlsafe(24)
    with psycopg.connect(owner_url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        verb = sql.SQL("ALTER" if exists else "CREATE")
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}").format(
                verb, sql.Identifier(role), sql.Literal(password)
            )
        )
        for statement in (MIGRATIONS / "grants.sql").read_text().split(";\n"):
            if statement.strip():
                connection.execute(sql.SQL(statement).format(role=sql.Identifier(role)))  # type: ignore[arg-type]
    return url.set(drivername="postgresql", username=role, password=password).render_as_string(hide_password=False)
