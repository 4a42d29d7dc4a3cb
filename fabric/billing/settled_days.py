"""Sums of UTC days that are over, which nothing changes any more, kept in memory for whoever asks again.

Only yesterday and today are read anew; yesterday too, since what was written at its very end may have been committed after it.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Generic, TypeVar
from uuid import UUID

KEYS_MAX = 2000
"""Users or machines; the one that was not asked after for longest is forgotten."""

Sum = TypeVar("Sum")


@dataclass(slots=True)
class _Kept(Generic[Sum]):
    begins: date
    until: date  # every day from `begins` on and before this one is in `days`, or has nothing
    days: dict[date, Sum] = field(default_factory=dict)


class SettledDays(Generic[Sum]):
    """What was read of the days of each key."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        """Nothing is known yet."""
        self._kept: OrderedDict[UUID, _Kept[Sum]] = OrderedDict()
        self._keys_max = keys_max

    async def since(
        self, key: UUID, begins: date, today: date, read: Callable[[date], Awaitable[dict[date, Sum]]]
    ) -> dict[date, Sum]:
        """The days of `key` from `begins` on that have anything; `read` is asked for those from a day on that are not kept."""
        kept = self._kept.pop(key, None)
        if kept is None or not kept.begins <= begins <= kept.until:
            kept = _Kept(begins, begins)
        found = await read(kept.until)
        settled = max(kept.until, today - timedelta(days=1))
        kept.days |= {day: one for day, one in found.items() if day < settled}
        kept.until = settled
        self._kept[key] = kept
        while len(self._kept) > self._keys_max:
            self._kept.popitem(last=False)
        return {day: one for day, one in (kept.days | found).items() if day >= begins}
