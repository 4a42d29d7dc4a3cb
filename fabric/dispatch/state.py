"""What the dispatcher knows between two events, as plain values: slots, orders, jobs.

Only `core.step` changes it. Nothing here is durable: leases, results and money are rows, and a new leader starts from an empty
state.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from fabric.core.ids import JobId, ModelVersionId, OrderId
from fabric.dispatch.fleet import SlotId, SlotSpec
from fabric.dispatch.snapshot import PlanRules
from fabric.jobs.job import Leased, OpenJob
from fabric.providers.store import ReadySlot

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class CoreRules:
    """The core's constants; seconds, unless the name says otherwise."""

    plan: PlanRules = PlanRules()
    lease_s: float = 20.0
    order_timeout_s: float = 120.0
    ping_period_s: float = 1.0
    ping_timeout_s: float = 5.0
    look_period_s: float = 1.0  # at jobs, although nobody said that there is something new
    look_at_slots_period_s: float = 3.0
    stall_s: float = 2.0  # a longer gap between two ticks means that we stood still, not the slots
    funds_grace_s: float = 5.0
    model_loading_after_s: float = 2.0
    backoff_s: float = 0.25  # after the first failure of a slot, twice as long after each further one
    backoff_s_max: float = 30.0
    claim_backoff_s: float = 0.5
    unsettled_subtasks_max: int = 4096  # with more results than that in memory nothing new is leased
    commission_bps: int = 1000
    new_order_id: Callable[[], OrderId] = OrderId.new


@dataclass(slots=True)
class SlotState:
    """One slot that providers offer."""

    facts: ReadySlot
    phase: Literal["absent", "connecting", "connected"] = "absent"
    orders: list[OrderId] = field(default_factory=list)  # sent and not answered, oldest first
    failures: int = 0  # in a row
    retry_at_s: float = NEVER  # not connected, or given work, before
    heard_at_s: float = NEVER
    pinged_at_s: float | None = None  # and not answered
    answered_at_s: float = NEVER  # the last receipt
    accounted_until_s: float = NEVER  # the slot's time up to here is billed
    measured_us: dict[ModelVersionId, float] = field(default_factory=dict)  # of one item, seen on real work

    @property
    def id(self) -> SlotId:
        """Which slot."""
        return SlotId(self.facts.provider_id, self.facts.slot)

    @property
    def spec(self) -> SlotSpec:
        """What the fleet needs to start its actor."""
        facts = self.facts
        return SlotSpec(self.id, facts.node_id, facts.resource, facts.execution_provider, facts.threads)


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
    is_cancelled: bool = False


@dataclass(slots=True)
class State:
    """All of it."""

    rules: CoreRules = field(default_factory=CoreRules)
    is_leader: bool = False
    slots: dict[SlotId, SlotState] = field(default_factory=dict)
    orders: dict[OrderId, OrderState] = field(default_factory=dict)
    jobs: dict[JobId, OpenJob] = field(default_factory=dict)  # the most urgent first, as last seen, less what was leased since
    is_claiming: bool = False
    claim_again_at_s: float = NEVER
    unsettled: dict[OrderId, int] = field(default_factory=dict)  # answered, being settled: their subtasks
    is_looking_at_jobs: bool = False
    looks_again: bool = False  # something changed while we looked
    looked_at_jobs_s: float = NEVER
    looked_at_slots_s: float = NEVER
    ticked_at_s: float | None = None
    renewed_at_s: float = NEVER
    told: dict[JobId, str | None] = field(default_factory=dict)  # waiting reasons as they stand
    broke_since_s: dict[JobId, float] = field(default_factory=dict)
