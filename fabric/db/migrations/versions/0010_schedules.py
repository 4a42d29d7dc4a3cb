"""What an owner wishes of a machine's schedule from afar."""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Run the frozen SQL file."""
    op.get_bind().exec_driver_sql(Path(__file__).with_name("0010_schedules.sql").read_text().replace("%", "%%"))
