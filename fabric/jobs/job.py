"""Job, Subtask and Attempt as frozen values, and what queue and dispatcher tell each other about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from fabric.core.ids import JobId, ModelVersionId, OrderId, ProviderId, QuoteId, SubtaskId, UserId
from fabric.jobs.requirements import ANY_FORMAT, Format, Requirements

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
SubtaskStatus = Literal["waiting", "leased", "done", "failed", "cancelled"]
Outcome = Literal["done", "failed", "lost", "cancelled"]


@dataclass(frozen=True, slots=True)
class Job:
    """A customer's work, as it stands. Amounts in nano-USD."""

    id: JobId
    owner_id: UserId
    model_version_id: ModelVersionId
    model: str  # name:version
    status: JobStatus
    own_machines: bool
    priority: int
    items_total: int
    items_done: int
    items_failed: int
    subtasks_total: int
    subtasks_done: int
    subtasks_leased: int
    held_nanos: int
    captured_nanos: int
    commission_nanos: int
    reserved_nanos: int
    released_nanos: int
    rate_nanos_per_hour_max: int | None
    commission_bps: int | None  # None: from before it was kept with the job
    quote_id: UUID | None
    waiting_reason: str | None
    waiting_since: datetime | None
    error_code: str | None
    error_detail: str | None
    event_seq: int
    request_id: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime | None
    labels: Mapping[str, str]
    retry_of: UUID | None
    retried_items: Sequence[Sequence[int]] | None  # [first, count] in retry_of, in order
    results_kept_s: int
    results_deleted_at: datetime | None
    seen_at: datetime  # now, on the database's clock

    @property
    def results_expire_at(self) -> datetime | None:
        """When the results are deleted; None while it has not ended."""
        return None if self.finished_at is None else self.finished_at + timedelta(seconds=self.results_kept_s)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a subtask that ended: the usage record."""

    fence: int
    provider_id: ProviderId
    slot: int
    outcome: Outcome
    leased_at: datetime
    finished_at: datetime
    reported_us: int | None
    observed_us: int | None
    cap_us: int | None
    billed_us: int
    rate_nanos_per_hour: int
    gross_nanos: int
    commission_nanos: int
    error_code: str | None
    error_detail: str | None


@dataclass(frozen=True, slots=True)
class Subtask:
    """One part of a job, with what was tried."""

    id: SubtaskId
    position: int
    item_start: int
    item_count: int
    status: SubtaskStatus
    provider_id: ProviderId | None
    slot: int | None
    gross_nanos: int
    item_errors: tuple[tuple[int, str, str], ...]
    error_code: str | None
    error_detail: str | None
    finished_at: datetime | None
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenJob:
    """An unfinished job as the planner sees it."""

    id: JobId
    owner_id: UserId
    model_version_id: ModelVersionId
    status: JobStatus
    priority: int
    waiting: int  # subtasks that may be claimed now
    leased: int
    delayed: int  # subtasks that back off after a failure
    avoiding: Mapping[ProviderId, int]  # of `waiting`: how many would rather not go to this provider again
    item_us: float
    rate_nanos_per_hour_max: int | None
    own_machines: bool
    requirements: Requirements
    items_per_subtask: float  # on average
    spendable_nanos: int  # held - captured - reserved
    waiting_reason: str | None
    created_at: datetime
    memory_bytes: int = 0  # the peak of its model's profile
    model_format: Format = ANY_FORMAT
    model_id: str | None = None
    barred_owner_ids: frozenset[UUID] = frozenset()  # who gave the promotional credit in its hold
    priced_at_s: float | None = None  # epoch seconds; the device table of then is what its slots follow. None: the present one


@dataclass(frozen=True, slots=True)
class Claim:
    """The wish to lease up to `count` subtasks of a job to one slot, as one order."""

    order_id: OrderId
    job_id: JobId
    provider_id: ProviderId
    slot: int
    count: int
    rate_nanos_per_hour: int  # 0 on the requestor's own machine
    cap_us_per_item: int  # what calibration allows for one item on this slot
    lease_s: float
    avoided_too: bool = False  # also subtasks whose last attempt failed on this provider: there is no other one
    cap_us_min: int = 0  # the cap of a subtask is never below this


@dataclass(frozen=True, slots=True)
class Leased:
    """A subtask under a lease. `fence` must come back with its receipt, `cap_us` and `cap_nanos` bound its bill."""

    subtask_id: SubtaskId
    job_id: JobId
    order_id: OrderId
    provider_id: ProviderId
    slot: int
    fence: int
    position: int
    item_start: int
    item_count: int
    cap_us: int
    cap_nanos: int
    rate_nanos_per_hour: int


@dataclass(frozen=True, slots=True)
class GiveBack:
    """A lease that ended without a result."""

    subtask_id: SubtaskId
    job_id: JobId
    fence: int
    outcome: Literal["failed", "lost", "cancelled"]
    counts: bool  # against the attempt limit
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """A verified result of a subtask, to be settled. `output` or `output_key` is set unless every item failed."""

    subtask_id: SubtaskId
    job_id: JobId
    fence: int
    provider_id: ProviderId
    slot: int
    order_id: OrderId
    reported_us: int
    observed_us: int
    cap_us: int
    billed_us: int
    gross_nanos: int  # never more than Leased.cap_nanos is captured; 0 on the requestor's own machine
    commission_bps: int  # for jobs from before it was kept with them; else the job's own counts
    output: bytes | None = None
    output_key: str | None = None
    output_size: int | None = None
    output_sha256: bytes | None = None
    item_errors: tuple[tuple[int, str, str], ...] = ()  # index within the JOB, code, detail


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a completion: done and paid once; stale (the lease had ended: nothing happened); refused by the ledger."""

    subtask_id: SubtaskId
    status: Literal["done", "stale", "refused"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input as submitted. Exactly one of `tensor` and `files` is given."""

    name: str
    files: tuple[UUID, ...] = ()
    tensor: Mapping[str, Any] | None = None
    broadcast: bool = False


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a requestor asks for."""

    model: str
    inputs: tuple[InputSpec, ...]
    request: Mapping[str, Any]  # the body as submitted
    items_per_subtask: int | None = None
    requirements: Mapping[str, Any] = field(default_factory=dict)
    own_machines: bool = False
    budget_nanos: int | None = None
    rate_nanos_per_hour_max: int | None = None
    deadline_s: float | None = None
    priority: int = 0
    quote_id: QuoteId | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    results_days: float | None = None
