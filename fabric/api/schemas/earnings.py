"""Bodies of what was spent and earned by day, and of why a machine earns nothing."""

from datetime import date
from typing import Literal

from fabric.api.schemas.common import Body, Moment, Money
from fabric.billing.history import Earnings, History
from fabric.jobs.idle import Reason

MICROSECONDS_PER_S = 1_000_000


class DayOut(Body):
    """One UTC day."""

    day: date
    spent: Money
    """What your jobs cost."""
    earned: Money
    """What your machines earned, after commission."""


class MonthOut(Body):
    """The present UTC month."""

    month: str
    """Such as 2026-07."""
    spent: Money
    earned: Money


class HistoryOut(Body):
    """What was spent and earned, by the day on which the work was done."""

    days: list[DayOut]
    """Every day, oldest first, today the last."""
    month: MonthOut
    livemode: bool
    """False: play money."""

    @classmethod
    def of(cls, history: History, *, livemode: bool) -> "HistoryOut":
        """Show it."""
        days = [DayOut(day=one.day, spent=Money.of(one.spent_nanos), earned=Money.of(one.earned_nanos)) for one in history.days]
        spent, earned = Money.of(history.month_spent_nanos), Money.of(history.month_earned_nanos)
        return cls(days=days, month=MonthOut(month=history.month, spent=spent, earned=earned), livemode=livemode)


class MachineDayOut(Body):
    """One UTC day of a machine."""

    day: date
    earned: Money
    """After commission; what it did for its owner earns nothing."""
    seconds: float
    """Billed."""
    subtasks: int


class EarningsOut(Body):
    """What a machine earned, after commission."""

    today: Money
    month: Money
    total: Money
    """Ever, before what was taken back for bad results."""
    days: list[MachineDayOut]
    """Every day, oldest first, today the last."""
    livemode: bool
    """False: play money."""

    @classmethod
    def of(cls, earnings: Earnings, *, livemode: bool) -> "EarningsOut":
        """Show them."""
        days = [
            MachineDayOut(
                day=one.day, earned=Money.of(one.earned_nanos), seconds=one.billed_us / MICROSECONDS_PER_S, subtasks=one.subtasks
            )
            for one in earnings.days
        ]
        today, month, total = (Money.of(n) for n in (earnings.today_nanos, earnings.month_nanos, earnings.total_nanos))
        return cls(today=today, month=month, total=total, days=days, livemode=livemode)


class ReasonOut(Body):
    """One thing that was looked at."""

    id: str
    """state, slots, price, work, demand, results, isolation, own_jobs, maturing; there may be more in time."""
    status: Literal["ok", "problem", "hint"]
    found: str
    needed: str
    remedy: str
    """What to do; empty when there is nothing."""
    until: Moment | None = None
    """When it will end by itself, where that is known."""


class ReasonsOut(Body):
    """Why a machine earns nothing, or not more: problems first, then hints, then what is as it should be."""

    reasons: list[ReasonOut]

    @classmethod
    def of(cls, found: list[Reason]) -> "ReasonsOut":
        """Show them."""
        return cls(
            reasons=[
                ReasonOut(id=r.id, status=r.status, found=r.found, needed=r.needed, remedy=r.remedy, until=r.until) for r in found
            ]
        )
