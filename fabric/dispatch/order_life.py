"""How orders are claimed, sent, answered and settled. Part of the core, so nothing here does I/O."""

from collections import defaultdict
from dataclasses import replace

from fabric.billing import metering
from fabric.core.ids import OrderId, ProviderId
from fabric.dispatch import slot_life
from fabric.dispatch.judge import failed, judge
from fabric.dispatch.plan import MICROSECONDS_PER_S, Assignment
from fabric.dispatch.state import OrderState, SlotState, State, Unsettled
from fabric.dispatch.steps import Answered, Claimed, ClaimWork, Command, LeasesSeen, RenewLeases, Send, Settle
from fabric.jobs.job import Claim, GiveBack, Leased

NEWEST_PART = 0.5  # of a measurement in the running estimate
MODELS_MEASURED_MAX = 256  # for each slot


def claim(state: State, assignments: tuple[Assignment, ...]) -> list[Command]:
    """Ask for the leases of a plan."""
    claims = []
    for assignment in assignments:
        order_id = state.rules.new_order_id()
        job = state.jobs[assignment.job_id]
        state.claiming[order_id] = (assignment, job.model_version_id)
        claims.append(
            Claim(
                order_id, job.id, ProviderId.of(assignment.slot.provider_id), assignment.slot.slot, assignment.count, assignment.rate_nanos_per_hour,
                assignment.cap_us_per_item, state.rules.lease_s, assignment.avoided_too, metering.CAP_US_MIN,
            )
        )  # fmt: skip
    return [ClaimWork(tuple(claims))]


def claimed(state: State, event: Claimed, now_s: float) -> list[Command]:
    """Send what was leased; remember that jobs have less waiting than we thought."""
    asked, state.claiming = state.claiming, {}
    if event.leases is None:
        state.is_in_doubt = True  # the commit may have happened all the same
        state.claim_again_at_s = now_s + state.rules.claim_backoff_s
        return []
    leases: dict[OrderId, list[Leased]] = defaultdict(list)
    for lease in event.leases:
        leases[lease.order_id].append(lease)
    commands: list[Command] = []
    for order_id, (assignment, model_version_id) in asked.items():
        got = leases[order_id]
        _note_leased(state, assignment, got)
        if got:
            slot = state.slots.get(assignment.slot)
            expected_s = assignment.expected_s * len(got) / assignment.count
            was_alone = slot is None or not slot.orders
            commands += _send(
                state,
                OrderState(
                    order_id, assignment.slot, assignment.job_id, model_version_id, tuple(got), now_s, expected_s, was_alone
                ),
            )
    return commands


def answered(state: State, event: Answered, now_s: float) -> list[Command]:
    """Judge a receipt and settle it. One of an order that we do not wait for is nothing: it is late, or a duplicate."""
    order = _take(state, event.order_id)
    if order is None:
        return []
    slot = state.slots[order.slot]
    begun_at_s = max(order.sent_at_s, slot.accounted_until_s)
    verdict = judge(
        order.id, order.leases, event.receipt, outputs=event.outputs, uploads=event.uploads,
        observed_us=max(0, int((now_s - begun_at_s) * MICROSECONDS_PER_S)), commission_bps=state.rules.commission_bps,
    )  # fmt: skip
    # A slot's time is billed once, however its orders overlap; what one order left unused may still be claimed by the next.
    slot.accounted_until_s = begun_at_s + verdict.billed_us / MICROSECONDS_PER_S
    if verdict.completions:
        _measure(slot, order, event, verdict.items_done, now_s)
        slot.failures = 0
    slot.answered_at_s = now_s
    if order.cancelled_at_s is not None:
        return []  # its leases are gone: nothing would match
    used_nanos = sum(completion.gross_nanos for completion in verdict.completions)
    state.unsettled[order.id] = Unsettled(order.job_id, len(order.leases), order.cap_nanos - used_nanos)
    commands: list[Command] = [Settle(order.id, verdict.completions, verdict.given_back, more_expected=bool(state.orders))]
    if verdict.hostile:
        commands += slot_life.lose(state, order.slot, now_s, f"hostile answer: {verdict.hostile}", hostile=True)
    return commands


def hostile(state: State, order_id: OrderId, detail: str, now_s: float) -> list[Command]:
    """The answer was refused unread: a failed attempt, and the slot gets nothing for a while."""
    order = _take(state, order_id)
    if order is None:
        return []
    commands = _give_back(state, order, [failed(lease, "hostile_answer", detail) for lease in order.leases])
    return commands + slot_life.lose(state, order.slot, now_s, f"hostile answer: {detail}", hostile=True)


