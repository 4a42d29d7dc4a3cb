"""Heartbeats, online/offline, pause, drain, removal and ban of machines.

A machine reports its node and its slots' state and is told what to become; it never reports a bill. Removal and ban revoke its
credential and what it may say at the gate in one transaction: the gate ends its connections and its node within a second.
"""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from fabric.core.errors import Unauthenticated
from fabric.core.ids import ProviderId
from fabric.db.engine import Database, Transaction
from fabric.events import outbox
from fabric.providers import grants, store
from fabric.providers.rates import AUTO, Rate, require_rate

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
    holding: dict[str, Any] | None = None  # why it wants no new work now: by, detail, until; None: it wants some


@dataclass(frozen=True, slots=True)
class Orders:
    """What a machine shall do next, and how many orders it still has."""

    desired: Desired
    orders_outstanding: int


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
    state: dict[str, Any] = {"state": report.state, "slots": report.slots, "metrics": report.metrics}
    if report.holding is not None:
        state["holding"] = report.holding
    has_left = report.state == "left"
    node_id = None if has_left else report.ray_node_id
    beat = await store.record_beat(tx, provider_id, node_id=node_id, agent_state=state, has_left=has_left)
    if beat is None:
        raise Unauthenticated("This machine was removed.")
    if beat.is_news:
        await outbox.notify_dispatch(tx, "slots")
    return Orders(desired_state(beat.status, beat.orders_outstanding), beat.orders_outstanding)


async def drain(tx: Transaction, machine: store.Provider) -> Orders:
    """Let a machine finish what it runs and take nothing new; draining twice is nothing."""
    await store.change_provider(tx, machine.id, status="draining")
    await outbox.notify_dispatch(tx, "slots")
    outstanding = await store.orders_outstanding(tx, machine.id)
    return Orders(desired_state("draining", outstanding), outstanding)


@dataclass(frozen=True, slots=True)
class Changes:
    """What an owner may change; None leaves it."""

    name: str | None = None
    state: Literal["paused", "online"] | None = None
    rate_nanos_per_hour: Rate | None = None  # of every slot
    slots: tuple[tuple[int, Rate | None, bool | None], ...] = ()  # (slot, rate, enabled)


async def change(tx: Transaction, owner_id: UUID, provider_id: ProviderId, changes: Changes) -> store.Provider:
    """Change name, price or state of a machine; leased work keeps the price it was leased at.

    Raises:
        NotFound: this user has no such machine, or the machine no such slot.
        Invalid: a price out of range.
    """
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
    if changes.state == "paused" and machine.status != "draining":
        await store.change_provider(tx, provider_id, status="paused")
    if changes.state == "online":
        await store.resume_provider(tx, provider_id)
    await outbox.notify_dispatch(tx, "slots")
    return await store.provider(tx, owner_id, provider_id)


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
    await outbox.notify_dispatch(tx, "slots")


async def ban(tx: Transaction, provider_id: ProviderId, reason: str) -> None:
    """The operator cuts a machine off, whoever owns it. Banning twice, or after its removal, changes the reason only.

    Raises:
        NotFound: there is no such machine.
    """
    await store.mark_banned(tx, provider_id, reason)
    await grants.revoke(tx, provider_id)
    await outbox.notify_dispatch(tx, "slots")


async def mark_offline(database: Database) -> int:
    """Loop body: write off machines that stopped their heartbeats; how many."""
    async with database.transaction() as tx:
        lost = await store.mark_silent(tx, SILENT_S, ALL_SILENT_S)
        if lost:
            await outbox.notify_dispatch(tx, "slots")
        return lost
