"""Pure: what is billed. The platform meters, not the provider.

Billed time is the smallest of what the slot reports, its share of what the dispatcher observed, and what calibration allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

CAP_FACTOR = 4.0
"""A slot may take this many times its expected time before calibration stops the bill."""
CAP_US_MIN = 5_000
"""The cap of a subtask is never below this: below it timers and schedulers are coarser than models."""


@dataclass(frozen=True, slots=True)
class Billed:
    """The bill of one finished subtask, in microseconds."""

    observed_us: int  # its share of the time that the slot can have worked on the order
    billed_us: int


def cap_us(item_us: float, speed: float, item_count: int) -> int:
    """The most that `item_count` items may cost on a slot of this speed, in microseconds.

    Args:
        item_us: Of one item on a slot of speed 1, from the model's profile.
        speed: Of the slot, from its benchmark at joining.
        item_count: How many.
    """
    return max(1, round(CAP_FACTOR * item_us / speed * item_count))


def billed(reported_us: Sequence[int], observed_us: int, cap_us: Sequence[int]) -> list[Billed]:
    """Bill the finished subtasks of one order.

    The observed time is shared out in proportion to what was reported, so that the bills of an order never exceed it together.

    Args:
        reported_us: What the slot says each subtask took.
        observed_us: The most time that the slot can have spent on the order, as seen from the control side.
        cap_us: What calibration allows for each.
    """
    assert len(reported_us) == len(cap_us)
    total = sum(reported_us)
    shares = [observed_us * reported // total if total else 0 for reported in reported_us]
    return [
        Billed(share, min(reported, share, cap)) for reported, share, cap in zip(reported_us, shares, cap_us, strict=True)
    ]  # fmt: skip
