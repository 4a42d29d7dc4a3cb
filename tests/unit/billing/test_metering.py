"""Billed is the smallest of what is reported, observed and allowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.billing import metering

TIMES = st.integers(0, 10**12)


@given(order=st.lists(st.tuples(TIMES, st.integers(1, 10**12)), max_size=50), observed=TIMES)
def test_no_bill_exceeds_report_share_or_cap_and_all_together_never_the_observed_time(order, observed):
    reported, caps = [r for r, _ in order], [c for _, c in order]
    bills = metering.billed(reported, observed, caps)
    assert len(bills) == len(order)
    assert all(0 <= b.billed_us <= min(r, b.observed_us, c) for b, r, c in zip(bills, reported, caps, strict=True))
    assert sum(bill.billed_us for bill in bills) <= sum(bill.observed_us for bill in bills) <= observed


def test_an_honest_report_is_billed_in_full():
    bills = metering.billed([3000, 1000], 5000, [9000, 9000])
    assert [bill.billed_us for bill in bills] == [3000, 1000]
    assert [bill.observed_us for bill in bills] == [3750, 1250]


def test_a_report_tenfold_is_billed_by_what_was_observed_or_allowed():
    assert [bill.billed_us for bill in metering.billed([30_000, 10_000], 4000, [9000, 9000])] == [3000, 1000]
    assert [bill.billed_us for bill in metering.billed([30_000, 10_000], 40_000, [5000, 500])] == [5000, 500]


def test_an_order_that_reports_no_time_is_billed_none():
    assert [bill.billed_us for bill in metering.billed([0, 0], 4000, [9000, 9000])] == [0, 0]
    assert metering.billed([], 4000, []) == []


@pytest.mark.parametrize(("item_us", "speed", "items"), [(1000.0, 1.0, 10), (1000.0, 4.0, 10), (0.001, 1.0, 1), (9000.0, 0.1, 3)])
def test_a_cap_allows_several_times_what_the_slot_should_need(item_us, speed, items):
    needed = item_us * items / speed
    assert metering.cap_us(item_us, speed, items) == max(1, round(needed * metering.CAP_FACTOR))


@given(item_us=st.floats(0.01, 1e9), speed=st.floats(0.01, 10_000), items=st.integers(1, 10**6))
def test_a_cap_grows_with_the_items_and_shrinks_with_the_speed(item_us, speed, items):
    cap = metering.cap_us(item_us, speed, items)
    assert metering.cap_us(item_us, speed, items + 1) >= cap >= metering.cap_us(item_us, speed * 2, items) >= 1
