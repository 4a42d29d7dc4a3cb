from datetime import datetime
from zoneinfo import ZoneInfo

from provider_join.holding import COOL_C, Facts, Holding, Past, is_over, judge, last_used_s
from provider_join.limits import Limits

NOON = datetime(2026, 11, 18, 12, tzinfo=ZoneInfo("UTC"))


def decide(limits: Limits, facts: Facts = Facts(), past: Past = Past(), *, paused: bool = False, now_s: float = 1000.0):
    return judge(limits, limits.schedule, facts, past, paused=paused, now=NOON, now_s=now_s)


def by(decision: tuple[Holding | None, Past]) -> str | None:
    return decision[0].by if decision[0] else None


def test_a_machine_without_limits_wants_work():
    assert by(decide(Limits())) is None
    assert by(decide(Limits(), Facts(99.0, 900.0, 0.0, 1.0))) is None


def test_the_owners_word_stands_above_everything():
    # Whatever time zone this test runs in, a window of one minute around midnight UTC+0 noon is found by its own hours
    everything = Limits(hours="0-24", idle_only=True, max_temperature_c=50)
    assert by(decide(everything, Facts(80.0), paused=True)) == "owner"


def test_over_a_cap_it_holds_back_until_it_is_clearly_below():
    limits = Limits(max_temperature_c=80)
    seen, past = [], Past()
    for degrees in (79.0, 80.0, 81.0, 79.0, 76.0, None, 80 - COOL_C, 80.0):
        holding, past = decide(limits, Facts(temperature_c=degrees), past)
        seen.append(holding.by if holding else None)
    assert seen == [None, None, "temperature", "temperature", "temperature", "temperature", None, None]


def test_power_has_its_own_margin():
    limits = Limits(max_power_w=200)
    assert by(decide(limits, Facts(power_w=201.0))) == "power"
    assert by(decide(limits, Facts(power_w=190.0), Past(is_hungry=True))) == "power"
    assert by(decide(limits, Facts(power_w=180.0), Past(is_hungry=True))) is None
    holding, _ = decide(limits, Facts(power_w=250.4))
    assert holding is not None
    assert holding.detail == "250 W, the owner's cap is 200 W"


def test_a_cap_that_is_none_never_holds():
    assert not is_over(1e9, None, 0.0, was_over=True)


def test_a_machine_that_somebody_uses_is_left_alone():
    limits = Limits(idle_only=True, idle_minutes=5)
    # The mouse was moved a minute ago
    assert by(decide(limits, Facts(input_age_s=60.0), Past(used_at_s=0.0))) == "idle"
    # Nobody touched it for six minutes, and nothing of others computes
    assert by(decide(limits, Facts(input_age_s=360.0, foreign_cpu=0.02), Past(used_at_s=0.0))) is None
    # A job of the owner's computes by night
    assert by(decide(limits, Facts(input_age_s=36000.0, foreign_cpu=0.9), Past(used_at_s=0.0))) == "idle"


def test_quiet_is_counted_from_the_last_sign_of_use():
    assert last_used_s(Facts(), None, 50.0) == 50.0  # not looked yet: as if used now
    assert last_used_s(Facts(input_age_s=10.0), 5.0, 50.0) == 40.0
    assert last_used_s(Facts(foreign_cpu=0.9), 5.0, 50.0) == 50.0
    assert last_used_s(Facts(), 5.0, 50.0) == 5.0


def test_outside_its_hours_it_says_when_it_will_lend_again():
    limits = Limits(hours="0-24")
    assert by(decide(limits)) is None
    local = NOON.astimezone()
    closed = Limits(hours=f"{(local.hour + 2) % 24}-{(local.hour + 3) % 24}")
    holding, _ = decide(closed)
    assert holding is not None
    assert holding.by == "schedule"
    assert holding.until is not None
    assert (holding.until - NOON).total_seconds() == 2 * 3600 - local.minute * 60


def test_what_the_fabric_hears_is_short():
    assert len(Holding("schedule", "x" * 999).report()["detail"]) == 200
