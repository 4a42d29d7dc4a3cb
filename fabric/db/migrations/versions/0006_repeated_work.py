"""Work that is done again: labels, retries of what is missing, templates, and results that go after a time."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Run the frozen SQL file."""
    op.get_bind().exec_driver_sql(Path(__file__).with_name("0006_repeated_work.sql").read_text().replace("%", "%%"))
