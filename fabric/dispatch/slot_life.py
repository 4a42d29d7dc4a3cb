"""How slots come, stay and go: seen, connected, pinged, lost. Part of the core, so nothing here does I/O."""

from collections.abc import Iterable

from fabric.core.ids import ProviderId
from fabric.dispatch.fleet import NodeFacts, SlotId
from fabric.dispatch.snapshot import OfferedSlot
from fabric.dispatch.state import NEVER, OrderState, SlotState, State, Unsettled
from fabric.dispatch.steps import CancelOrders, Command, Connect, Ping, Release, Settle
from fabric.jobs.job import GiveBack

HOSTILE_WEIGHT = 4  # a hostile answer backs a slot off like so many failures
ONLINE = "online"


def see(state: State, offered: Iterable[OfferedSlot], nodes: Iterable[NodeFacts], now_s: float) -> list[Command]:
    """Take notice of the slots on offer. Only a node that the cluster sees, with the label of that machine, is believed in."""
    owners = {node.node_id: node.provider_id for node in nodes}
    present = {s.id: s for s in offered if owners.get(s.node_id) == str(ProviderId.of(s.provider_id))}
    commands: list[Command] = []
    for slot_id in [slot_id for slot_id in state.slots if slot_id not in present]:
        commands += lose(state, slot_id, now_s, "the machine is gone, or was withdrawn")
        del state.slots[slot_id]
    for slot_id, facts in present.items():
        slot = state.slots.get(slot_id)
        if slot is not None and slot.offered.spec != facts.spec:
            commands += lose(state, slot_id, now_s, "the machine came back as another node")
            slot = None
        if slot is None:
            state.slots[slot_id] = SlotState(facts)
        else:
            slot.offered = facts
    return commands + connect_and_release(state, now_s)


def connect_and_release(state: State, now_s: float) -> list[Command]:
    """Connect what may work and is not connected, so that it is warm; let go what may not work and has nothing to finish."""
    commands: list[Command] = []
    for slot in state.slots.values():
        is_wanted = slot.offered.status == ONLINE
        if slot.phase == "absent" and is_wanted and slot.retry_at_s <= now_s:
            slot.phase = "connecting"
            commands.append(Connect(slot.offered.spec))
        elif slot.phase == "connected" and not is_wanted and not slot.orders:
            slot.phase = "absent"
            commands.append(Release(slot.offered.id))
    return commands


def connected(state: State, slot_id: SlotId, now_s: float) -> list[Command]:
    """The slot's actor answers."""
    slot = state.slots.get(slot_id)
    if slot is None or slot.phase != "connecting":
        return [Release(slot_id)]
    slot.phase = "connected"
    slot.heard_at_s, slot.pinged_at_s = now_s, None
    return []


def heard(state: State, slot_id: SlotId, now_s: float) -> None:
    """The slot answered a ping."""
    if (slot := state.slots.get(slot_id)) is not None:
        slot.heard_at_s, slot.pinged_at_s = now_s, None


def ping(state: State, now_s: float) -> list[Command]:
    """Ping those whose turn it is; give up those that have been silent for too long, or sit on an order for too long."""
    rules = state.rules
    commands: list[Command] = []
    for slot_id, slot in list(state.slots.items()):
        if slot.phase != "connected":
            continue
        if slot.pinged_at_s is not None and now_s - slot.pinged_at_s > rules.ping_timeout_s:
            commands += lose(state, slot_id, now_s, f"no answer to a ping within {rules.ping_timeout_s:g} s")
        elif any(_is_overdue(state, slot, state.orders[order_id], now_s) for order_id in slot.orders):
            commands += lose(state, slot_id, now_s, "no answer to an order in time")
        elif slot.pinged_at_s is None and now_s - slot.heard_at_s >= rules.ping_period_s:
            slot.pinged_at_s = now_s
            commands.append(Ping(slot_id))
    return commands


def forgive_stall(state: State, now_s: float) -> None:
    """We stood still ourselves for a while: the silence was ours, so every clock of a slot starts again."""
    for slot in state.slots.values():
        slot.heard_at_s, slot.pinged_at_s = now_s, None
        slot.answered_at_s = now_s
    for order in state.orders.values():
        if order.cancelled_at_s is not None:
            order.cancelled_at_s = now_s


def lose(state: State, slot_id: SlotId, now_s: float, detail: str, *, hostile: bool = False) -> list[Command]:
    """Give the slot up: end its actor, return its leases at once, try again later.

    Only the order at its head counts against the attempt limit: that one may be what kills slots, those behind it had not begun.
    """
    slot = state.slots.get(slot_id)
    if slot is None or slot.phase == "absent":
        return []
    commands: list[Command] = [Release(slot_id)]
    for index, order_id in enumerate(slot.orders):
        commands += _return_lost(state, state.orders.pop(order_id), detail, counts=index == 0)
    slot.orders.clear()
    slot.phase = "absent"
    slot.pinged_at_s = None
    slot.accounted_until_s = slot.answered_at_s = NEVER
    penalise(state, slot, now_s, weight=HOSTILE_WEIGHT if hostile else 1)
    return commands


def penalise(state: State, slot: SlotState, now_s: float, *, weight: int = 1) -> None:
    """Back the slot off, twice as long after each failure in a row."""
    slot.failures += weight
    slot.retry_at_s = now_s + min(state.rules.backoff_s * 2.0 ** min(slot.failures - 1, 16), state.rules.backoff_s_max)


def cancel(state: State, orders: Iterable[OrderState], now_s: float) -> list[Command]:
    """Ask slots to give up orders that nobody waits for."""
    by_slot: dict[SlotId, list[OrderState]] = {}
    for order in orders:
        order.cancelled_at_s = now_s
        by_slot.setdefault(order.slot, []).append(order)
    return [CancelOrders(slot_id, tuple(order.id for order in given_up)) for slot_id, given_up in by_slot.items()]


def _is_overdue(state: State, slot: SlotState, order: OrderState, now_s: float) -> bool:
    rules = state.rules
    if order.cancelled_at_s is not None:
        return now_s - order.cancelled_at_s > rules.cancel_timeout_s
    begun_at_s = max(order.sent_at_s, slot.answered_at_s)
    return order.id == slot.orders[0] and now_s - begun_at_s > rules.order_timeout_s + 3 * order.expected_s


def _return_lost(state: State, order: OrderState, detail: str, *, counts: bool) -> list[Command]:
    if order.cancelled_at_s is not None:
        return []  # its leases are gone already
    state.unsettled[order.id] = Unsettled(order.job_id, len(order.leases), order.cap_nanos)
    lost = [GiveBack(s.subtask_id, s.job_id, s.fence, "lost", counts, "slot_lost", detail) for s in order.leases]
    return [Settle(order.id, (), tuple(lost), more_expected=False)]
