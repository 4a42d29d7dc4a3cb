"""What was spent and earned, by UTC day and in this month: of a user, and of one machine."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from fabric.billing.named_sql import STATEMENTS
from fabric.billing.settled_days import SettledDays
from fabric.core.ids import ProviderId, UserId
from fabric.db.engine import Reader

DAYS_MAX = 366


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day of a user, in nano-USD: what their jobs cost, and what their machines earned after commission."""

    day: date
    spent_nanos: int = 0
    earned_nanos: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """Every day of a span, oldest first, and the sums of the month that the last one is in."""

    days: tuple[Day, ...]
    month: str  # 2026-07
    month_spent_nanos: int
    month_earned_nanos: int


@dataclass(frozen=True, slots=True)
class MachineDay:
    """One UTC day of a machine; what it did for its owner is counted and earns nothing."""

    day: date
    earned_nanos: int = 0
    billed_us: int = 0
    subtasks: int = 0


@dataclass(frozen=True, slots=True)
class Earnings:
    """What a machine earned after commission, in nano-USD; `total` is before what was taken back for bad results."""

    today_nanos: int
    month_nanos: int
    total_nanos: int
    days: tuple[MachineDay, ...]  # every day of the span, oldest first


_earned: SettledDays[int] = SettledDays()
_done: SettledDays[MachineDay] = SettledDays()


async def read_history(reader: Reader, user_id: UserId, days: int) -> History:
    """The last `days` days of a user, today included."""
    today, begins = await _span(reader, days)
    values = {"user": user_id, "begins": _since(begins)["begins"]}
    spent = {row.day: int(row.spent) for row in await reader.execute(STATEMENTS["spent_by_day"], values)}

    async def read(first: date) -> dict[date, int]:
        rows = await reader.execute(STATEMENTS["earned_by_day"], {"user": user_id, **_since(first)})
        return {row.day: int(row.earned) for row in rows}

    earned = await _earned.since(user_id, begins, today, read)
    shown = tuple(Day(day, spent.get(day, 0), earned.get(day, 0)) for day in days_until(today, days))
    month = today.replace(day=1)
    return History(shown, f"{today:%Y-%m}", _sum_from(month, spent), _sum_from(month, earned))


async def read_earnings(reader: Reader, provider_id: ProviderId, days: int) -> Earnings:
    """The last `days` days of a machine, today included."""
    today, begins = await _span(reader, days)

    async def read(first: date) -> dict[date, MachineDay]:
        rows = await reader.execute(STATEMENTS["machine_by_day"], {"provider": provider_id, **_since(first)})
        return {row.day: MachineDay(row.day, int(row.earned), int(row.billed_us), int(row.subtasks)) for row in rows}

    found = await _done.since(provider_id, begins, today, read)
    earned = {day: one.earned_nanos for day, one in found.items()}
    total = (await reader.execute(STATEMENTS["machine_total"], {"provider": provider_id})).scalar_one()
    shown = tuple(found.get(day, MachineDay(day)) for day in days_until(today, days))
    return Earnings(earned.get(today, 0), _sum_from(today.replace(day=1), earned), int(total), shown)


def days_until(today: date, days: int) -> Iterable[date]:
    """Pure: so many days, oldest first, `today` the last."""
    return (today - timedelta(days=back) for back in range(days - 1, -1, -1))


async def _span(reader: Reader, days: int) -> tuple[date, date]:
    """Today, and the first day to read: that of the span or of the month, whichever comes first."""
    today: date = (await reader.execute(STATEMENTS["today"])).scalar_one()
    return today, min(today - timedelta(days=days - 1), today.replace(day=1))


def _since(day: date) -> dict[str, Any]:
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return {"begins": begins, "first_id": UUID(int=int(begins.timestamp() * 1000) << 80)}  # ids of attempts begin with their time


def _sum_from(first: date, nanos: Mapping[date, int]) -> int:
    return sum(amount for day, amount in nanos.items() if day >= first)
