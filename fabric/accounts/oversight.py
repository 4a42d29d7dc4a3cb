"""What an operator sees of the whole fabric: everybody's jobs and machines, and whether each part does its work."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fabric.accounts import store
from fabric.core.ids import JobId, ProviderId, UserId
from fabric.db.engine import Reader

LATE_S = 30.0
"""What is due for longer than this should have been done by a background loop."""


@dataclass(frozen=True, slots=True)
class AnyJob:
    """Somebody's job. Amounts in nano-USD; its inputs and results are nobody's business but its owner's."""

    id: JobId
    owner_id: UserId
    owner_email: str
    model: str
    status: str
    waiting_reason: str | None
    error_code: str | None
    items_total: int
    items_done: int
    items_failed: int
    held_nanos: int
    captured_nanos: int
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class AnyMachine:
    """Somebody's machine, perhaps removed or banned."""

    id: ProviderId
    owner_id: UserId
    owner_email: str
    name: str
    status: str
    is_banned: bool
    reason: str  # of the ban
    region: str
    isolation: str
    address: str | None
    agent_version: str
    slots: int
    last_heartbeat_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the control plane, whether it does its work, and what is seen of it, in words."""

    name: str
    is_well: bool
    seen: str


async def jobs(
    reader: Reader, *, status: str | None, owner_id: UserId | None, before: UUID | None, limit: int
) -> Sequence[AnyJob]:
    """Everybody's jobs, newest first."""
    rows = await store.all_jobs(reader, status=status, owner_id=owner_id, before=before, limit=limit)
    return [AnyJob(**{**row, "id": JobId.of(row["id"]), "owner_id": UserId.of(row["owner_id"])}) for row in rows]


async def machines(
    reader: Reader, *, status: str | None, owner_id: UserId | None, before: UUID | None, limit: int
) -> Sequence[AnyMachine]:
    """Everybody's machines, newest first."""
    rows = await store.all_machines(reader, status=status, owner_id=owner_id, before=before, limit=limit)
    return [AnyMachine(**{**row, "id": ProviderId.of(row["id"]), "owner_id": UserId.of(row["owner_id"])}) for row in rows]


async def parts(reader: Reader, *, lock_key: int) -> list[Part]:
    """The parts that the database can tell of; `lock_key` is that of the dispatcher's leader."""
    row = await store.backlog(reader, lock_key=lock_key, late_s=LATE_S)
    leases, mails, webhooks, payments = (int(row[f"{name}_overdue"]) for name in ("leases", "mails", "webhooks", "payments"))
    return [
        Part("dispatcher", row["is_led"], counted(row["jobs_open"], "open job") if row["is_led"] else "no dispatcher leads"),
        Part("background loops", leases == 0, f"{counted(leases, 'lease')} overdue" if leases else "nothing is overdue"),
        Part("mail", mails == 0, waiting(mails, "mail")),
        Part("webhooks", webhooks == 0, waiting(webhooks, "delivery", "deliveries")),
        Part("payment events", payments == 0, waiting(payments, "event")),
        Part("machines", True, f"{row['machines_online']} on line, {row['machines_offline']} offline"),
    ]


def counted(count: int, one: str, many: str = "") -> str:
    """Pure: `1 open job`, `2 open jobs`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def waiting(count: int, one: str, many: str = "") -> str:
    """Pure: that so many wait, in words."""
    return f"{counted(count, one, many)} {'waits' if count == 1 else 'wait'}" if count else "nothing waits"
