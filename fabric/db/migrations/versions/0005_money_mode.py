"""One kind of money for each database: play money, test money or real money."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Run the frozen SQL file."""
    op.get_bind().exec_driver_sql(Path(__file__).with_name("0005_money_mode.sql").read_text().replace("%", "%%"))
