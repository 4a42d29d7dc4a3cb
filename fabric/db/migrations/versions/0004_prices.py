"""Prices: what operators decide, what demand makes of it, quotes that bind, the commission of a job."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run the frozen SQL file."""
    op.get_bind().exec_driver_sql(Path(__file__).with_name("0004_prices.sql").read_text().replace("%", "%%"))
