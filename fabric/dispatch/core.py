"""The dispatcher's decisions, without any I/O: `step(state, event, now_s) -> state, commands`.

The shell (dispatcher.py) tells what happened and does what it is told. So every order of events, every crash and every delay can be
played through in a test with a seed. The state given to `step` is used up: go on with the one that it returns.
"""

from fabric.core.ids import JobId, ModelVersionId
from fabric.dispatch import order_life, slot_life
from fabric.dispatch import steps as s
from fabric.dispatch.fleet import SlotId
from fabric.dispatch.plan import Plan, plan
from fabric.dispatch.slot_life import ONLINE
from fabric.dispatch.snapshot import SlotView, Snapshot
from fabric.dispatch.state import SlotState, State
from fabric.jobs.lifecycle import FUNDS

MODEL_LOADING = "model_loading"
RENEWALS_PER_LEASE = 4


def step(state: State, event: s.Event, now_s: float) -> tuple[State, list[s.Command]]:
    """Take one event in; say what to do about it. `now_s` is on a clock that never jumps."""
    if isinstance(event, s.Led):
        return _begin(state, now_s)
    if not state.is_leader:
        return state, []
    if isinstance(event, s.Deposed):
        ended = [s.Release(slot_id) for slot_id, slot in state.slots.items() if slot.phase != "absent"]
        return State(state.rules), list(ended)
    commands = _react(state, event, now_s)
    return state, commands + _plan_more(state, event, now_s)


def _begin(state: State, now_s: float) -> tuple[State, list[s.Command]]:
    commands: list[s.Command] = []
    if state.is_leader:  # once more: the lock was away for a moment, and leases may be gone that somebody else gave back
        commands += order_life.renew(state, now_s)
    else:
        state = State(state.rules, is_leader=True)
    state.is_in_doubt = True
    commands += _look_at_slots(state, now_s) + _return_unknown(state, now_s) + _look_at_jobs(state, now_s)
    return state, commands


def _react(state: State, event: s.Event, now_s: float) -> list[s.Command]:
    match event:
        case s.Tick():
            return _tick(state, now_s)
        case s.Woken(topic):
            return _wake(state, topic, now_s)
        case s.JobsSeen():
            return _see_jobs(state, event, now_s)
        case s.SlotsSeen(slots, nodes):
            return slot_life.see(state, slots, nodes, now_s)
        case s.Connected(slot_id):
            return slot_life.connected(state, slot_id, now_s)
        case s.SlotGone(slot_id, detail):
            return slot_life.lose(state, slot_id, now_s, detail)
        case s.SlotHostile(slot_id, detail):
            return slot_life.lose(state, slot_id, now_s, detail, hostile=True)
        case s.Ponged(slot_id):
            slot_life.heard(state, slot_id, now_s)
        case s.Claimed():
            return order_life.claimed(state, event, now_s)
        case s.Answered():
            return order_life.answered(state, event, now_s)
        case s.OrderLost(order_id, detail):
            return slot_life.lose(state, state.orders[order_id].slot, now_s, detail) if order_id in state.orders else []
        case s.OrderHostile(order_id, detail):
            return order_life.hostile(state, order_id, detail, now_s)
        case s.OrderUnsent(order_id, detail):
            return order_life.unsent(state, order_id, detail, now_s)
        case s.Trimmed(order_id, left_out):
            return order_life.trimmed(state, order_id, left_out)
        case s.Settled(order_ids):
            order_life.settled(state, order_ids)
        case s.UnknownReturned(is_done):
            state.is_returning = False
            state.is_in_doubt = state.is_in_doubt and not is_done
            if not is_done:
                state.claim_again_at_s = now_s + state.rules.claim_backoff_s
        case s.LeasesSeen():
            return order_life.leases_seen(state, event, now_s)
    return []


def _tick(state: State, now_s: float) -> list[s.Command]:
    rules = state.rules
    if state.ticked_at_s is not None and now_s - state.ticked_at_s > rules.stall_s:
        slot_life.forgive_stall(state, now_s)
    state.ticked_at_s = now_s
    commands = slot_life.ping(state, now_s) + slot_life.connect_and_release(state, now_s)
    if now_s - state.renewed_at_s >= rules.lease_s / RENEWALS_PER_LEASE:
        commands += order_life.renew(state, now_s)
    if now_s - state.looked_at_slots_s >= rules.look_at_slots_period_s:
        commands += _look_at_slots(state, now_s)
    if now_s - state.looked_at_jobs_s >= rules.look_period_s:
        commands += _look_at_jobs(state, now_s)
    return commands + _return_unknown(state, now_s)


def _wake(state: State, topic: str, now_s: float) -> list[s.Command]:
    if topic == "slots":
        return _look_at_slots(state, now_s)
    commands = order_life.renew(state, now_s) if topic == "cancel" else []
    return commands + _look_at_jobs(state, now_s)


