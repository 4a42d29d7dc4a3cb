"""Posts money through the named flows of the ledger; never updates, never deletes.

The rules are the database's (schema `ledger`): this module hands over facts and reads the answers. The application's role may
execute named flows and nothing else, so no caller can write a posting of its own making. Here are those of a job; `flows` has those of
the money around it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from psycopg import errors as pg
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError

from fabric.core.errors import Conflict, IdempotencyMismatch, InsufficientFunds, Invalid, NotFound
from fabric.core.ids import JobId, ProviderId, SubtaskId, TransactionId, UserId
from fabric.core.money import usd_text
from fabric.db.engine import Reader, Transaction


@dataclass(frozen=True, slots=True)
class Capture:
    """The price of one finished subtask, to be taken from its job's hold."""

    subtask_id: SubtaskId
    job_id: JobId
    provider_id: ProviderId
    gross_nanos: int
    commission_bps: int


@dataclass(frozen=True, slots=True)
class CaptureOutcome:
    """What became of a capture.

    `captured`: written now. `duplicate`: the same capture was written before, nothing happened. `refused`: nothing happened, and
    `detail` says why.
    """

    subtask_id: SubtaskId
    status: Literal["captured", "duplicate", "refused"]
    commission_nanos: int
    detail: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Credit that is reserved for a job."""

    transaction_id: TransactionId
    promotional_nanos: int  # of it: what had been given to the requestor


@dataclass(frozen=True, slots=True)
class Finding:
    """An audit that found something, with how many rows."""

    name: str
    rows: int


AUDITS = (
    "audit_unbalanced", "audit_counters", "audit_running_balances", "audit_numbering", "audit_overdrafts", "audit_splits",
    "audit_holds", "audit_chart", "audit_maturity", "audit_clawbacks", "audit_in_transit", "audit_connected", "audit_debts",
    "audit_promotions",
)  # fmt: skip
"""The views that must be empty, in the order in which they are read."""

TOP_UP = text("SELECT ledger.top_up(CAST(:user AS uuid), CAST(:amount AS bigint), :key, CAST(:metadata AS jsonb))")
PLACE_HOLD = text("SELECT * FROM ledger.place_hold(CAST(:user AS uuid), CAST(:job AS uuid), CAST(:amount AS bigint))")
RELEASE_HOLD = text("SELECT ledger.release_hold(CAST(:user AS uuid), CAST(:job AS uuid))")
CAPTURE = text(
    """
    SELECT status, commission_nanos, detail
      FROM ledger.capture(CAST(:subtasks AS uuid[]), CAST(:jobs AS uuid[]), CAST(:providers AS uuid[]), CAST(:gross AS bigint[]),
                          CAST(:bps AS int[]))
     ORDER BY n
    """
)
AUDIT_MEMORY = text("SET LOCAL work_mem = '128MB'")  # histories are sorted, and sorting them on disk takes several times as long
TRIAL_BALANCE = text("SELECT coalesce(sum(abs(must_be_zero)), 0) FROM ledger.trial_balance")


async def top_up(
    tx: Transaction, user_id: UserId, amount_nanos: int, key: str, metadata: Mapping[str, Any] | None = None
) -> TransactionId:
    """Credit money that has arrived. The same key and body again gives the same transaction and credits nothing.

    Raises:
        IdempotencyMismatch: the key was used for another user or amount. The transaction can only be rolled back.
    """
    values = {"user": user_id, "amount": amount_nanos, "key": key, "metadata": json.dumps(dict(metadata or {}))}
    return TransactionId.of((await call(tx, TOP_UP, values))[0])


async def place_hold(tx: Transaction, user_id: UserId, job_id: JobId, amount_nanos: int) -> Hold:
    """Reserve credit for a job, promotional credit first. The same hold again is nothing.

    Raises:
        InsufficientFunds: nothing was written, and the transaction may go on; `available_nanos` and `wanted_nanos` say what is short.
        IdempotencyMismatch: the job has a hold of another amount or user. The transaction can only be rolled back.
    """
    row = await call(tx, PLACE_HOLD, {"user": user_id, "job": job_id, "amount": amount_nanos})
    if row.transaction_id is None:
        raise short_of_funds("wallet", row.available_nanos, amount_nanos)
    return Hold(TransactionId.of(row.transaction_id), row.promotional_nanos)


async def capture(tx: Transaction, captures: Sequence[Capture]) -> list[CaptureOutcome]:
    """Take the prices of finished subtasks from their holds, each once or not at all; answers in the order given.

    One set-based statement: gross leaves the job's hold, the commission (floor of gross × rate) goes to the platform, the rest to
    the provider's pending earnings. A bad, repeated or unfunded capture is answered as such and keeps no other from being written.
    """
    if not captures:
        return []
    values = {
        "subtasks": [c.subtask_id for c in captures],
        "jobs": [c.job_id for c in captures],
        "providers": [c.provider_id for c in captures],
        "gross": [c.gross_nanos for c in captures],
        "bps": [c.commission_bps for c in captures],
    }
    rows = (await tx.execute(CAPTURE, values)).all()
    return [
        CaptureOutcome(c.subtask_id, row.status, row.commission_nanos, row.detail)
        for c, row in zip(captures, rows, strict=True)
    ]  # fmt: skip


async def release_hold(tx: Transaction, user_id: UserId, job_id: JobId) -> int:
    """Give back what is left of a job's hold and close it; returns that amount in nano-USD, also when it was given back before.

    The caller sees to it that no lease of the job is outstanding: a capture that comes later is refused. A job without a hold has
    nothing to give back. The database refuses to give a hold to anybody but the user who placed it.
    """
    return int((await tx.execute(RELEASE_HOLD, {"user": user_id, "job": job_id})).scalar_one())


async def trial_balance(reader: Reader) -> int:
    """Debits less credits over all entries, in nano-USD, summed over the currencies without sign. Zero, or the books are wrong."""
    return int((await reader.execute(TRIAL_BALANCE)).scalar_one())


async def audit(reader: Reader) -> list[Finding]:
    """Read every audit view; the ones that are not empty. An empty list means that every invariant holds."""
    await reader.execute(AUDIT_MEMORY)
    counts = " UNION ALL ".join(f"SELECT '{name}' AS name, count(*) AS rows FROM ledger.{name}" for name in AUDITS)
    found = (await reader.execute(text(f"SELECT name, rows FROM ({counts}) AS audits WHERE rows > 0"))).all()
    return [Finding(row.name, row.rows) for row in found]


async def call(tx: Transaction, statement: TextClause, values: Mapping[str, Any]) -> Any:
    """Execute one flow; its single row.

    Raises:
        IdempotencyMismatch: the fact was written before with another body. After any of these the transaction can only be rolled back.
        NotFound: it refers to something that was never written.
        Conflict: what was written before rules it out.
        Invalid: an amount that cannot be.
    """
    try:
        return (await tx.execute(statement, values)).one()
    except DBAPIError as error:
        _explain(error)


def short_of_funds(what: str, available_nanos: int, wanted_nanos: int) -> InsufficientFunds:
    """The error that says how much there is and how much was wanted."""
    return InsufficientFunds(
        f"The {what} has {usd_text(available_nanos)} USD available; {usd_text(wanted_nanos)} USD is wanted.",
        available_nanos=available_nanos,
        wanted_nanos=wanted_nanos,
    )


def _explain(error: DBAPIError) -> NoReturn:
    """Tell what the flows refuse from every other trouble with the database."""
    message = error.orig.diag.message_primary if isinstance(error.orig, pg.Error) else None
    if isinstance(error.orig, pg.UniqueViolation):
        raise IdempotencyMismatch(message) from error
    if isinstance(error.orig, pg.NoDataFound):
        raise NotFound(message) from error
    if isinstance(error.orig, pg.ObjectNotInPrerequisiteState):
        raise Conflict(message) from error
    if isinstance(error.orig, pg.CheckViolation):
        raise Invalid(message) from error
    raise error
