"""Pure: usage and rate to a price; how much a job must hold."""

from math import ceil

from fabric.core.money import MICROSECONDS_PER_HOUR, NANOS_MAX

HOLD_ITEM_NANOS = 50
"""Held for each item on top of the factor, so that jobs of tiny items can be leased at all: caps round up."""
HOLD_NANOS_MIN = 1_000_000
"""A thousandth of a dollar. No hold is smaller, and what is not used comes back at once."""


def expected_nanos(rate_nanos_per_hour: int, items: int, item_us: float) -> int:
    """What so many items cost at a rate when each takes `item_us`; at least 1 nano-USD for each unless the rate is 0."""
    if rate_nanos_per_hour == 0:
        return 0
    return max(items, ceil(rate_nanos_per_hour * items * item_us / MICROSECONDS_PER_HOUR))


def hold_nanos(expected: int, items: int, factor: float) -> int:
    """What a job without a budget holds: its expected price times a factor, and a little for each item."""
    return min(NANOS_MAX, max(HOLD_NANOS_MIN, ceil(expected * factor) + HOLD_ITEM_NANOS * items))
