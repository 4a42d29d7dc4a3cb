"""Days that are over are read once; yesterday and today each time; and nothing is missing however spans overlap."""

from datetime import date, timedelta
from uuid import UUID

import pytest

from fabric.billing.settled_days import SettledDays

TODAY = date(2026, 3, 10)
KEY = UUID(int=1)


def back(days: int) -> date:
    return TODAY - timedelta(days=days)


class Books:
    """Something every day for a month; says from when on it was read."""

    def __init__(self) -> None:
        self.asked: list[date] = []
        self.days = {back(n): n + 1 for n in range(30)}

    async def read(self, first: date) -> dict[date, int]:
        self.asked.append(first)
        return {day: one for day, one in self.days.items() if day >= first}


async def test_what_is_over_is_read_once_and_the_last_two_days_each_time():
    days, books = SettledDays[int](), Books()
    first = await days.since(KEY, back(9), TODAY, books.read)
    books.days[TODAY] += 5
    books.days[back(1)] += 5
    again = await days.since(KEY, back(9), TODAY, books.read)
    assert books.asked == [back(9), back(1)]
    assert first == {back(n): n + 1 for n in range(10)}
    assert again == first | {TODAY: 6, back(1): 7}


@pytest.mark.parametrize(("first", "second"), [(9, 20), (20, 9), (9, 0), (0, 9), (0, 0)])
async def test_longer_and_shorter_spans_and_later_days_are_whole(first, second):
    days, books = SettledDays[int](), Books()
    await days.since(KEY, back(first), TODAY, books.read)
    books.days |= {TODAY + timedelta(days=n): 100 + n for n in range(1, 9)}
    for later in (0, 1, 8):
        today = TODAY + timedelta(days=later)
        found = await days.since(KEY, back(second), today, books.read)
        assert found == {day: one for day, one in books.days.items() if day >= back(second)}


async def test_so_many_are_kept():
    days, books = SettledDays[int](keys_max=1), Books()
    for key in (KEY, UUID(int=2), KEY):
        await days.since(key, back(5), TODAY, books.read)
    assert books.asked == [back(5)] * 3
