"""A provider's monthly statement: what an owner's machines did and what became of the money, as rows, CSV or PDF."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from fabric.billing.named_sql import STATEMENTS
from fabric.core.errors import Invalid
from fabric.core.ids import ProviderId, UserId
from fabric.core.money import usd_text
from fabric.db.engine import Reader

COLUMNS = ("date", "kind", "machine", "subtasks", "seconds", "gross_usd", "commission_usd", "net_usd")
KINDS_SHOWN = {
    "verification": "check of a result", "clawback": "bad result taken back",
    "payout_reserve": "payout", "payout_unreserve": "payout not made", "transfer_reversal": "payout taken back",
    "correction": "correction",
}  # fmt: skip
WORK = "work"
PDF_WIDTHS_MM = (20, 36, 76, 18, 24, 32, 32, 32)
MICROSECONDS_PER_S = 1_000_000
YEAR_MIN = 2020
WRITTEN_WITHIN = timedelta(hours=1)
"""An attempt is written as it ends; so much later at most."""


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One line: a machine's work of a day, or something else that moved the owner's earnings. Amounts in nano-USD."""

    day: date
    kind: str
    machine: str
    subtasks: int
    billed_us: int
    gross_nanos: int
    commission_nanos: int
    net_nanos: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One owner's month, in UTC."""

    user_id: UserId
    month: str  # 2026-07
    rows: tuple[StatementRow, ...]
    livemode: bool

    @property
    def earned_nanos(self) -> int:
        """Net of all work of the month."""
        return sum(row.net_nanos for row in self.rows if row.kind == WORK)

    @property
    def commission_nanos(self) -> int:
        """The platform's part of it."""
        return sum(row.commission_nanos for row in self.rows)


async def read_statement(reader: Reader, user_id: UserId, month: str, *, livemode: bool) -> Statement:
    """One month of an owner, such as `2026-07`; empty when there was nothing.

    Raises:
        Invalid: this is no month.
    """
    begins, ends = span_of(month)
    values = {"user": user_id, "begins": begins, "ends": ends}
    ids = {"first_id": _id_at(begins), "end_id": _id_at(ends + WRITTEN_WITHIN)}
    work = await reader.execute(STATEMENTS["statement_work"], values | ids)
    rows = [
        StatementRow(
            row.day, WORK, _machine(row), row.subtasks, row.billed_us, row.gross, row.commission, row.gross - row.commission
        )
        for row in work
    ]
    rows += [
        StatementRow(_utc_day(row.created_at), KINDS_SHOWN[row.kind], _machine(row), 0, 0, 0, 0, int(row.amount))
        for row in await reader.execute(STATEMENTS["statement_ledger"], values)
    ]
    return Statement(user_id, month, tuple(sorted(rows, key=lambda row: row.day)), livemode)


def _id_at(moment: datetime) -> UUID:
    """Ids of attempts begin with the time at which they were written."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def span_of(month: str) -> tuple[datetime, datetime]:
    """The first moment of a month and that of the next one, in UTC.

    Raises:
        Invalid: this is no month.
    """
    found = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", month)
    if found is None or int(found[1]) < YEAR_MIN:
        raise Invalid("A month is written as 2026-07.")
    year, number = int(found[1]), int(found[2])
    return datetime(year, number, 1, tzinfo=UTC), datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)


def as_csv(statement: Statement) -> str:
    """Comma-separated, one line for each row and a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(statement))
    return out.getvalue()


def as_pdf(statement: Statement) -> bytes:
    """The same rows as pages, with the sums."""
    from fpdf import FPDF
    from fpdf.enums import XPos, YPos

    pdf = FPDF(orientation="landscape", format="A4")
    pdf.set_creation_date(span_of(statement.month)[1])
    pdf.set_title(f"Statement {statement.month}")
    pdf.add_page()
    pdf.set_font("helvetica", style="B", size=14)
    pdf.cell(0, 10, f"Earnings of {statement.month}", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_font("helvetica", size=9)
    sums = (
        f"Owner {statement.user_id}.  Earned {usd_text(statement.earned_nanos)} USD after a commission of "
        f"{usd_text(statement.commission_nanos)} USD."
    )
    pdf.cell(
        0,
        6,
        sums if statement.livemode else f"{sums}  NO REAL MONEY: this is play money or test money.",
        new_x=XPos.LMARGIN,
        new_y=YPos.NEXT,
    )
    pdf.set_font("helvetica", size=8)
    with pdf.table(col_widths=PDF_WIDTHS_MM, text_align=("LEFT",) * 3 + ("RIGHT",) * 5, line_height=5) as table:
        for cells in ((name.replace("_usd", " USD") for name in COLUMNS), *_cells(statement)):
            row = table.row()
            for cell in cells:
                row.cell(_printable(str(cell)))
    return bytes(pdf.output())


def _cells(statement: Statement) -> Iterator[tuple[str, ...]]:
    for row in statement.rows:
        yield (
            row.day.isoformat(), row.kind, _harmless(row.machine), str(row.subtasks), f"{row.billed_us / MICROSECONDS_PER_S:.6f}",
            usd_text(row.gross_nanos), usd_text(row.commission_nanos), usd_text(row.net_nanos),
        )  # fmt: skip


def _harmless(text: str) -> str:
    """Spreadsheets run what begins like a formula, and owners name their machines."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _printable(text: str) -> str:
    """The built-in fonts of PDF know Latin letters only."""
    return text.encode("latin-1", "replace").decode("latin-1")


def _machine(row: Any) -> str:
    return "" if row.provider_id is None else f"{row.name} ({ProviderId.of(row.provider_id)})"


def _utc_day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()
