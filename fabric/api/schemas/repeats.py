"""Bodies of /api/v1/job-templates and of jobs that are tried out, retried or run again."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field

from fabric.api.schemas.common import Body, Moment
from fabric.api.schemas.jobs import DEADLINE_S_MAX, INPUTS_MAX, RESULTS_DAYS_MAX, InputIn, Labels, RequirementsIn, SplitIn
from fabric.api.schemas.quotes import QuoteOut
from fabric.jobs.template_store import JobTemplate


class WorkChangesIn(Body):
    """What shall be otherwise than it was said before; what is left out stays. As for a job."""

    model: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    inputs: Annotated[list[InputIn], Field(max_length=INPUTS_MAX)] | None = None
    split: SplitIn | None = None
    requirements: RequirementsIn | None = None
    own_machines: bool | None = None
    budget_usd: str | None = None
    max_price_usd_per_hour: str | None = None
    deadline_s: Annotated[float, Field(gt=0, le=DEADLINE_S_MAX)] | None = None
    priority: Literal["low", "normal", "high"] | None = None
    labels: Labels | None = None
    results_days: Annotated[float, Field(gt=0, le=RESULTS_DAYS_MAX)] | None = None


class TemplateIn(WorkChangesIn):
    """What jobs from this template say, unless they say otherwise. As for a job, all of it optional."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}$")]
    """Letters, digits and `_.-`."""


class JobTemplateOut(Body):
    """A saved job body."""

    id: str
    name: str
    request: dict[str, Any]
    """What it says of a job."""
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, template: JobTemplate) -> Self:
        """Show a template."""
        return cls(
            id=str(template.id), name=template.name, request=dict(template.request), created_at=template.created_at,
            updated_at=template.updated_at,
        )  # fmt: skip


class DryRunOut(Body):
    """What a submit of the same body would do now."""

    model: str
    items: int
    items_per_subtask: int
    subtasks: int
    quote: QuoteOut
    """Not kept: its id is good for nothing."""
    affordable: bool
    """Whether the wallet can cover the hold now."""
