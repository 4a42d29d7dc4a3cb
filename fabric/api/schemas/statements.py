"""Bodies of /api/v1/providers/statements."""

from datetime import date

from fabric.api.schemas.common import Body, Money
from fabric.billing.statements import Statement, StatementRow


class StatementRowOut(Body):
    """A machine's work of a day, or something else that moved your earnings."""

    date: date
    kind: str
    """work, check of a result, bad result taken back, payout …; there may be more in time."""
    machine: str
    """Its name and id; empty where no machine is meant."""
    subtasks: int
    seconds: float
    """Billed."""
    gross: Money
    commission: Money
    net: Money
    """What it added to your earnings; below zero: took away."""

    @classmethod
    def of(cls, row: StatementRow) -> "StatementRowOut":
        """Show a row."""
        return cls(
            date=row.day, kind=row.kind, machine=row.machine, subtasks=row.subtasks, seconds=row.billed_us / 1_000_000,
            gross=Money.of(row.gross_nanos), commission=Money.of(row.commission_nanos), net=Money.of(row.net_nanos),
        )  # fmt: skip


class StatementOut(Body):
    """One month, in UTC."""

    month: str
    earned: Money
    """Net of all work."""
    commission: Money
    rows: list[StatementRowOut]
    livemode: bool
    """False: play money."""

    @classmethod
    def of(cls, statement: Statement) -> "StatementOut":
        """Show a statement."""
        return cls(
            month=statement.month, earned=Money.of(statement.earned_nanos), commission=Money.of(statement.commission_nanos),
            rows=[StatementRowOut.of(row) for row in statement.rows], livemode=statement.livemode,
        )  # fmt: skip
