from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provider_join.hours import BadHours, read_hours

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    """A moment in Berlin: `we 23:30` of an ordinary week."""
    day, _, time = text.partition(" ")
    hour, _, minute = time.partition(":")
    days = ("mo", "tu", "we", "th", "fr", "sa", "su").index(day)
    return datetime(2026, 11, 16 + days, int(hour), int(minute), tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        ("22-7", ["we 22:00", "we 23:59", "th 00:00", "th 6:59"], ["we 21:59", "th 7:00", "th 12:00"]),
        ("9:30-17", ["mo 9:30", "su 16:59"], ["mo 9:29", "mo 17:00"]),
        ("mo-fr 22-7, sa-su 0-24", ["fr 22:00", "sa 6:00", "sa 12:00", "su 23:59", "tu 3:00"], ["mo 3:00", "mo 12:00"]),
        ("su 23-1", ["su 23:30", "mo 0:59"], ["mo 23:30", "su 0:30"]),  # it belongs to the day on which it begins
        ("sa-mo 8-9", ["sa 8:00", "su 8:00", "mo 8:59"], ["tu 8:00", "fr 8:00"]),
        ("6-8,20-24", ["mo 7:00", "mo 23:59"], ["mo 0:00", "mo 12:00"]),
    ],
)
def test_a_machine_lends_in_its_hours_and_at_no_other(hours, inside, outside):
    schedule = read_hours(hours)
    assert [moment for moment in inside if not schedule.is_open(at(moment), BERLIN)] == []
    assert [moment for moment in outside if schedule.is_open(at(moment), BERLIN)] == []


def test_it_says_when_it_will_lend_again_and_when_it_will_stop():
    schedule = read_hours("mo-fr 22-7")
    assert schedule.next_change(at("we 12:00"), BERLIN) == at("we 22:00")
    assert schedule.next_change(at("we 23:00"), BERLIN) == at("th 7:00")
    assert schedule.next_change(at("sa 12:00"), BERLIN) == at("su 22:00") + timedelta(days=1)
    assert read_hours("0-24").next_change(at("we 12:00"), BERLIN) is None
    # Windows that touch are one
    assert read_hours("8-12, 12-18").next_change(at("we 9:00"), BERLIN) == at("we 18:00")


def test_a_night_on_which_clocks_change_is_as_long_as_the_wall_says():
    # Given 1 to 3 o'clock, which is an hour long in March and three hours in October
    schedule = read_hours("1-3")
    for first, hours in ((datetime(2026, 3, 29, tzinfo=BERLIN), 1), (datetime(2026, 10, 25, tzinfo=BERLIN), 3)):
        began = schedule.next_change(first, BERLIN)
        assert began is not None
        ended = schedule.next_change(began, BERLIN)
        assert ended is not None
        assert ended.astimezone(UTC) - began.astimezone(UTC) == timedelta(hours=hours)
        assert ended.hour == 3


windows = st.tuples(st.integers(0, 23), st.integers(0, 59), st.integers(0, 23)).filter(lambda w: (w[0], w[1]) != (w[2], 0))


@settings(max_examples=30, deadline=None)
@given(st.lists(windows, min_size=1, max_size=3), st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 30)))
def test_nothing_changes_before_the_next_change_and_then_it_does(chosen, moment):
    schedule = read_hours(",".join(f"{begin}:{minute:02d}-{end}" for begin, minute, end in chosen))
    now = moment.replace(tzinfo=UTC)
    is_open, change = schedule.is_open(now, BERLIN), schedule.next_change(now, BERLIN)
    if change is None:
        return
    assert schedule.is_open(change, BERLIN) != is_open
    halves = [now + (change - now) * part / 8 for part in range(8)]
    assert {schedule.is_open(half, BERLIN) for half in halves} == {is_open}


@pytest.mark.parametrize("text", ["", "22", "7-7", "24-3", "25-3", "8:60-9", "mo", "xx 8-9", "22-7;", "8-9," * 40])
def test_what_names_no_hours_is_refused_in_words(text):
    with pytest.raises(BadHours):
        read_hours(text)
