"""SQL for providers, slots and heartbeats."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from fabric.core.errors import NotFound
from fabric.core.ids import ProviderId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables import providers, slots
from fabric.providers.capabilities import SlotReport
from fabric.providers.runtimes import ANY_NEWEST, Newest, newest_taken


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of a provider, with its price."""

    slot: int
    resource: str
    accelerator: str
    device: str
    execution_provider: str
    threads: int
    memory_gib: float
    benchmark_runs_per_s: float
    rate_nanos_per_hour: int
    enabled: bool
    is_auto: bool  # its rate follows the suggestion
    device_id: str = ""
    device_key: str = ""
    model_rates: dict[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provider:
    """A machine on offer."""

    id: ProviderId
    owner_id: UserId
    name: str
    status: str  # enrolled, online, paused, draining, offline
    capabilities: dict[str, Any]
    labels: dict[str, str]
    address: str | None
    ray_node_id: str | None
    agent_version: str
    agent_state: dict[str, Any]
    last_heartbeat_at: datetime | None
    created_at: datetime
    slots: tuple[Slot, ...] = ()
    schedule_revision: int = 0
    schedule_wanted: dict[str, Any] | None = None

    @property
    def schedule_told(self) -> dict[str, Any]:
        """The schedule that counts on it, as it said last; empty when its agent is too old to say."""
        return self.agent_state.get("schedule") or {}


@dataclass(frozen=True, slots=True)
class ReadySlot:
    """A slot whose machine has a live Ray node. Only `status == "online"` may get new work; the others finish theirs."""

    provider_id: ProviderId
    owner_id: UserId
    slot: int
    node_id: str
    resource: str
    accelerator: str
    device: str
    execution_provider: str
    threads: int
    memory_gib: float
    benchmark_runs_per_s: float
    rate_nanos_per_hour: int
    older_rates: list[list[float]]  # [until when, epoch seconds; rate] for jobs that were priced before, oldest first
    region: str
    status: str  # online, paused (machine or slot, or the machine holds back by itself), draining
    device_id: str = ""
    newest: Newest = ANY_NEWEST  # model that its runtime takes
    model_rates: dict[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat changed."""

    status: str
    is_news: bool  # the dispatcher wants to know
    orders_outstanding: int
    schedule_revision: int
    schedule_wanted: dict[str, Any] | None


# ── machines ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def lock_owner(tx: Transaction, owner_id: UUID) -> None:
    """Let one transaction at a time count what this user has, so that limits hold under concurrency."""
    await tx.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"providers of {owner_id.hex}"})


async def count_providers(reader: Reader, owner_id: UUID) -> int:
    """Machines of this user that were not removed."""
    statement = select(func.count()).where(providers.c.owner_id == owner_id, providers.c.removed_at.is_(None))
    return int((await reader.execute(statement)).scalar_one())


async def insert_provider(tx: Transaction, values: dict[str, Any]) -> None:
    """Write a new machine."""
    await tx.execute(insert(providers).values(**values))


async def renew_provider(tx: Transaction, provider_id: UUID, values: dict[str, Any]) -> None:
    """A machine came back: no node yet, its clock of heartbeats starts again; an owner's pause stays."""
    status = text("CASE WHEN status = 'paused' THEN status ELSE 'enrolled' END")
    statement = update(providers).where(providers.c.id == provider_id)
    await tx.execute(statement.values(status=status, ray_node_id=None, last_heartbeat_at=func.now(), **values))


async def write_slots(
    tx: Transaction, provider_id: UUID, reports: Sequence[SlotReport], rates: Sequence[int], *, is_own: bool
) -> None:
    """Make the machine's slots equal to its report. Rates that are the owner's own (`is_own`) replace what was asked before; else
    slots that stay keep what they ask, and new ones follow the suggestion.
    """
    rows = [
        {
            "provider_id": provider_id, "slot": r.slot, "resource": r.resource, "accelerator": r.accelerator, "device": r.device,
            "execution_provider": r.execution_provider, "threads": r.threads, "memory_gib": r.memory_gib,
            "benchmark_runs_per_s": r.benchmark_runs_per_s, "rate_nanos_per_hour": rate, "is_auto": not is_own,
            "device_id": r.device_id, "device_key": r.device_key,
        }
        for r, rate in zip(reports, rates, strict=True)
    ]  # fmt: skip
    statement = upsert(slots).values(rows)
    kept = {"provider_id", "slot"} if is_own else {"provider_id", "slot", "rate_nanos_per_hour", "is_auto"}
    changes = {name: statement.excluded[name] for name in rows[0] if name not in kept}
    await tx.execute(statement.on_conflict_do_update(index_elements=["provider_id", "slot"], set_=changes))
    await tx.execute(delete(slots).where(slots.c.provider_id == provider_id, slots.c.slot >= len(rows)))


async def provider_of_credential(reader: Reader, credential_hash: bytes) -> Provider | None:
    """The machine that holds this credential; None when there is none, or its owner removed it."""
    statement = select(providers).where(providers.c.credential_hash == credential_hash, providers.c.removed_at.is_(None))
    row = (await reader.execute(statement)).one_or_none()
    return None if row is None else _provider(row, await _slots(reader, [row.id]))


async def provider(reader: Reader, owner_id: UUID, provider_id: UUID) -> Provider:
    """One machine of this user.

    Raises:
        NotFound: this user has no such machine.
    """
    p = providers.c
    statement = select(providers).where(p.id == provider_id, p.owner_id == owner_id, p.removed_at.is_(None))
    row = (await reader.execute(statement)).one_or_none()
    if row is None:
        raise NotFound
    return _provider(row, await _slots(reader, [row.id]))


async def list_providers(reader: Reader, owner_id: UUID, before: UUID | None, limit: int) -> list[Provider]:
    """This user's machines, newest first."""
    p = providers.c
    statement = select(providers).where(p.owner_id == owner_id, p.removed_at.is_(None)).order_by(p.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(p.id < before)
    rows = (await reader.execute(statement)).all()
    all_slots = await _slots(reader, [row.id for row in rows])
    return [_provider(row, all_slots) for row in rows]


async def change_provider(tx: Transaction, provider_id: UUID, **values: Any) -> None:
    """Write some columns of one machine."""
    await tx.execute(update(providers).where(providers.c.id == provider_id).values(**values))


# A wish adds to one that waits still. Its number is above what the machine heard too, which may be more than we know of after a
# backup was put back. What the machine refused is not wished again.
WISH = text(
    """
    WITH heard AS (
        SELECT coalesce(CAST(agent_state #>> '{schedule,revision}' AS bigint), 0) AS revision,
               agent_state #>> '{schedule,refused}' AS refused
        FROM providers WHERE id = :id FOR UPDATE)
    UPDATE providers AS p
    SET schedule_revision = greatest(p.schedule_revision, heard.revision) + 1,
        schedule_wanted = CASE
            WHEN heard.refused IS NOT NULL AND heard.revision >= p.schedule_revision THEN '{}'
            ELSE coalesce(p.schedule_wanted, '{}') END || CAST(:wanted AS jsonb)
    FROM heard WHERE p.id = :id
    """
)


async def wish_schedule(tx: Transaction, provider_id: UUID, wanted: dict[str, Any]) -> None:
    """Wish another schedule of a machine; what is not named stays as it was wished before."""
    await tx.execute(WISH, {"id": provider_id, "wanted": json.dumps(wanted)})


async def mark_removed(tx: Transaction, provider_id: UUID) -> None:
    """Revoke the machine's credential; its row stays, because attempts and earnings name it."""
    await change_provider(tx, provider_id, status="removed", ray_node_id=None, removed_at=func.now())


async def mark_banned(tx: Transaction, provider_id: UUID, reason: str) -> None:
    """The same by the operator, who says why; a machine that was removed before stays so since then.

    Raises:
        NotFound: there is no such machine.
    """
    statement = update(providers).where(providers.c.id == provider_id).values(
        status="removed", ray_node_id=None, removed_at=func.coalesce(providers.c.removed_at, func.now()),
        agent_state={"state": "banned", "reason": reason},
    )  # fmt: skip
    if (await tx.execute(statement)).rowcount == 0:
        raise NotFound


async def change_slot(tx: Transaction, provider_id: UUID, slot: int, **values: Any) -> None:
    """Write some columns of one slot.

    Raises:
        NotFound: the machine has no such slot.
    """
    statement = update(slots).where(slots.c.provider_id == provider_id, slots.c.slot == slot).values(**values)
    if (await tx.execute(statement)).rowcount == 0:
        raise NotFound(f"This machine has no slot {slot}.")


RESUME = text(
    """
    UPDATE providers
    SET status = CASE WHEN ray_node_id IS NOT NULL THEN 'online' WHEN last_heartbeat_at IS NULL THEN 'enrolled' ELSE 'offline' END
    WHERE id = :id AND status = 'paused'
    """
)


async def resume_provider(tx: Transaction, provider_id: UUID) -> None:
    """End the owner's pause: online when its node lives, else what it was."""
    await tx.execute(RESUME, {"id": provider_id})


# ── heartbeats ───────────────────────────────────────────────────────────────────────────────────────────────────────

# One statement for each beat: write what the agent reports, move the status, and say whether the dispatcher should look.
BEAT = text(
    """
    WITH before AS (SELECT id, status, ray_node_id, agent_state FROM providers WHERE id = :id AND removed_at IS NULL FOR UPDATE)
    UPDATE providers AS p
    SET last_heartbeat_at = now(), agent_state = CAST(:agent_state AS jsonb), ray_node_id = :node_id,
        status = CASE
            WHEN p.status = 'paused' THEN 'paused'
            WHEN :has_left THEN 'offline'
            WHEN p.status = 'draining' THEN 'draining'
            WHEN CAST(:node_id AS text) IS NULL THEN 'enrolled'
            ELSE 'online' END,
        schedule_wanted = CASE WHEN :taken >= p.schedule_revision THEN NULL ELSE p.schedule_wanted END
    FROM before WHERE p.id = before.id
    RETURNING p.status, p.schedule_revision, p.schedule_wanted,
        p.status <> before.status OR p.ray_node_id IS DISTINCT FROM before.ray_node_id
            OR p.agent_state #>> '{holding,by}' IS DISTINCT FROM before.agent_state #>> '{holding,by}'
            OR p.agent_state -> 'schedule' IS DISTINCT FROM before.agent_state -> 'schedule'
            OR p.agent_state -> 'caps' IS DISTINCT FROM before.agent_state -> 'caps' AS is_news,
        (SELECT count(DISTINCT s.order_id) FROM subtasks AS s WHERE s.provider_id = p.id AND s.status = 'leased') AS orders
    """
)

OUTSTANDING = text("SELECT count(DISTINCT order_id) FROM subtasks WHERE provider_id = :id AND status = 'leased'")

# A machine is offline when it was silent while others were heard. When nobody was heard the fault may be ours (the gateway
# was down), so it gets longer before all machines are given up together.
SILENT = text(
    """
    UPDATE providers
    SET ray_node_id = NULL, status = CASE WHEN status = 'paused' THEN status ELSE 'offline' END
    WHERE removed_at IS NULL AND (status IN ('online', 'draining', 'enrolled') OR ray_node_id IS NOT NULL)
      AND last_heartbeat_at < now() - make_interval(secs => CASE
            WHEN (SELECT max(last_heartbeat_at) FROM providers WHERE removed_at IS NULL) > now() - make_interval(secs => :silent_s)
            THEN CAST(:silent_s AS float) ELSE CAST(:all_silent_s AS float) END)
    """
)


async def record_beat(
    tx: Transaction, provider_id: UUID, *, node_id: str | None, agent_state: dict[str, Any], has_left: bool, taken: int = -1
) -> Beat | None:
    """Write one heartbeat; None when the machine was removed meanwhile. `taken`: the last wish for its schedule that it took."""
    values = {
        "id": provider_id, "node_id": node_id, "agent_state": json.dumps(agent_state), "has_left": has_left, "taken": taken,
    }  # fmt: skip
    row = (await tx.execute(BEAT, values)).one_or_none()
    return None if row is None else Beat(row.status, row.is_news, row.orders, row.schedule_revision, row.schedule_wanted)


async def orders_outstanding(reader: Reader, provider_id: UUID) -> int:
    """Orders that the machine was sent and that are neither settled nor given back."""
    return int((await reader.execute(OUTSTANDING, {"id": provider_id})).scalar_one())


async def mark_silent(tx: Transaction, silent_s: float, all_silent_s: float) -> int:
    """Write off machines that were not heard for so long; how many."""
    return int((await tx.execute(SILENT, {"silent_s": silent_s, "all_silent_s": all_silent_s})).rowcount)


READY = text(
    """
    SELECT s.provider_id, p.owner_id, s.slot, p.ray_node_id AS node_id, s.resource, s.accelerator, s.device, s.execution_provider,
           s.threads, s.memory_gib, s.benchmark_runs_per_s, s.rate_nanos_per_hour, s.older_rates, s.device_id, s.model_rates, p.capabilities,
           coalesce(p.labels ->> 'fabric.region', 'unknown') AS region,
           CASE WHEN p.status = 'online' AND (NOT s.enabled OR p.agent_state -> 'holding' IS NOT NULL) THEN 'paused'
                ELSE p.status END AS status
    FROM slots AS s JOIN providers AS p ON p.id = s.provider_id
    WHERE p.removed_at IS NULL AND p.ray_node_id IS NOT NULL AND p.status IN ('online', 'paused', 'draining')
      AND (NOT :is_gated OR EXISTS (
        SELECT 1 FROM gate_grants AS g WHERE g.provider_id = p.id AND g.node_id = p.ray_node_id AND g.banned_at IS NULL))
    ORDER BY s.provider_id, s.slot
    """
)


async def ready_slots(reader: Reader, *, is_gated: bool) -> list[ReadySlot]:
    """All slots whose machine reports a live Ray node; only those with status `online` may get new work.

    Behind the gate (`is_gated`) a machine's report is not believed: the node must be the one that the gate let in as its own.
    """
    rows = (await reader.execute(READY, {"is_gated": is_gated})).mappings()
    return [_ready(row) for row in rows]


def _ready(row: Any) -> ReadySlot:
    facts = {name: value for name, value in row.items() if name not in {"provider_id", "owner_id", "capabilities"}}
    newest = newest_taken(row["capabilities"])
    return ReadySlot(ProviderId.of(row["provider_id"]), UserId.of(row["owner_id"]), **facts, newest=newest)


async def _slots(reader: Reader, provider_ids: list[UUID]) -> dict[UUID, list[Slot]]:
    found: dict[UUID, list[Slot]] = {}
    statement = select(slots).where(slots.c.provider_id.in_(provider_ids)).order_by(slots.c.slot)
    for row in (await reader.execute(statement)).mappings():
        facts = {name: value for name, value in row.items() if name not in {"provider_id", "older_rates"}}
        found.setdefault(row["provider_id"], []).append(Slot(**facts))
    return found


def _provider(row: Row[Any], all_slots: dict[UUID, list[Slot]]) -> Provider:
    return Provider(
        ProviderId.of(row.id), UserId.of(row.owner_id), row.name, row.status, row.capabilities, row.labels, row.address,
        row.ray_node_id, row.agent_version, row.agent_state, row.last_heartbeat_at, row.created_at,
        tuple(all_slots.get(row.id, ())), row.schedule_revision, row.schedule_wanted,
    )  # fmt: skip
