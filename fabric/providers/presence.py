"""Heartbeats, online/offline, pause, drain, removal and ban of machines.

A machine reports its node and its slots' state and is told what to become; it never reports a bill. Removal and ban revoke its
credential and what it may say at the gate in one transaction: the gate ends its connections and its node within a second.
"""

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from fabric.core.errors import NotFound, Unauthenticated
from fabric.core.ids import ProviderId
from fabric.db.engine import Database, Transaction
from fabric.events import outbox
from fabric.providers import grants, store
from fabric.providers.rates import AUTO, ModelRate, Rate, changed, require_rate
from fabric.providers.schedule import Order, check_wish, is_taken, order_for

HEARTBEAT_S = 5.0
SILENT_S = 15.0
ALL_SILENT_S = 45.0

Desired = Literal["run", "pause", "drain", "leave"]


@dataclass(frozen=True, slots=True)
class Report:
    """One heartbeat: the node that lives now (None while there is none), what the agent does, and facts for people."""

    ray_node_id: str | None
    state: str  # starting, running, draining or left
    slots: list[dict[str, Any]]
    metrics: dict[str, float]
    devices: list[dict[str, Any]] = field(default_factory=list)  # how each device does, for people
    holding: dict[str, Any] | None = None  # why it wants no new work now: by, detail, until; None: it wants some
    schedule: dict[str, Any] | None = (
        None  # what counts there, and the last wish that it heard; None: its agent is too old to say
    )
    caps: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Orders:
    """What a machine shall do next, and how many orders it still has."""

    desired: Desired
    orders_outstanding: int
    schedule: Order | None = None


def desired_state(status: str, orders_outstanding: int) -> Desired:
    """Pure: what a machine with this status shall do. A draining one leaves when its last order is settled."""
    if status == "draining":
        return "drain" if orders_outstanding else "leave"
    return "pause" if status == "paused" else "run"


async def heartbeat(tx: Transaction, provider_id: ProviderId, report: Report) -> Orders:
    """Record that a machine lives; tells the dispatcher only when something changed.

    Raises:
        Unauthenticated: the machine was removed.
    """
    state = {"state": report.state, "slots": report.slots, "metrics": report.metrics, "devices": report.devices}
    said = {"holding": report.holding, "schedule": report.schedule, "caps": report.caps}
    state |= {name: value for name, value in said.items() if value is not None}
    told = report.schedule or {}
    has_left = report.state == "left"
    node_id = None if has_left else report.ray_node_id
    taken = told["revision"] if is_taken(told) else -1
    beat = await store.record_beat(tx, provider_id, node_id=node_id, agent_state=state, has_left=has_left, taken=taken)
    if beat is None:
        raise Unauthenticated("This machine was removed.")
    if beat.is_news:
        await _tell(tx, provider_id)
    wish = order_for(told, beat.schedule_revision, beat.schedule_wanted)
    return Orders(desired_state(beat.status, beat.orders_outstanding), beat.orders_outstanding, wish)


async def drain(tx: Transaction, machine: store.Provider) -> Orders:
    """Let a machine finish what it runs and take nothing new; draining twice is nothing."""
    await store.change_provider(tx, machine.id, status="draining")
    await _tell(tx, machine.id)
    outstanding = await store.orders_outstanding(tx, machine.id)
    return Orders(desired_state("draining", outstanding), outstanding)


@dataclass(frozen=True, slots=True)
class Changes:
    """What an owner may change; None leaves it."""

    name: str | None = None
    state: Literal["paused", "online"] | None = None
    rate_nanos_per_hour: Rate | None = None  # of every slot
    slots: tuple[tuple[int, Rate | None, bool | None], ...] = ()  # (slot, rate, enabled)
    models: tuple[tuple[int | None, str, ModelRate], ...] = ()  # (slot or all of them, model id, rate)
    schedule: dict[str, Any] | None = None  # some of hours (None: always), idle_only, idle_minutes