def _look_at_jobs(state: State, now_s: float) -> list[s.Command]:
    if state.is_looking_at_jobs:
        state.looks_again = True
        return []
    state.is_looking_at_jobs = True
    state.looked_at_jobs_s = now_s
    return [s.LookAtJobs()]


def _look_at_slots(state: State, now_s: float) -> list[s.Command]:
    state.looked_at_slots_s = now_s
    return [s.LookAtSlots()]


def _return_unknown(state: State, now_s: float) -> list[s.Command]:
    """Leases of a leader before us, or of a claim whose commit we did not see, are given back; fences make that safe."""
    if not state.is_in_doubt or state.is_returning or state.claiming or now_s < state.claim_again_at_s:
        return []
    state.is_returning = True
    return [s.ReturnUnknown(frozenset(state.orders) | frozenset(state.unsettled))]


def _see_jobs(state: State, event: s.JobsSeen, now_s: float) -> list[s.Command]:
    state.is_looking_at_jobs = False
    if event.jobs is not None:
        state.jobs = {job.id: job for job in event.jobs}
        state.told = {job.id: job.waiting_reason for job in event.jobs}
        state.waits_since = {job_id: why for job_id, why in state.waits_since.items() if job_id in state.jobs}
        state.order_max = {job_id: count for job_id, count in state.order_max.items() if job_id in state.jobs}
    if state.looks_again:
        state.looks_again = False
        return _look_at_jobs(state, now_s)
    return []


def _plan_more(state: State, event: s.Event, now_s: float) -> list[s.Command]:
    is_time_to_tell = isinstance(event, s.Tick | s.JobsSeen)
    may_claim = (
        not state.claiming and not state.is_in_doubt and now_s >= state.claim_again_at_s
        and sum(order.subtasks for order in state.unsettled.values()) < state.rules.unsettled_subtasks_max
    )  # fmt: skip
    has_place = any(_has_place(state, slot, now_s) for slot in state.slots.values())
    has_work = any(job.waiting > 0 for job in state.jobs.values())
    if not (is_time_to_tell or (may_claim and has_place and has_work)):
        return []
    planned = plan(_snapshot(state, now_s))
    commands = order_life.claim(state, planned.assignments) if may_claim and planned.assignments else []
    return commands + (_tell(state, planned, now_s) if is_time_to_tell else [])


def _has_place(state: State, slot: SlotState, now_s: float) -> bool:
    is_working = slot.phase == "connected" and slot.offered.status == ONLINE and slot.retry_at_s <= now_s
    return is_working and len(slot.orders) < state.rules.plan.orders_per_slot


def _snapshot(state: State, now_s: float) -> Snapshot:
    views: list[SlotView] = []
    measured: dict[tuple[SlotId, ModelVersionId], float] = {}
    for slot_id, slot in state.slots.items():
        is_failing = slot.retry_at_s > now_s
        if slot.offered.status != ONLINE or not (slot.phase == "connected" or is_failing):
            continue
        busy_s = sum(state.orders[order_id].expected_s for order_id in slot.orders)
        views.append(SlotView(slot.offered, len(slot.orders), busy_s, is_failing))
        measured |= {(slot_id, model_version_id): item_us for model_version_id, item_us in slot.measured_us.items()}
    return Snapshot(tuple(views), tuple(state.jobs.values()), measured, state.order_max, state.rules.plan)


def _tell(state: State, planned: Plan, now_s: float) -> list[s.Command]:
    """Say why jobs wait, when it has been true for a moment; and end those that can pay nothing more."""
    rules = state.rules
    told: dict[JobId, str | None] = {}
    broke: dict[JobId, int] = {}
    loading = _jobs_that_load(state, now_s)
    for job_id, planned_reason in planned.reasons.items():
        reason = planned_reason or (MODEL_LOADING if job_id in loading else None)
        known, since_s = state.waits_since.get(job_id, (None, now_s))
        if reason is None:
            state.waits_since.pop(job_id, None)
        elif known != reason:
            state.waits_since[job_id] = (reason, now_s)
            continue
        is_steady = reason is None or now_s - since_s >= rules.reason_after_s
        if is_steady and state.told.get(job_id) != reason:
            told[job_id] = state.told[job_id] = reason
        if reason == FUNDS and now_s - since_s >= rules.funds_grace_s:
            broke[job_id] = planned.caps_nanos_min[job_id]
            state.waits_since[job_id] = (reason, now_s)
    commands: list[s.Command] = [s.TellReasons(told)] if told else []
    return commands + ([s.EndBroke(broke)] if broke else [])


def _jobs_that_load(state: State, now_s: float) -> set[JobId]:
    """Jobs all of whose orders went to slots that have not shown yet that they can run the model."""
    oldest: dict[JobId, float] = {}
    running: set[JobId] = set()
    for order in state.orders.values():
        oldest[order.job_id] = min(oldest.get(order.job_id, now_s), order.sent_at_s)
        if order.model_version_id in state.slots[order.slot].measured_us:
            running.add(order.job_id)
    return {job_id for job_id, since_s in oldest.items() if now_s - since_s >= state.rules.model_loading_after_s} - running
