"""Which of several devices a slot is, and the newest models that a machine's runtime takes."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Run the frozen SQL file."""
    op.get_bind().exec_driver_sql(Path(__file__).with_name("0008_devices.sql").read_text().replace("%", "%%"))