async def change(tx: Transaction, owner_id: UUID, provider_id: ProviderId, changes: Changes) -> store.Provider:
    """Change name, price or state of a machine, or wish another schedule of it; leased work keeps the price it was leased at.

    Raises:
        NotFound: this user has no such machine, or the machine no such slot.
        Invalid: a price out of range, too many models with one of their own, or a schedule that names no hours.
    """
    wish = check_wish(changes.schedule or {})
    if changes.models:
        await store.lock_owner(tx, owner_id)  # what is kept for other models is read, and written again
    machine = await store.provider(tx, owner_id, provider_id)
    for rate in [changes.rate_nanos_per_hour, *(rate for _, rate, _ in changes.slots)]:
        require_rate(rate)
    if changes.name is not None:
        await store.change_provider(tx, provider_id, name=changes.name)
    if changes.rate_nanos_per_hour is not None:
        for slot in machine.slots:
            await store.change_slot(tx, provider_id, slot.slot, **_columns_of(changes.rate_nanos_per_hour))
    for number, rate, enabled in changes.slots:
        if given := {**_columns_of(rate), **({} if enabled is None else {"enabled": enabled})}:
            await store.change_slot(tx, provider_id, number, **given)
    await _change_models(tx, machine, changes.models)
    if changes.state == "paused" and machine.status != "draining":
        await store.change_provider(tx, provider_id, status="paused")
    if changes.state == "online":
        await store.resume_provider(tx, provider_id)
    if wish:
        await store.wish_schedule(tx, provider_id, wish)
    await _tell(tx, provider_id)
    return await store.provider(tx, owner_id, provider_id)


async def _change_models(
    tx: Transaction, machine: store.Provider, changes: tuple[tuple[int | None, str, ModelRate], ...]
) -> None:
    known = {slot.slot: slot.model_rates for slot in machine.slots}
    if strange := {slot for slot, *_ in changes if slot is not None} - known.keys():
        raise NotFound(f"This machine has no slot {min(strange)}.")
    for number, rates in known.items():
        if given := [(model_id, rate) for slot, model_id, rate in changes if slot in {None, number}]:
            await store.change_slot(tx, machine.id, number, model_rates=changed(rates, given))


def _columns_of(rate: Rate | None) -> dict[str, Any]:
    """An own rate counts at once; one that follows the suggestion moves from where it stands, at the price engine's next turn."""
    if rate is None:
        return {}
    return {"is_auto": True} if rate == AUTO else {"is_auto": False, "rate_nanos_per_hour": rate, "older_rates": []}


async def remove(tx: Transaction, owner_id: UUID, provider_id: ProviderId) -> None:
    """Cut a machine off: its credential is refused from now on; what it earned stays its owner's.

    Raises:
        NotFound: this user has no such machine.
    """
    await store.provider(tx, owner_id, provider_id)
    await store.mark_removed(tx, provider_id)
    await grants.revoke(tx, provider_id)
    await _tell(tx, provider_id)


async def ban(tx: Transaction, provider_id: ProviderId, reason: str) -> None:
    """The operator cuts a machine off, whoever owns it. Banning twice, or after its removal, changes the reason only.

    Raises:
        NotFound: there is no such machine.
    """
    await store.mark_banned(tx, provider_id, reason)
    await grants.revoke(tx, provider_id)
    await _tell(tx, provider_id)


async def mark_offline(database: Database) -> int:
    """Loop body: write off machines that stopped their heartbeats; how many."""
    async with database.transaction() as tx:
        lost = await store.mark_silent(tx, SILENT_S, ALL_SILENT_S)
        if lost:
            await outbox.notify_dispatch(tx, "slots")
        return lost


async def _tell(tx: Transaction, provider_id: ProviderId) -> None:
    await outbox.notify_dispatch(tx, "slots")
    await outbox.tell_owner_of_machine(tx, provider_id)
