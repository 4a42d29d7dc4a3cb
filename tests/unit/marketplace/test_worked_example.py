"""The numbers of docs/prices.md are what the code computes."""

import re
from pathlib import Path

from fabric.core.money import commission_nanos, price_nanos, usd_text
from fabric.core.settings import BillingSettings
from fabric.jobs.bill import FREE
from fabric.marketplace import demand
from fabric.marketplace.device_table import DEFAULT_TABLE, Suggestions
from fabric.marketplace.prices import AHEAD_MAX
from fabric.providers.rates import RATE_NANOS_PER_HOUR_MIN

PAGE = (Path(__file__).parents[3] / "docs" / "prices.md").read_text()


def test_the_worked_example_is_what_the_code_computes():
    card = {"threads": 1, "memory_gib": 24.0}
    target = demand.target_factor(305.0, 0.1)
    factor = 1.0
    for _ in range(10):
        factor = demand.next_factor(factor, target, 1.0)
    rate = Suggestions(DEFAULT_TABLE, {"rtx 4090": factor}).rate_nanos_per_hour("cuda", "NVIDIA GeForce RTX 4090", **card)
    captured = price_nanos(rate, 840_000)
    commission = commission_nanos(captured, BillingSettings().commission_bps)
    assert dict(re.findall(r"^(\w+) = ([\d.]+)", PAGE, re.MULTILINE)) == {
        "base_usd_per_hour": usd_text(DEFAULT_TABLE.base_nanos_per_hour("cuda", "RTX 4090", **card)),
        "target_factor": f"{target:.2f}",
        "factor_after_10_minutes": f"{factor:.2f}",
        "rate_usd_per_hour": usd_text(rate),
        "captured_usd": usd_text(captured),
        "commission_usd": usd_text(commission),
        "machine_earns_usd": usd_text(captured - commission),
        "quote_rate_bound_usd_per_hour": usd_text(demand.rate_bound(rate, BillingSettings().quote_s)),
    }


def test_the_limits_that_the_page_names_are_those_of_the_code():
    assert f"at least {usd_text(RATE_NANOS_PER_HOUR_MIN).rstrip('0')} USD an hour" in PAGE
    assert f"at most {demand.FACTOR_MAX:g}" in PAGE
    assert f"never faster than {demand.FACTOR_STEP_PER_MINUTE} a minute" in PAGE
    assert f"Every {demand.SAMPLE_PERIOD_S:g} seconds" in PAGE
    assert f"backlog beyond {demand.BALANCED_S:g} seconds" in PAGE
    assert f"excess / (excess + {demand.SHORTAGE_S:g})" in PAGE
    assert (demand.MINUTES_PER_STEP_MAX, demand.START_S, demand.WINDOW_S, BillingSettings().quote_s) == (2, 10, 3600, 300)
    assert (BillingSettings().funds_grace_s, AHEAD_MAX.days) == (300, 366)
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == set(FREE)
