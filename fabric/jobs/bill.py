"""A job's bill: what each slot did at which rate, which attempts cost nothing and why, and sums that are the ledger's."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabric.core.errors import TooLarge
from fabric.core.ids import JobId, ProviderId, UserId
from fabric.core.money import usd_text
from fabric.db.engine import Reader
from fabric.db.statements import load_statements
from fabric.jobs import store
from fabric.jobs.job import Job

STATEMENTS = load_statements(Path(__file__).with_name("bill.sql"))
LINES_MAX = 20_000
MICROSECONDS_PER_S = 1_000_000
COLUMNS = ("line", "machine", "machine_id", "slot", "subtasks", "seconds", "usd_per_hour", "amount_usd", "commission_usd", "why")
FREE = {
    "own_machine": "done on a machine of your own",
    "failed": "the attempt failed, and the subtask was tried again",
    "lost": "the machine did not answer in time",
    "late": "the result came when its lease had ended; it was dropped as a duplicate",
    "cancelled": "taken back before it was done",
}
"""Why an attempt costs nothing, in words."""


@dataclass(frozen=True, slots=True)
class BillLine:
    """What one slot did at one rate. `reason` is empty for what is charged, else one of FREE."""

    provider_id: ProviderId
    name: str  # as its owner calls the machine
    slot: int
    subtasks: int  # of lines that are free: attempts
    billed_us: int
    rate_nanos_per_hour: int
    gross_nanos: int
    commission_nanos: int
    reason: str = ""
    code: str = ""  # the commonest error


@dataclass(frozen=True, slots=True)
class Bill:
    """All of it. Amounts in nano-USD. What is charged is what the ledger took from the hold: capture by capture, the same amounts."""

    job: Job
    charged: tuple[BillLine, ...]
    free: tuple[BillLine, ...]
    clawed_back_nanos: int  # came back later
    livemode: bool

    @property
    def billed_us(self) -> int:
        """Of all that is charged."""
        return sum(line.billed_us for line in self.charged)

    @property
    def captured_nanos(self) -> int:
        """Of all that is charged, commission included."""
        return sum(line.gross_nanos for line in self.charged)

    @property
    def commission_nanos(self) -> int:
        """The platform's part of that."""
        return sum(line.commission_nanos for line in self.charged)

    @property
    def cost_nanos(self) -> int:
        """What the job has cost its owner in the end."""
        return self.captured_nanos - self.clawed_back_nanos

    @property
    def open_nanos(self) -> int:
        """Of the hold: neither captured nor given back so far."""
        return self.job.held_nanos - self.captured_nanos - self.job.released_nanos


async def read_bill(reader: Reader, owner_id: UserId, job_id: JobId, *, livemode: bool) -> Bill:
    """The bill of a job, finished or not. The lines are read after the job, so what ends meanwhile is charged and not yet released.

    Raises:
        NotFound: no such job, or somebody else's.
        TooLarge: more lines than anybody reads; the subtasks are listed one by one.
    """
    job = await store.get_job(reader, owner_id, job_id)
    rows = (await reader.execute(STATEMENTS["bill_lines"], {"job_id": job_id, "lines_max": LINES_MAX + 1})).mappings().all()
    if len(rows) > LINES_MAX:
        raise TooLarge(f"This bill has more than {LINES_MAX} lines; read the job's subtasks instead.")
    back = (await reader.execute(STATEMENTS["clawed_back"], {"job_id": job_id})).one()
    lines = [_line(row) for row in rows]
    charged = tuple(line for line in lines if not line.reason)
    return Bill(job, charged, tuple(line for line in lines if line.reason), int(back.nanos), livemode)


def reason_of(outcome: str, *, is_own: bool, is_late: bool, rate: int) -> str:
    """Why an attempt costs nothing; empty when it does cost something."""
    if outcome == "done":
        return "own_machine" if is_own and not rate else ""
    return "late" if is_late else outcome


def as_csv(bill: Bill) -> str:
    """Comma-separated, one line for each line of the bill, and its sums; with a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(bill))
    return out.getvalue()


def _line(row: Mapping[Any, Any]) -> BillLine:
    reason = reason_of(row["outcome"], is_own=row["is_own"], is_late=row["is_late"], rate=row["rate"])
    return BillLine(
        ProviderId.of(row["provider_id"]), row["name"], row["slot"], row["subtasks"], row["billed_us"], row["rate"],
        row["gross_nanos"], row["commission_nanos"], reason, row["code"],
    )  # fmt: skip


def _cells(bill: Bill) -> Iterator[tuple[str, ...]]:
    for line in (*bill.charged, *bill.free):
        why = FREE[line.reason] + (f": {line.code}" if line.code else "") if line.reason else ""
        yield (
            "free" if line.reason else "work", _harmless(line.name), str(line.provider_id), str(line.slot), str(line.subtasks),
            _seconds(line.billed_us), usd_text(line.rate_nanos_per_hour), usd_text(line.gross_nanos), usd_text(line.commission_nanos),
            _harmless(why),
        )  # fmt: skip
    sums = {
        "held": bill.job.held_nanos, "captured": bill.captured_nanos, "released": bill.job.released_nanos, "open": bill.open_nanos,
        "clawed_back": bill.clawed_back_nanos, "cost": bill.cost_nanos,
    }  # fmt: skip
    for name, nanos in sums.items():
        is_whole = name == "captured"
        commission = usd_text(bill.commission_nanos) if is_whole else ""
        yield (name, "", "", "", "", _seconds(bill.billed_us) if is_whole else "", "", usd_text(nanos), commission, "")


def _seconds(microseconds: int) -> str:
    return f"{microseconds / MICROSECONDS_PER_S:.6f}"


def _harmless(text: str) -> str:
    """Spreadsheets run what begins like a formula, and strangers name their machines."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
