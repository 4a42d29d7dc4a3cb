"""Bodies of /api/v1/jobs."""

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from fabric.api.schemas.common import Body, Moment, Money
from fabric.core.errors import Invalid
from fabric.core.ids import FileId, JobId, QuoteId
from fabric.core.money import usd_nanos
from fabric.jobs.job import InputSpec, Job, JobSpec
from fabric.jobs.requirements import Requirements
from fabric.jobs.subtask_store import ProviderShare

DEADLINE_S_MAX = 30 * 86_400
LABELS_MAX = 20
LABEL_CHARACTERS_MAX = 200
RESULTS_DAYS_MAX = 3650
FILES_PER_INPUT_MAX = 100_000
INPUTS_MAX = 256
NAME_CHARACTERS_MAX = 256
PRIORITIES = {"low": -10, "normal": 0, "high": 10}
MICROSECONDS_PER_S = 1_000_000

Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS_MAX)]


class TensorIn(Body):
    """A JSON tensor as in Open Inference v2."""

    datatype: str
    """BOOL, UINT8 … UINT64, INT8 … INT64, FP16, FP32, FP64, or BYTES for texts."""
    shape: list[int]
    """Axis 0 counts the items."""
    data: list[Any]
    """The values, flat in C order or nested."""
    name: str | None = None
    """Not needed here; the input names the tensor."""


class InputIn(Body):
    """One input of the model: exactly one of `tensor`, `file` and `files`."""

    name: Name
    """As the model calls it."""
    tensor: TensorIn | None = None
    """Small values, in the body."""
    file: str | None = None
    """An uploaded `.npy`, `.npz`, `.json`, `.jsonl` or, of texts, `.txt` file with all items; one image, sound or video; a `.zip` of those."""
    files: Annotated[list[str], Field(max_length=FILES_PER_INPUT_MAX)] | None = None
    """Several of them, in order; an image, sound or video is one item."""
    broadcast: bool = False
    """Give it whole to every subtask instead of splitting it."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if [self.tensor, self.file, self.files].count(None) != 2:
            raise ValueError("give exactly one of tensor, file and files")
        return self

    def spec(self) -> InputSpec:
        """The same as a value of the domain.

        Raises:
            NotFound: an id that cannot be a file's.
        """
        given = [self.file] if self.file is not None else self.files or []
        tensor = None if self.tensor is None else self.tensor.model_dump()
        return InputSpec(self.name, tuple(FileId.parse(text) for text in given), tensor, self.broadcast)


class SplitIn(Body):
    """How the job is cut."""

    items_per_subtask: Annotated[int, Field(ge=1, le=1_000_000)] | Literal["auto"] = "auto"


class ProvidersIn(Body):
    """Machines by name."""

    only: Annotated[list[str], Field(max_length=1000)] = []
    """Nobody else."""
    never: Annotated[list[str], Field(max_length=1000)] = []
    """Not these."""


class RequirementsIn(Body):
    """What the machines must be. What is left out does not matter."""

    accelerator: Annotated[list[str], Field(max_length=10)] = []
    """Some of cpu, cuda, rocm, directml, coreml, openvino, npu."""
    memory_gib_min: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    region: Annotated[list[str], Field(max_length=100)] = []
    providers: ProvidersIn = ProvidersIn()


Labels = Annotated[
    dict[
        Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,62}$")],
        Annotated[str, Field(max_length=LABEL_CHARACTERS_MAX)],
    ],
    Field(max_length=LABELS_MAX),
]
"""Names and values of the owner's own."""


