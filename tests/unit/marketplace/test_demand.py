"""Queue and idle slots to a factor: bounded, monotone, one step at a time, back to 1; and how likely a slot is free."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.core.ids import ProviderId, UserId
from fabric.marketplace import demand
from fabric.marketplace.demand import FACTOR_MAX, FACTOR_STEP_PER_MINUTE, MINUTES_PER_STEP_MAX, Sample, Waiting
from fabric.marketplace.device_table import DEFAULT_TABLE
from fabric.marketplace.offers import Offer

OWNER = UserId.new()
HOUR_NANOS = 10_000_000
backlogs = st.floats(0, 1e9)
shares = st.floats(0, 1)
factors = st.floats(1, FACTOR_MAX)
seldom = settings(max_examples=50, deadline=None)


def an_offer(accelerator="cpu", *, speed=1.0, is_busy=True, rate=HOUR_NANOS, device="processor"):
    return Offer(ProviderId.new(), OWNER, "machine", 0, accelerator, device, 1, 8.0, "eu", speed, rate, is_busy)


def work(seconds, *, nanos=10**12, accepts=lambda offer: True):
    return Waiting(((seconds, nanos),), accepts)


@seldom
@given(backlogs, shares)
def test_a_target_is_bounded_and_one_when_all_are_idle_or_nothing_waits(backlog_s, idle):
    assert 1.0 <= demand.target_factor(backlog_s, idle) <= FACTOR_MAX
    assert demand.target_factor(backlog_s, 1.0) == 1.0
    assert demand.target_factor(0.0, idle) == demand.target_factor(demand.BALANCED_S, idle) == 1.0


@seldom
@given(backlogs, backlogs, shares, shares)
def test_a_target_grows_with_what_waits_and_falls_with_what_is_idle(backlog_s, more_s, idle, idler):
    few, many = sorted((backlog_s, more_s))
    low, high = sorted((idle, idler))
    assert demand.target_factor(few, idle) <= demand.target_factor(many, idle)
    assert demand.target_factor(backlog_s, high) <= demand.target_factor(backlog_s, low)


def test_five_minutes_of_work_at_each_busy_slot_are_half_the_way():
    assert demand.target_factor(demand.BALANCED_S + demand.SHORTAGE_S, 0.0) == 2.0
    assert demand.target_factor(float("inf"), 0.0) == FACTOR_MAX


@seldom
@given(factors, factors, st.floats(-5, 1e6))
def test_a_step_is_bounded_goes_the_right_way_and_stops_at_its_target(present, target, minutes):
    moved = demand.next_factor(present, target, minutes)
    assert min(present, target) <= moved <= max(present, target)
    assert abs(moved - present) <= FACTOR_STEP_PER_MINUTE * min(MINUTES_PER_STEP_MAX, max(0.0, minutes)) + 1e-12


@seldom
@given(factors, st.lists(st.tuples(backlogs, shares), max_size=20))
def test_whatever_happens_a_factor_stays_within_bounds_and_comes_back_to_one_when_it_is_quiet(factor, hours):
    for backlog_s, idle in hours:
        factor = demand.next_factor(factor, demand.target_factor(backlog_s, idle), 1.0)
        assert 1.0 <= factor <= FACTOR_MAX
    for _ in range(round((FACTOR_MAX - 1) / FACTOR_STEP_PER_MINUTE) + 1):
        factor = demand.next_factor(factor, demand.target_factor(0.0, 0.0), 1.0)
    assert factor == 1.0


@seldom
@given(factors, st.lists(st.floats(0, 1), max_size=30), st.integers(1, 10**10))
def test_no_rate_outgrows_the_bound_of_a_quote_while_it_holds(factor, steps_min, base):
    start, minutes = factor, 0.0
    for step in steps_min:
        if minutes + step > 5:
            break
        minutes += step
        factor = demand.next_factor(factor, FACTOR_MAX, step)
    assert round(base * factor) <= demand.rate_bound(round(base * start), 300)


def test_waiting_work_is_spread_over_the_slots_that_accept_it_by_their_speed():
    slow, fast, idle = an_offer(), an_offer(speed=3.0), an_offer("npu", is_busy=False)
    seen = demand.look([slow, fast, idle], [work(40, accepts=lambda o: o.accelerator == "cpu"), work(5)], DEFAULT_TABLE)
    assert seen == {"cpu": Sample(2, 0, pytest.approx(11)), "npu": Sample(1, 1, pytest.approx(1))}


def test_work_that_nobody_accepts_or_that_cannot_pay_is_no_demand():
    seen = demand.look([an_offer()], [work(100, accepts=lambda o: False), work(3600, nanos=HOUR_NANOS // 360)], DEFAULT_TABLE)
    assert seen["cpu"].backlog_s == pytest.approx(10, rel=1e-3)
    assert demand.look([], [work(100)], DEFAULT_TABLE) == {}


histories = st.lists(st.booleans(), max_size=180)


@seldom
@given(histories)
def test_capacity_is_a_probability_and_never_certain(was_free):
    low, high = (demand.capacity_probability(now, was_free) for now in (False, True))
    assert 0.0 < low < high < 1.0


def test_a_free_slot_is_the_likelier_to_stay_the_longer_slots_stayed_free():
    steady = [True] * 100
    flickering = [True, False] * 50
    full = [False] * 100
    assert demand.capacity_probability(True, steady) > 0.98
    assert demand.capacity_probability(False, full) < 0.02
    assert demand.capacity_probability(True, flickering) == pytest.approx(0.5, abs=0.3)
    assert (
        demand.capacity_probability(True, steady)
        > demand.capacity_probability(True, [])
        > demand.capacity_probability(True, full)
    )


def test_far_ahead_only_the_share_of_free_time_counts():
    mostly_free = ([True] * 9 + [False]) * 18
    ahead = [demand.capacity_probability(now, mostly_free, within_s=36_000) for now in (False, True)]
    assert ahead == [pytest.approx(0.9, abs=0.02)] * 2


def test_a_look_counts_as_free_when_any_slot_of_the_classes_was():
    looks = [{"cpu": Sample(2, 0, 9), "npu": Sample(1, 1, 0)}, {"cpu": Sample(2, 1, 0)}, {}]
    assert demand.history_of(looks, frozenset({"cpu"})) == [False, True, False]
    assert demand.history_of(looks, frozenset({"cpu", "npu"})) == [True, True, False]
