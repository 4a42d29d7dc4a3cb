"""The remaining flows of money: payouts, refunds, disputes, promotional credit, limits."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Run the frozen SQL files."""
    for name in ("0003_ledger.sql", "0003_tables.sql"):
        op.get_bind().exec_driver_sql(Path(__file__).with_name(name).read_text().replace("%", "%%"))