class WorkIn(Body):
    """What jobs and quotes have in common."""

    model: Annotated[str, Field(min_length=1, max_length=300)]
    """`name`, `name:version`, `mdl_…` or `mdv_…`."""
    split: SplitIn = SplitIn()
    requirements: RequirementsIn = RequirementsIn()
    own_machines: bool = False
    """Also use machines of your own; there the job costs and earns nothing."""
    budget_usd: str | None = None
    """At most so much is ever charged (`"1.50"`); it is held at submit."""
    max_price_usd_per_hour: str | None = None
    """No slot that asks for more."""
    deadline_s: Annotated[float, Field(gt=0, le=DEADLINE_S_MAX)] | None = None
    """The job fails when it has not ended so many seconds from now."""
    priority: Literal["low", "normal", "high"] = "normal"
    labels: Labels = {}
    """To find the job by: names of letters, digits and `_.-`, any values."""
    results_days: Annotated[float, Field(gt=0, le=RESULTS_DAYS_MAX)] | None = None
    """Keep the results for so long after the end, within this fabric's limit; an event warns before they go."""

    def spec(self, inputs: "list[InputIn]") -> JobSpec:
        """The same as a value of the domain.

        Raises:
            Invalid: amounts or requirements that make no sense.
            NotFound: an id that cannot exist.
        """
        budget = None if self.budget_usd is None else usd_nanos(self.budget_usd)
        if budget == 0:
            raise Invalid("budget_usd must be more than 0")
        requirements = self.requirements.model_dump(exclude_defaults=True)
        Requirements.of(requirements)
        rate_max = None if self.max_price_usd_per_hour is None else usd_nanos(self.max_price_usd_per_hour)
        wanted = self.split.items_per_subtask
        return JobSpec(
            model=self.model, inputs=tuple(given.spec() for given in inputs), request=self.model_dump(exclude_unset=True),
            items_per_subtask=None if wanted == "auto" else wanted, requirements=requirements, own_machines=self.own_machines,
            budget_nanos=budget, rate_nanos_per_hour_max=rate_max, deadline_s=self.deadline_s, priority=PRIORITIES[self.priority],
            labels=self.labels, results_days=self.results_days,
        )  # fmt: skip


class JobIn(WorkIn):
    """A job to be done."""

    inputs: Annotated[list[InputIn], Field(max_length=INPUTS_MAX)]
    """One entry for each input of the model."""
    quote: str | None = None
    """A quote of yours for the same work (`quo_…`), not expired and not used before: the job gets its commission, its hold unless
    there is a budget, and no slot that asks for more than its `rate_bound`."""

    def spec(self, inputs: "list[InputIn]") -> JobSpec:
        """The same as a value of the domain, with its quote.

        Raises:
            Invalid: amounts or requirements that make no sense.
            NotFound: an id that cannot exist.
        """
        quote_id = None if self.quote is None else QuoteId.parse(self.quote)
        return replace(super().spec(inputs), quote_id=quote_id)


class JobChangeIn(Body):
    """What can be changed of a job at any time."""

    labels: Labels
    """In place of those it has."""


class BudgetIn(Body):
    """More for a job that is not finished."""

    add_usd: Annotated[str, Field(max_length=30, pattern=r"^[0-9]+(\.[0-9]{1,9})?$", examples=["1.50"])]
    """On top of what it holds, from your own credit."""


class ProgressOut(Body):
    """How far it is."""

    items_total: int
    items_done: int
    items_failed: int
    """Items that could not be used, such as damaged images; their neighbours are delivered."""
    subtasks_total: int
    subtasks_done: int
    subtasks_leased: int


class ProviderCostOut(Body):
    """What one machine did."""

    provider_id: str
    name: str
    subtasks: int
    seconds: float
    """Billed."""
    gross: Money
    commission: Money
    earned: Money


class CostOut(Body):
    """What it costs."""

    held: Money
    """Taken aside at submit."""
    captured: Money
    """Charged so far."""
    commission: Money
    """The platform's part of what was captured."""
    released: Money
    """Given back at the end."""
    by_provider: list[ProviderCostOut] | None = None
    """Only when one job is shown."""


class JobErrorOut(Body):
    """Why it failed."""

    code: str
    detail: str


class ItemErrorOut(Body):
    """Why one item failed."""

    index: int
    """Of the item within the job."""
    code: str
    detail: str


