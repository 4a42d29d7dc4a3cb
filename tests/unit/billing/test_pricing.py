"""What work costs, and what a job holds."""

from hypothesis import given
from hypothesis import strategies as st

from fabric.billing import metering, pricing
from fabric.core.money import NANOS_MAX, price_nanos
from fabric.core.settings import BillingSettings

CPU_RATE = 10_000_000  # 0.01 USD an hour
HOUR_US = 3_600_000_000
RATES = st.integers(1, 10**10)


def test_an_hour_costs_the_rate():
    assert pricing.expected_nanos(CPU_RATE, 1, HOUR_US) == CPU_RATE
    assert pricing.expected_nanos(CPU_RATE, 3600, HOUR_US / 3600) == CPU_RATE


def test_a_free_machine_costs_nothing_and_any_other_at_least_a_nano_dollar_for_each_item():
    assert pricing.expected_nanos(0, 1000, 1e6) == 0
    assert pricing.expected_nanos(1, 1000, 0.01) == 1000


@given(rate=RATES, items=st.integers(1, 1000), item_us=st.integers(1, 10**7))
def test_what_is_billed_as_expected_never_costs_more_than_expected(rate, items, item_us):
    assert sum(price_nanos(rate, item_us) for _ in range(items)) <= pricing.expected_nanos(rate, items, item_us)


@given(items=st.integers(1, 2000), item_us=st.integers(1, 10**6), per_subtask=st.integers(1, 64))
def test_the_hold_of_a_processor_job_covers_the_caps_of_all_its_subtasks_together(items, item_us, per_subtask):
    # Given any job at the price of a processor core, cut in any way
    expected = pricing.expected_nanos(CPU_RATE, items, item_us)
    hold = pricing.hold_nanos(expected, items, BillingSettings().hold_factor)
    # When every subtask is leased at once, each with the cap that calibration allows
    sizes = [min(per_subtask, items - start) for start in range(0, items, per_subtask)]
    caps = [price_nanos(CPU_RATE, max(metering.CAP_US_MIN, metering.cap_us(item_us, 1.0, 1) * size)) for size in sizes]
    # Then the hold reaches for all of them: the job never waits for funds
    assert sum(caps) <= hold


def test_no_hold_is_tiny_and_none_is_beyond_what_a_ledger_can_hold():
    assert pricing.hold_nanos(0, 1, 4.0) == pricing.HOLD_NANOS_MIN
    assert pricing.hold_nanos(NANOS_MAX, 1, 4.0) == NANOS_MAX
