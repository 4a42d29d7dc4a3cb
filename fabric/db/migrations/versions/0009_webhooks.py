"""Webhooks: addresses of users that are told what happens to their jobs, and each thing told."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Run the frozen SQL file."""
    op.get_bind().exec_driver_sql(Path(__file__).with_name("0009_webhooks.sql").read_text().replace("%", "%%"))