class JobOut(Body):
    """A job."""

    id: str
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    model: str
    model_version_id: str
    progress: ProgressOut
    queue_s: float
    """From submit to the first lease, or until now."""
    run_s: float
    """From the first lease to the end, or until now."""
    cost: CostOut
    own_machines: bool
    priority: int
    commission_bps: int | None = None
    """The platform's part of the price in basis points, as it was at submit or in the quote; null for jobs from before it was kept."""
    quote_id: str | None = None
    """The quote that it was submitted with."""
    waiting_reason: str | None = None
    """While it waits: no_capacity, slot_memory, price_below_market, model_loading, funds, provider_failing, or which ONNX Runtime its
    model needs, such as `needs ONNX Runtime ≥ 1.25`."""
    waiting_since: Moment | None = None
    """Since when it waits for that. A job that waits for funds ends when it has waited too long."""
    error: JobErrorOut | None = None
    errors: list[ItemErrorOut] | None = None
    """The first items that failed, only when one job is shown; the results list them all."""
    request_id: str
    created_at: Moment
    started_at: Moment | None = None
    finished_at: Moment | None = None
    deadline_at: Moment | None = None
    labels: dict[str, str] = {}
    retry_of: str | None = None
    """The job whose missing items this one does again."""
    retried_items: list[list[int]] | None = None
    """`[first, count]` …: which items of that job these are, in order."""
    results_expire_at: Moment | None = None
    """When the results are deleted."""
    results_deleted_at: Moment | None = None
    """They are gone since."""

    @classmethod
    def of(
        cls, job: Job, shares: list[ProviderShare] | None = None, errors: list[tuple[int, str, str]] | None = None
    ) -> "JobOut":
        """Show a job; `shares` and `errors` are looked up only when it is shown alone."""
        begun = job.started_at or job.finished_at or job.seen_at
        ended = job.finished_at or job.seen_at
        run_s = 0.0 if job.started_at is None else (ended - job.started_at).total_seconds()
        return cls(
            id=str(job.id), status=job.status, model=job.model, model_version_id=str(job.model_version_id),
            progress=ProgressOut(
                items_total=job.items_total, items_done=job.items_done, items_failed=job.items_failed,
                subtasks_total=job.subtasks_total, subtasks_done=job.subtasks_done, subtasks_leased=job.subtasks_leased,
            ),
            queue_s=max(0.0, (begun - job.created_at).total_seconds()), run_s=max(0.0, run_s),
            cost=CostOut(
                held=Money.of(job.held_nanos), captured=Money.of(job.captured_nanos), commission=Money.of(job.commission_nanos),
                released=Money.of(job.released_nanos),
                by_provider=None if shares is None else [provider_cost(share) for share in shares],
            ),
            own_machines=job.own_machines, priority=job.priority, waiting_reason=job.waiting_reason,
            commission_bps=job.commission_bps, quote_id=None if job.quote_id is None else str(QuoteId.of(job.quote_id)),
            waiting_since=job.waiting_since,
            error=None if job.error_code is None else JobErrorOut(code=job.error_code, detail=job.error_detail or ""),
            errors=None if errors is None else [ItemErrorOut(index=i, code=c, detail=d) for i, c, d in errors],
            request_id=job.request_id, created_at=job.created_at, started_at=job.started_at, finished_at=job.finished_at,
            deadline_at=job.deadline_at, labels=dict(job.labels),
            retry_of=None if job.retry_of is None else str(JobId.of(job.retry_of)),
            retried_items=None if job.retried_items is None else [list(one) for one in job.retried_items],
            results_expire_at=job.results_expire_at, results_deleted_at=job.results_deleted_at,
        )  # fmt: skip


class OutputOut(Body):
    """One output of the job as a whole."""

    name: str
    dtype: str
    shape: list[int | None]
    """null where items may differ."""
    media_type: str | None = None
    """Of texts and files: what each of them is."""
    url: str
    """All items in one `.npy` file, in input order."""


class ResultsOut(Body):
    """What results there are."""

    job_id: str
    status: str
    complete: bool
    """False while more may come."""
    items_total: int
    items_done: int
    items_failed: int
    failed_items: list[int]
    errors: list[ItemErrorOut]
    outputs: list[OutputOut]
    parts_url: str
    """Everything as a stream of tensor frames, in input order."""


def provider_cost(share: ProviderShare) -> ProviderCostOut:
    """Show what one machine did."""
    return ProviderCostOut(
        provider_id=str(share.provider_id), name=share.name, subtasks=share.subtasks,
        seconds=share.billed_us / MICROSECONDS_PER_S,
        gross=Money.of(share.gross_nanos), commission=Money.of(share.commission_nanos),
        earned=Money.of(share.gross_nanos - share.commission_nanos),
    )  # fmt: skip
