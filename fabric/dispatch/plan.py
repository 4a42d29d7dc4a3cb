"""Pure: snapshot to assignments, and why the rest waits.

Orders are sized by guided self-scheduling: as much as runs for the target time, but at the tail of a job only a slot's share of
what is left, by speed, so that all slots finish together. Every slot gets a first order before any gets a second one. Within a
priority the owner with the least work under way goes first, then the oldest job.
"""

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from uuid import UUID

from fabric.billing import metering
from fabric.core.ids import JobId, ProviderId
from fabric.core.money import price_nanos
from fabric.dispatch.fleet import SlotId
from fabric.dispatch.snapshot import OfferedSlot, Snapshot
from fabric.jobs.job import OpenJob
from fabric.jobs.lifecycle import FUNDS
from fabric.jobs.requirements import accepts_owner, has_memory, has_runtime, matches
from fabric.providers.runtimes import needed_words

NO_CAPACITY = "no_capacity"
PRICE_BELOW_MARKET = "price_below_market"
PROVIDER_FAILING = "provider_failing"
SLOT_MEMORY = "slot_memory"
UNMEASURED_PART = 0.5  # of the target time for a first order: the profile was measured on another machine
JOBS_CONSIDERED_MAX = 128  # that can be served, in one plan; the next plan is a moment away
ITEM_US_MIN = 0.01
MICROSECONDS_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class Assignment:
    """So many waiting subtasks of a job to one slot, as one order."""

    slot: SlotId
    job_id: JobId
    count: int
    rate_nanos_per_hour: int
    cap_us_per_item: int
    avoided_too: bool
    expected_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What to lease now. `reasons` has an entry for each job: why it waits, or None when it does not."""

    assignments: tuple[Assignment, ...] = ()
    reasons: Mapping[JobId, str | None] = field(default_factory=dict)
    caps_nanos_min: Mapping[JobId, int] = field(default_factory=dict)  # of jobs that wait for funds: the cheapest next subtask


@dataclass(frozen=True, slots=True)
class _Offer:
    """What one slot would mean for one job."""

    rate: int
    item_us: float
    is_measured: bool
    cap_us_per_item: int
    cap_nanos: int  # of one subtask


@dataclass(slots=True)
class _Demand:
    """A job and what is left of it while the plan is made, and the slots that may serve it."""

    job: OpenJob
    waiting: int
    spendable_nanos: int
    avoiding: Mapping[ProviderId, int]
    offers: dict[SlotId, _Offer] = field(default_factory=dict)
    providers: set[UUID] = field(default_factory=set)
    velocity: float = 0.0  # of all its slots together, items for each microsecond
    reason: str = NO_CAPACITY
    assigned: int = 0

    @property
    def cap_nanos_min(self) -> int:
        """What the cheapest next subtask must be able to cost."""
        return min(offer.cap_nanos for offer in self.offers.values())

    def take(self, assignment: Assignment) -> None:
        """Take an assignment out of what is left."""
        self.waiting -= assignment.count
        self.assigned += assignment.count
        self.spendable_nanos -= assignment.count * self.offers[assignment.slot].cap_nanos


def plan(snapshot: Snapshot) -> Plan:
    """Fill the free places of all slots."""
    demands: list[_Demand] = []
    reasons: dict[JobId, str | None] = {}
    servable = 0
    for job in _in_turn(snapshot.jobs):
        if servable < JOBS_CONSIDERED_MAX:
            demands.append(demand := _demand(job, snapshot))
            servable += demand.waiting > 0 and bool(demand.offers)
        else:
            reasons[job.id] = None if job.leased or not job.waiting else NO_CAPACITY
    assignments = _fill(snapshot, [demand for demand in demands if demand.waiting > 0 and demand.offers])
    reasons |= {demand.job.id: _reason(demand) for demand in demands}
    broke = {demand.job.id: demand.cap_nanos_min for demand in demands if reasons[demand.job.id] == FUNDS}
    return Plan(tuple(assignments), reasons, broke)


def _in_turn(jobs: Sequence[OpenJob]) -> list[OpenJob]:
    """By priority; within one, the first job of each owner, then the second of each, and so on."""
    seen: dict[tuple[UUID, int], int] = defaultdict(int)
    turns = []
    for index, job in enumerate(jobs):
        turns.append((-job.priority, seen[job.owner_id, job.priority], index))
        seen[job.owner_id, job.priority] += job.waiting > 0
    return [jobs[index] for *_, index in sorted(turns)]


def _demand(job: OpenJob, snapshot: Snapshot) -> _Demand:
    demand = _Demand(job, job.waiting, job.spendable_nanos, job.avoiding)
    of_its_kind = [
        slot for slot in snapshot.slots
        if matches(job.requirements, slot.offered)
        and accepts_owner(job.owner_id, job.own_machines, slot.offered.owner_id, job.barred_owner_ids)
    ]  # fmt: skip
    suitable = [slot for slot in of_its_kind if has_memory(job.memory_bytes, slot.offered)]
    if of_its_kind and not suitable:
        demand.reason = SLOT_MEMORY
    taking = [slot for slot in suitable if has_runtime(job.model_format, slot.offered)]
    if suitable and not taking:
        demand.reason = needed_words(job.model_format.opset, job.model_format.ir_version)
    working = [slot.offered for slot in taking if not slot.is_failing]
    if taking and not working:
        demand.reason = PROVIDER_FAILING
    refusing = 0
    for slot in working:
        rate = slot.rate_for(job)
        if rate is None:
            refusing += 1
        elif job.rate_nanos_per_hour_max is None or rate <= job.rate_nanos_per_hour_max:
            offer = demand.offers[slot.id] = _offer(job, slot, rate, snapshot)
            demand.providers.add(slot.provider_id)
            demand.velocity += 1 / offer.item_us
    if len(working) > refusing and not demand.offers:
        demand.reason = PRICE_BELOW_MARKET
    return demand


def _offer(job: OpenJob, slot: OfferedSlot, rate: int, snapshot: Snapshot) -> _Offer:
    measured = snapshot.measured_us.get((slot.id, job.model_version_id))
    item_us = max(measured if measured is not None else job.item_us / slot.speed, ITEM_US_MIN)
    cap_us_per_item = metering.cap_us(job.item_us, slot.speed, 1)
    cap_us = max(cap_us_per_item * ceil(job.items_per_subtask), metering.CAP_US_MIN)
    return _Offer(rate, item_us, measured is not None, cap_us_per_item, price_nanos(rate, cap_us))


def _fill(snapshot: Snapshot, demands: list[_Demand]) -> list[Assignment]:
    under_way: dict[UUID, float] = defaultdict(float)  # work that is leased, by owner
    for job in snapshot.jobs:
        under_way[job.owner_id] += job.leased * job.items_per_subtask * job.item_us
    # Orders first, seconds second: nobody gets a second order before everybody has a first one.
    places = [(slot.orders, slot.busy_s, slot.id) for slot in snapshot.slots if not slot.is_failing]
    heapq.heapify(places)
    assignments: list[Assignment] = []
    while places and demands:
        orders, busy_s, slot_id = heapq.heappop(places)
        if orders >= snapshot.rules.orders_per_slot:
            continue
        for demand in sorted(demands, key=lambda d: (-d.job.priority, under_way[d.job.owner_id])):
            if (assignment := _assignment(demand, slot_id, snapshot)) is not None:
                break
        else:
            continue  # nobody waits for this slot
        assignments.append(assignment)
        demand.take(assignment)
        under_way[demand.job.owner_id] += assignment.count * demand.job.items_per_subtask * demand.job.item_us
        if demand.waiting == 0:
            demands.remove(demand)
        heapq.heappush(places, (orders + 1, busy_s + assignment.expected_s, slot_id))
    return assignments


def _assignment(demand: _Demand, slot_id: SlotId, snapshot: Snapshot) -> Assignment | None:
    rules = snapshot.rules
    offer = demand.offers.get(slot_id)
    if offer is None:
        return None
    is_only_provider = len(demand.providers) == 1
    free = demand.waiting if is_only_provider else demand.waiting - demand.avoiding.get(ProviderId.of(slot_id.provider_id), 0)
    if offer.cap_nanos:
        free = min(free, demand.spendable_nanos // offer.cap_nanos)
    if free < 1:
        return None
    subtask_us = demand.job.items_per_subtask * offer.item_us
    target_us = rules.order_target_s * MICROSECONDS_PER_S * (1 if offer.is_measured else UNMEASURED_PART)
    share = demand.waiting / offer.item_us / demand.velocity / rules.orders_per_slot
    most = min(free, rules.subtasks_per_order_max, snapshot.order_max.get(demand.job.id, free))
    count = max(1, min(most, int(target_us / subtask_us), ceil(share)))
    expected_s = count * subtask_us / MICROSECONDS_PER_S
    return Assignment(slot_id, demand.job.id, count, offer.rate, offer.cap_us_per_item, is_only_provider, expected_s)


def _reason(demand: _Demand) -> str | None:
    job = demand.job
    if job.leased or demand.assigned:
        return None
    if not job.waiting:
        return PROVIDER_FAILING if job.delayed else None
    if demand.offers and demand.spendable_nanos < demand.cap_nanos_min:
        return FUNDS
    return demand.reason
