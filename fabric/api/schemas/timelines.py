"""Bodies of /api/v1/jobs/{id}/timeline and …/request: a job in few numbers, however large it is, and what it was asked for."""

from typing import Any, Literal, Self

from fabric.api.schemas.common import Body, Moment, Money
from fabric.core.ids import JobId
from fabric.jobs.bill import MICROSECONDS_PER_S
from fabric.jobs.timeline import Lane, Span, Timeline


class SpanOut(Body):
    """One try at a subtask, or several that began close to each other and ended alike."""

    outcome: Literal["done", "failed", "lost", "cancelled", "leased"]
    """`leased`: it runs now."""
    begins_at: Moment
    ends_at: Moment
    tries: int
    item_start: int | None = None
    """null where several tries are one span."""
    item_end: int | None = None
    """Not included."""
    seconds: float
    """Billed."""
    gross: Money

    @classmethod
    def of(cls, span: Span) -> Self:
        """Show a span."""
        facts = {name: getattr(span, name) for name in ("outcome", "begins_at", "ends_at", "tries", "item_start", "item_end")}
        return cls(**facts, seconds=span.billed_us / MICROSECONDS_PER_S, gross=Money.of(span.gross_nanos))


class LaneOut(Body):
    """What one slot of one machine did for the job."""

    provider_id: str
    provider_name: str
    slot: int
    tries: int
    spans: list[SpanOut]

    @classmethod
    def of(cls, lane: Lane) -> Self:
        """Show a lane."""
        spans = [SpanOut.of(span) for span in lane.spans]
        return cls(provider_id=str(lane.provider_id), provider_name=lane.name, slot=lane.slot, tries=lane.tries, spans=spans)


class TimelineOut(Body):
    """Who ran which part when. The busiest slots, at most 40."""

    job_id: str
    begins_at: Moment | None
    """null: nothing was tried yet."""
    ends_at: Moment | None
    tries: int
    lanes_total: int
    exact: bool
    """Whether each try is a span of its own; true up to 2,000 tries."""
    lanes: list[LaneOut]

    @classmethod
    def of(cls, job_id: JobId, timeline: Timeline) -> Self:
        """Show a timeline."""
        return cls(
            job_id=str(job_id), begins_at=timeline.begins_at, ends_at=timeline.ends_at, tries=timeline.tries,
            lanes_total=timeline.lanes_total, exact=timeline.is_exact, lanes=[LaneOut.of(lane) for lane in timeline.lanes],
        )  # fmt: skip


class JobRequestOut(Body):
    """What a job was asked for, as a body for another one."""

    job_id: str
    model: str
    """The version that it ran."""
    request: dict[str, Any]
    """As it was submitted, without a quote. A retry's says the inputs of the whole job; `retried_items` which of them it did."""
