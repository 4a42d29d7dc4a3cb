"""What the dispatcher knows between two events, as plain values: slots, orders, jobs.

Only `core.step` changes it. Nothing here is durable: leases, results and money are rows, and a new leader starts from an empty
state.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from fabric.core.ids import JobId, ModelVersionId, OrderId
from fabric.dispatch.fleet import SlotId
from fabric.dispatch.plan import Assignment
from fabric.dispatch.snapshot import OfferedSlot, PlanRules
from fabric.jobs.job import Leased, OpenJob

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class CoreRules:
    """The core's constants; seconds, unless the name says otherwise."""

    plan: PlanRules = field(default_factory=PlanRules)
    lease_s: float = 20.0
    order_timeout_s: float = 120.0
    ping_period_s: float = 1.0
    ping_timeout_s: float = 5.0
    look_period_s: float = 1.0  # at jobs, although nobody said that there is something new
    look_at_slots_period_s: float = 3.0
    stall_s: float = 2.0  # a longer gap between two ticks means that we stood still, not the slots
    reason_after_s: float = 0.5  # a job is said to wait only when it has waited for so long
    model_loading_after_s: float = 2.0
    funds_grace_s: float = (
        5.0  # between two questions whether a job that waits for funds shall end; the database counts its grace
    )
    cancel_timeout_s: float = 20.0  # a slot that does not give up an order for so long is lost
    backoff_s: float = 0.25  # after the first failure of a slot, twice as long after each further one
    backoff_s_max: float = 30.0
    claim_backoff_s: float = 0.5
    unsettled_subtasks_max: int = 4096  # with more results than that in memory nothing new is leased
    commission_bps: int = 1000
    new_order_id: Callable[[], OrderId] = OrderId.new


@dataclass(slots=True)
class SlotState:
    """One slot that providers offer."""

    offered: OfferedSlot
    phase: Literal["absent", "connecting", "connected"] = "absent"
    orders: list[OrderId] = field(default_factory=list)  # sent and not answered, oldest first
    failures: int = 0  # in a row
    retry_at_s: float = NEVER  # not connected, or given work, before
    heard_at_s: float = NEVER
    pinged_at_s: float | None = None  # and not answered
    answered_at_s: float = NEVER  # the last receipt
    accounted_until_s: float = NEVER  # the slot's time up to here is billed
    measured_us: dict[ModelVersionId, float] = field(default_factory=dict)  # of one item, seen on real work


@dataclass(slots=True)
class OrderState:
    """An order that was sent and not answered."""

    id: OrderId
    slot: SlotId
    job_id: JobId
    model_version_id: ModelVersionId
    leases: tuple[Leased, ...]
    sent_at_s: float
    expected_s: float
    was_alone: bool  # the slot had nothing else to do when it was sent
    cancelled_at_s: float | None = None

    @property
    def cap_nanos(self) -> int:
        """What is reserved for it."""
        return sum(lease.cap_nanos for lease in self.leases)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """An order whose results are being written."""

    job_id: JobId
    subtasks: int
    unused_nanos: int  # of its caps


@dataclass(slots=True)
class State:
    """All of it."""

    rules: CoreRules = field(default_factory=CoreRules)
    is_leader: bool = False
    slots: dict[SlotId, SlotState] = field(default_factory=dict)
    orders: dict[OrderId, OrderState] = field(default_factory=dict)
    jobs: dict[JobId, OpenJob] = field(default_factory=dict)  # the most urgent first, as last seen, less what was leased since
    claiming: dict[OrderId, tuple[Assignment, ModelVersionId]] = field(default_factory=dict)  # asked for, not answered
    claim_again_at_s: float = NEVER
    is_in_doubt: bool = False  # there may be leases of orders that we do not know
    is_returning: bool = False  # and they are being given back; nothing is claimed meanwhile
    unsettled: dict[OrderId, Unsettled] = field(default_factory=dict)
    is_looking_at_jobs: bool = False
    looks_again: bool = False  # something changed while we looked
    looked_at_jobs_s: float = NEVER
    looked_at_slots_s: float = NEVER
    ticked_at_s: float | None = None
    renewed_at_s: float = NEVER
    order_max: dict[JobId, int] = field(default_factory=dict)  # subtasks of a job that fit into one order
    told: dict[JobId, str | None] = field(default_factory=dict)  # waiting reasons as they stand
    waits_since: dict[JobId, tuple[str, float]] = field(default_factory=dict)  # why, and since when
