"""Bodies of /api/v1/jobs/{id}/bill."""

from typing import Self

from fabric.api.schemas.common import Body, Money
from fabric.core.ids import QuoteId
from fabric.jobs.bill import FREE, MICROSECONDS_PER_S, Bill, BillLine


class BillLineOut(Body):
    """What one slot of one machine did at one rate."""

    provider_id: str
    provider_name: str
    slot: int
    subtasks: int
    """That it finished; of lines that cost nothing: attempts."""
    seconds: float
    """Billed."""
    rate: Money
    """For an hour, as it was when the subtasks were assigned."""
    amount: Money
    commission: Money
    """The platform's part of the amount."""
    reason: str | None = None
    """Why it costs nothing: own_machine, failed, lost, late or cancelled."""
    detail: str | None = None
    """The same in words, with the commonest error."""

    @classmethod
    def of(cls, line: BillLine) -> Self:
        """Show a line."""
        words = FREE[line.reason] + (f": {line.code}" if line.code else "") if line.reason else None
        return cls(
            provider_id=str(line.provider_id), provider_name=line.name, slot=line.slot, subtasks=line.subtasks,
            seconds=line.billed_us / MICROSECONDS_PER_S, rate=Money.of(line.rate_nanos_per_hour),
            amount=Money.of(line.gross_nanos), commission=Money.of(line.commission_nanos), reason=line.reason or None, detail=words,
        )  # fmt: skip


class BillOut(Body):
    """A job's bill. The amounts of `charged` add up to `captured`, which is what the ledger took from the hold."""

    job_id: str
    model: str
    status: str
    quote_id: str | None
    commission_bps: int | None
    """As it was at submit or in the quote; null for jobs from before it was kept."""
    charged: list[BillLineOut]
    free: list[BillLineOut]
    """Attempts that cost nothing, and why."""
    seconds: float
    """Billed, of all lines."""
    held: Money
    captured: Money
    commission: Money
    """The platform's part of what was captured."""
    earned: Money
    """The machines' part."""
    released: Money
    """Of the hold: given back at the end."""
    open: Money
    """Of the hold: neither captured nor given back so far."""
    clawed_back: Money
    """Given back after the end, for results that were found bad."""
    cost: Money
    """What the job has cost in the end: captured less clawed back."""
    livemode: bool
    """false: it was play money, or a payment service's test mode."""

    @classmethod
    def of(cls, bill: Bill) -> Self:
        """Show a bill."""
        job = bill.job
        return cls(
            job_id=str(job.id), model=job.model, status=job.status,
            quote_id=None if job.quote_id is None else str(QuoteId.of(job.quote_id)), commission_bps=job.commission_bps,
            charged=[BillLineOut.of(line) for line in bill.charged], free=[BillLineOut.of(line) for line in bill.free],
            seconds=bill.billed_us / MICROSECONDS_PER_S, held=Money.of(job.held_nanos), captured=Money.of(bill.captured_nanos),
            commission=Money.of(bill.commission_nanos), earned=Money.of(bill.captured_nanos - bill.commission_nanos),
            released=Money.of(job.released_nanos), open=Money.of(bill.open_nanos), clawed_back=Money.of(bill.clawed_back_nanos),
            cost=Money.of(bill.cost_nanos), livemode=bill.livemode,
        )  # fmt: skip
