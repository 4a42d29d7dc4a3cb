"""Accounts: sessions, mail, second factor, social log-in, throttles, the audit log."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Run the frozen SQL file."""
    op.get_bind().exec_driver_sql(Path(__file__).with_name("0007_accounts.sql").read_text().replace("%", "%%"))
