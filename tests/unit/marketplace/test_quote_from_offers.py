"""A quote as a function of the open offers."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.core.ids import ProviderId, UserId
from fabric.core.settings import BillingSettings
from fabric.marketplace.offers import Offer
from fabric.marketplace.quotes import quote_from

REQUESTOR, OWNER = UserId.new(), UserId.new()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CPU_RATE = 10_000_000
SECOND_US = 1e6


def an_offer(rate=CPU_RATE, speed=1.0, *, owner=OWNER, is_busy=False):
    return Offer(ProviderId.new(), owner, "machine", 0, "cpu", "processor", 1, 8.0, "eu", speed, rate, is_busy)


def quoted(*offers, items=3600, item_us=SECOND_US, rate_max=None):
    return quote_from(
        offers, REQUESTOR, items=items, item_us=item_us, rate_nanos_per_hour_max=rate_max, billing=BillingSettings(), now=NOW
    )


def test_an_hour_of_work_costs_an_hours_rate():
    quote = quoted(an_offer())
    assert (quote.price_nanos_min, quote.price_nanos_expected, quote.price_nanos_max) == (CPU_RATE, CPU_RATE, CPU_RATE)
    assert quote.seconds_expected == pytest.approx(3600)
    assert (quote.slots_matching, quote.slots_free) == (1, 1)
    assert (quote.commission_bps, quote.expires_at) == (1000, NOW + timedelta(minutes=5))


def test_two_slots_take_half_the_time_and_a_busy_one_is_no_free_one():
    quote = quoted(an_offer(), an_offer(is_busy=True))
    assert quote.seconds_expected == pytest.approx(1800)
    assert (quote.slots_matching, quote.slots_free) == (2, 1)


def test_a_faster_slot_costs_less_for_an_item_and_weighs_more():
    quote = quoted(an_offer(), an_offer(speed=4.0))
    assert (quote.price_nanos_min, quote.price_nanos_max) == (CPU_RATE // 4, CPU_RATE)
    assert quote.price_nanos_expected == round((CPU_RATE * 1 + CPU_RATE // 4 * 4) / 5)


def test_offers_above_the_limit_do_not_count():
    quote = quoted(an_offer(), an_offer(rate=CPU_RATE * 10), rate_max=CPU_RATE)
    assert (quote.slots_matching, quote.rate_nanos_per_hour_max) == (1, CPU_RATE)


def test_with_nobody_there_the_price_of_a_processor_core_stands_in():
    quote = quoted()
    assert (quote.slots_matching, quote.seconds_expected) == (0, None)
    assert quote.price_nanos_expected == CPU_RATE
    assert quote.hold_nanos > CPU_RATE


def test_the_stand_in_is_never_above_the_limit():
    quote = quoted(rate_max=CPU_RATE // 2)
    assert quote.price_nanos_max == CPU_RATE // 2
    assert quote.rate_nanos_per_hour_max == CPU_RATE // 2


def test_on_machines_of_ones_own_nothing_is_held_and_nothing_charged():
    quote = quoted(an_offer(owner=REQUESTOR, rate=CPU_RATE * 100), rate_max=1)
    assert (quote.price_nanos_max, quote.hold_nanos, quote.slots_matching) == (0, 0, 1)


def test_own_machines_beside_others_share_the_work_and_the_hold_covers_the_others():
    quote = quoted(an_offer(owner=REQUESTOR), an_offer())
    assert quote.seconds_expected == pytest.approx(1800)
    assert quote.hold_nanos > quote.price_nanos_max > 0


@given(
    offers=st.lists(st.builds(an_offer, rate=st.integers(0, 10**10), speed=st.floats(0.01, 1000)), max_size=6),
    items=st.integers(1, 10**6),
    item_us=st.floats(0.01, 1e8),
)
def test_a_quote_is_a_range_with_its_expectation_inside_and_a_hold_above(offers, items, item_us):
    quote = quoted(*offers, items=items, item_us=item_us)
    assert 0 <= quote.price_nanos_min <= quote.price_nanos_max < quote.hold_nanos
    assert quote.price_nanos_min - 1 <= quote.price_nanos_expected <= quote.price_nanos_max + 1
    assert quote.rate_nanos_per_hour_min <= quote.rate_nanos_per_hour_max
