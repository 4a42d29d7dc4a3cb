"""Bodies of /api/v1/quotes."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from fabric.api.schemas.common import Body, Moment, Money
from fabric.api.schemas.jobs import INPUTS_MAX, InputIn, WorkIn
from fabric.core.ids import QuoteId
from fabric.marketplace.quotes import Quote

ITEMS_MAX = 1_000_000_000


class QuoteIn(WorkIn):
    """A job to be priced: with its inputs, or only with the number of its items."""

    inputs: Annotated[list[InputIn], Field(max_length=INPUTS_MAX)] | None = None
    """As for a job."""
    items: Annotated[int, Field(ge=1, le=ITEMS_MAX)] | None = None
    """How many there will be."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.inputs is None) == (self.items is None):
            raise ValueError("give either inputs or items")
        return self


class CapacityOut(Body):
    """Slots that suit the job."""

    slots_matching: int
    """On line, of the right kind, and not dearer than the limit."""
    slots_free: int
    """Of these, idle now."""
    slots_too_small: int
    """Suit the job otherwise, but have less memory than `memory_bytes`."""
    memory_bytes: int
    """What the model was measured to take."""
    probability: float
    """That at least one of them is free for a first subtask 10 seconds from now: from whether one is free now, and from how long
    slots of their kinds stayed free, and busy, in the last hour. 0 when none matches."""
    wait_s: float | None
    """Until the first subtask starts: 0 when a slot is free, else as if all that waits now for such slots went first. null when no
    slot matches."""


class QuoteOut(Body):
    """What a job would cost now. It holds until `expires_at` for one job with `"quote": "<id>"`; see docs/prices.md.

    Only seconds that are really used are charged, never more than the hold.
    """

    id: str
    model: str
    items: int
    seconds_expected: float | None
    """With every matching slot at work; null when there is none."""
    price_min: Money
    """On the cheapest slots."""
    price_expected: Money
    price_max: Money
    """On the dearest slots."""
    hold: Money
    """Taken aside at submit, the rest comes back at the end: the budget, or what the price makes prudent."""
    rate_min: Money
    """For an hour of a slot."""
    rate_max: Money
    rate_bound: Money | None
    """A job that is submitted with this quote pays no slot more for an hour: the dearest of now, and what following demand can add
    while the quote holds. null: nothing is on offer, and no limit was given."""
    capacity: CapacityOut
    commission_bps: int
    """The platform's part of the price, in basis points."""
    expires_at: Moment
    livemode: bool
    """false: it is play money, or a payment service's test mode."""

    @classmethod
    def of(cls, quote_id: QuoteId, model: str, quote: Quote, hold_nanos: int, *, livemode: bool) -> "QuoteOut":
        """Show a quote."""
        return cls(
            id=str(quote_id), model=model, items=quote.items, seconds_expected=quote.seconds_expected,
            price_min=Money.of(quote.price_nanos_min), price_expected=Money.of(quote.price_nanos_expected),
            price_max=Money.of(quote.price_nanos_max), hold=Money.of(hold_nanos),
            rate_min=Money.of(quote.rate_nanos_per_hour_min), rate_max=Money.of(quote.rate_nanos_per_hour_max),
            rate_bound=None if quote.rate_nanos_per_hour_bound is None else Money.of(quote.rate_nanos_per_hour_bound),
            capacity=CapacityOut(
                slots_matching=quote.slots_matching, slots_free=quote.slots_free, slots_too_small=quote.slots_too_small,
                memory_bytes=quote.memory_bytes,
                probability=quote.capacity_probability, wait_s=quote.wait_s,
            ),
            commission_bps=quote.commission_bps, expires_at=quote.expires_at, livemode=livemode,
        )  # fmt: skip
