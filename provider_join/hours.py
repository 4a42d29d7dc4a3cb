"""When this machine lends: hours of the day, by weekday if wanted, in the machine's own time zone.

All pure, of the standard library alone: the fabric checks hours by it as well, so there is one grammar. Whether a moment is inside
is asked of the clock on the wall, so a night on which clocks change is an hour longer or shorter, and begins and ends when the wall
says so.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

DAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")
WINDOWS_MAX = 32
HOURS_CHARACTERS_MAX = 640  # so many windows, each as long as it can be
ALWAYS = frozenset({"always", "none", "any"})
MINUTES_OF_DAY = 24 * 60
WINDOW = re.compile(
    r"(?:(mo|tu|we|th|fr|sa|su)(?:-(mo|tu|we|th|fr|sa|su))?\s+)?(\d{1,2})(?::(\d\d))?-(\d{1,2})(?::(\d\d))?", re.ASCII
)
EXAMPLE = "such as 22-7, or mo-fr 22:30-7, sa-su 0-24"


class BadHours(ValueError):
    """The text names no hours; the message says why."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of each of some days, in minutes after midnight; one that ends before it begins ends on the next day."""

    days: frozenset[int]  # 0 is Monday; the day on which it begins
    begin: int
    end: int

    def holds(self, wall: datetime) -> bool:
        """Whether the clock on the wall stands inside."""
        today, minute = wall.weekday(), wall.hour * 60 + wall.minute
        if self.begin < self.end:
            return today in self.days and self.begin <= minute < self.end
        return (today in self.days and minute >= self.begin) or ((today - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Windows in which this machine lends."""

    windows: tuple[Window, ...]

    def is_open(self, now: datetime, zone: tzinfo | None = None) -> bool:
        """Whether it lends at an instant; `zone` None: the machine's own."""
        wall = now.astimezone(zone)
        return any(window.holds(wall) for window in self.windows)

    def next_change(self, now: datetime, zone: tzinfo | None = None) -> datetime | None:
        """The instant at which that will be otherwise, in `zone`; None: never."""
        is_open = self.is_open(now, zone)
        later = sorted(instant for instant in self._edges(now.astimezone(zone), zone) if instant > now)
        return next((instant.astimezone(zone) for instant in later if self.is_open(instant, zone) != is_open), None)

    def _edges(self, wall: datetime, zone: tzinfo | None) -> Iterator[datetime]:
        minutes = {minute for window in self.windows for minute in (window.begin, window.end)}
        for days in range(-1, 9):
            midnight = datetime.combine(wall.date() + timedelta(days), time.min)
            for minute in minutes:
                for fold in (0, 1):  # an hour that comes twice has each of its edges twice
                    edge = (midnight + timedelta(minutes=minute)).replace(fold=fold)
                    yield (edge.replace(tzinfo=zone) if zone else edge).astimezone(UTC)


def read_hours(text: str) -> Schedule:
    """The windows that a text names, separated by commas.

    Raises:
        BadHours: it names none, too many, or what is no time.
    """
    parts = [part.strip() for part in text.lower().split(",")]
    if len(parts) > WINDOWS_MAX:
        raise BadHours(f"{len(parts)} windows; {WINDOWS_MAX} are enough")
    return Schedule(tuple(_window(part) for part in parts))


def tidy_hours(text: str) -> str | None:
    """The same hours as they are kept; None: always.

    Raises:
        BadHours: the text names none.
    """
    tidy = " ".join(text.lower().split())
    if tidy in ALWAYS:
        return None
    if len(tidy) > HOURS_CHARACTERS_MAX:
        raise BadHours(f"{len(tidy)} characters; {HOURS_CHARACTERS_MAX} are enough")
    read_hours(tidy)
    return tidy


def _window(text: str) -> Window:
    found = WINDOW.fullmatch(text)
    if found is None:
        raise BadHours(f"{text!r} names no hours, {EXAMPLE}")
    first, last, begin_hour, begin_minute, end_hour, end_minute = found.groups()
    begin, end = _minute(text, begin_hour, begin_minute), _minute(text, end_hour, end_minute)
    if begin in {MINUTES_OF_DAY, end}:
        raise BadHours(f"{text!r} has no length; the whole day is 0-24")
    return Window(_days(first, last), begin, end)


def _minute(text: str, hour: str, minute: str | None) -> int:
    minutes = int(hour) * 60 + int(minute or 0)
    if int(minute or 0) > 59 or minutes > MINUTES_OF_DAY:
        raise BadHours(f"{text!r}: the day has hours from 0 to 24, each of 60 minutes")
    return minutes


def _days(first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return frozenset(range(7))
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))
