"""What the planner sees: connected slots and unfinished jobs, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from fabric.core.ids import JobId, ModelVersionId
from fabric.dispatch.fleet import SlotId, SlotSpec
from fabric.jobs.job import OpenJob
from fabric.providers.rates import ModelRates
from fabric.providers.runtimes import ANY_NEWEST, Newest

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class OfferedSlot:
    """A slot as its machine was enrolled and as its owner offers it."""

    id: SlotId
    owner_id: UUID
    node_id: str  # of the machine's present Ray node
    resource: str
    execution_provider: str
    threads: int
    accelerator: str
    memory_gib: float
    region: str
    rate_nanos_per_hour: int
    speed: float  # against the slot of speed 1, by the benchmark at joining
    status: str = "online"  # paused and draining slots finish what they have
    device_id: str = ""  # which of the machine's devices; empty: the default one
    newest: Newest = ANY_NEWEST  # model that its runtime takes
    model_rates: ModelRates = field(default_factory=dict)
    older_rates: tuple[tuple[float, int], ...] = ()  # until when (epoch seconds) a job was priced to get which rate, oldest first

    def rate_for(self, job: OpenJob) -> int | None:
        """What a job pays for an hour: nothing to its own owner, what the owner asks for its model, and no more than the device table
        of its time makes of an offer that follows the suggestion. None: the owner does not let this model run here.
        """
        if self.owner_id == job.owner_id:
            return 0
        if job.model_id is not None and job.model_id in self.model_rates:
            return self.model_rates[job.model_id]
        if job.priced_at_s is not None:
            for until_s, rate in self.older_rates:
                if job.priced_at_s < until_s:
                    return rate
        return self.rate_nanos_per_hour

    @property
    def provider_id(self) -> UUID:
        """The machine."""
        return self.id.provider_id

    @property
    def spec(self) -> SlotSpec:
        """What the fleet needs to start its actor."""
        # An accelerator's memory is its own; models that run on it use the machine's besides.
        memory_bytes = int(self.memory_gib * GIB) if self.accelerator == "cpu" else None
        device_bytes = None if self.accelerator == "cpu" else int(self.memory_gib * GIB)
        return SlotSpec(
            self.id, self.node_id, self.resource, self.execution_provider, self.threads, memory_bytes, self.device_id, device_bytes
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SlotView:
    """A connected slot and what it has to do."""

    offered: OfferedSlot
    orders: int = 0  # sent and not answered
    busy_s: float = 0.0  # how long those are expected to take still
    is_failing: bool = False  # it gets nothing now; it counts only for saying why a job waits

    @property
    def id(self) -> SlotId:
        """Which slot."""
        return self.offered.id


@dataclass(frozen=True, slots=True)
class PlanRules:
    """The planner's constants."""

    order_target_s: float = 0.7
    orders_per_slot: int = 2
    subtasks_per_order_max: int = 512


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment."""

    slots: tuple[SlotView, ...]
    jobs: tuple[OpenJob, ...]  # the most urgent first
    measured_us: Mapping[tuple[SlotId, ModelVersionId], float] = field(default_factory=dict)  # of one item, seen on real work
    order_max: Mapping[JobId, int] = field(default_factory=dict)  # subtasks of a job that fit into one order, where that is known
    rules: PlanRules = field(default_factory=PlanRules)