def unsent(state: State, order_id: OrderId, detail: str, now_s: float) -> list[Command]:
    """Our own storage or database failed, so no attempt counts, and we pause."""
    order = _take(state, order_id)
    if order is None:
        return []
    state.claim_again_at_s = now_s + state.rules.claim_backoff_s
    leases = [GiveBack(s.subtask_id, s.job_id, s.fence, "cancelled", False, "not_sent", detail) for s in order.leases]
    return _give_back(state, order, leases)


def trimmed(state: State, order_id: OrderId, left_out: tuple[Leased, ...]) -> list[Command]:
    """Some leases had no room in the order: give them back uncounted, and lease fewer next time."""
    order = state.orders.get(order_id)
    if order is not None:
        order.leases = tuple(lease for lease in order.leases if lease not in left_out)
        state.order_max[order.job_id] = max(1, len(order.leases))
    given_back = [
        GiveBack(s.subtask_id, s.job_id, s.fence, "cancelled", False, "not_sent", "no room in the order") for s in left_out
    ]  # fmt: skip
    return [Settle(order_id, (), tuple(given_back), more_expected=False)]


def settled(state: State, order_ids: tuple[OrderId, ...]) -> None:
    """Results are written: their caps may be spent again."""
    for order_id in order_ids:
        done = state.unsettled.pop(order_id, None)
        job = state.jobs.get(done.job_id) if done else None
        if done and job:
            state.jobs[job.id] = replace(
                job, leased=max(0, job.leased - done.subtasks), spendable_nanos=job.spendable_nanos + done.unused_nanos
            )  # fmt: skip


def renew(state: State, now_s: float) -> list[Command]:
    """Renew the leases of all orders that run or are being settled; the answer also tells which of them nobody waits for."""
    state.renewed_at_s = now_s
    order_ids = frozenset(state.orders) | frozenset(state.unsettled)
    return [RenewLeases(order_ids)] if order_ids else []


def leases_seen(state: State, event: LeasesSeen, now_s: float) -> list[Command]:
    """Orders without any lease left were cancelled, or ran out: give them up."""
    gone = [state.orders[i] for i in event.asked - event.live if i in state.orders and state.orders[i].cancelled_at_s is None]
    return slot_life.cancel(state, sorted(gone, key=lambda order: order.id.int), now_s)


def _take(state: State, order_id: OrderId) -> OrderState | None:
    order = state.orders.pop(order_id, None)
    if order is not None:
        state.slots[order.slot].orders.remove(order_id)
    return order


def _send(state: State, order: OrderState) -> list[Command]:
    slot = state.slots.get(order.slot)
    if slot is None or slot.phase != "connected":
        lost = [
            GiveBack(s.subtask_id, s.job_id, s.fence, "cancelled", False, "slot_lost", "before it was sent") for s in order.leases
        ]  # fmt: skip
        return _give_back(state, order, lost)
    slot.orders.append(order.id)
    state.orders[order.id] = order
    timeout_s = state.rules.order_timeout_s + 3 * order.expected_s
    return [Send(order.id, order.slot, order.job_id, order.leases, timeout_s)]


def _give_back(state: State, order: OrderState, leases: list[GiveBack]) -> list[Command]:
    if order.cancelled_at_s is not None:
        return []
    state.unsettled[order.id] = Unsettled(order.job_id, len(order.leases), order.cap_nanos)
    return [Settle(order.id, (), tuple(leases), more_expected=False)]


def _note_leased(state: State, assignment: Assignment, got: list[Leased]) -> None:
    job = state.jobs.get(assignment.job_id)
    if job is None:
        return
    # A claim that got nothing means that we know too little; the next look tells what is really there.
    waiting = max(0, job.waiting - len(got)) if got else 0
    spendable = job.spendable_nanos - sum(lease.cap_nanos for lease in got)
    state.jobs[job.id] = replace(job, waiting=waiting, leased=job.leased + len(got), spendable_nanos=spendable)
    state.told[job.id] = None if got else state.told.get(job.id)


def _measure(slot: SlotState, order: OrderState, event: Answered, items: int, now_s: float) -> None:
    """The pace of the slot with this model, overheads included, because that is what an order's size must fit."""
    elapsed_us = (now_s - max(order.sent_at_s, slot.answered_at_s)) * MICROSECONDS_PER_S - event.receipt.load_us
    if order.was_alone:
        elapsed_us -= event.receipt.fetch_us  # later orders are fetched while the one before runs
    item_us = max(elapsed_us / items, 0.1)
    before = slot.measured_us.pop(order.model_version_id, item_us)
    slot.measured_us[order.model_version_id] = before + NEWEST_PART * (item_us - before)
    if len(slot.measured_us) > MODELS_MEASURED_MAX:
        del slot.measured_us[next(iter(slot.measured_us))]
