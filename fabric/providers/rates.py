"""What an owner may ask for a slot: an own rate within bounds, or whatever is suggested."""

from typing import Literal

from fabric.core.errors import Invalid
from fabric.core.money import NANOS_PER_USD, usd_text

AUTO: Literal["auto"] = "auto"
"""The rate follows the suggestion."""
Rate = int | Literal["auto"]
RATE_NANOS_PER_HOUR_MIN = 100_000
"""A ten-thousandth of a dollar. Below it subtasks cost the one nano-dollar that each costs at least, and the rate means nothing."""
RATE_NANOS_PER_HOUR_MAX = 1_000_000 * NANOS_PER_USD


def require_rate(rate: Rate | None) -> None:
    """Check a rate that an owner sets.

    Raises:
        Invalid: it is below the floor, or absurd.
    """
    if rate is not None and rate != AUTO and not RATE_NANOS_PER_HOUR_MIN <= rate <= RATE_NANOS_PER_HOUR_MAX:
        floor = usd_text(RATE_NANOS_PER_HOUR_MIN).rstrip("0")
        raise Invalid(f"A price lies between {floor} and a million USD per hour.")
