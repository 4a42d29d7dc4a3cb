"""The first schema: plain tables and the ledger."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the frozen SQL files."""
    for name in ("0001_functions.sql", "0001_tables.sql", "0001_ledger.sql"):
        path = Path(__file__).with_name(name)
        if path.exists():
            op.get_bind().exec_driver_sql(path.read_text().replace("%", "%%"))
