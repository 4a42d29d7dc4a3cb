"""Pure: queue and idle slots to a demand factor, and to the probability that a slot is free for a job now."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp

from fabric.marketplace.device_table import DeviceTable
from fabric.marketplace.offers import Offer

FACTOR_MIN, FACTOR_MAX = 1.0, 3.0
"""Demand never takes a suggestion below the device table, nor above three times of it."""
FACTOR_STEP_PER_MINUTE = 0.02
"""A factor moves no faster than this, up or down, whatever happens."""
MINUTES_PER_STEP_MAX = 2.0
"""A longer pause of the engine is not made up: prices go on from where they stood."""
BALANCED_S = 5.0
"""Work waiting for so long at each slot is what keeps slots busy, and no shortage."""
SHORTAGE_S = 300.0
"""So many seconds more at each slot bring the factor half the way to its maximum."""
WINDOW_S = 3600
"""Demand is the average of so long."""
SAMPLE_PERIOD_S = 20.0
START_S = 10.0
"""A quote's probability of capacity is for a first subtask that starts within so long."""
WAITING_MAX = 50
"""Groups of jobs in one look at the queue, those with the most work."""
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Waiting:
    """Work that waits, of jobs that accept the same slots."""

    jobs: tuple[tuple[float, int], ...]  # of each: seconds on one slot of speed 1, and the nano-USD that its hold can still pay
    accepts: Callable[[Offer], bool]

    @property
    def seconds(self) -> float:
        """Of all of them."""
        return sum(seconds for seconds, _ in self.jobs)

    def paid_seconds(self, rate_nanos_per_hour: float) -> float:
        """As much of it as can be paid at a rate: a wish without money is no demand."""
        if rate_nanos_per_hour <= 0:
            return self.seconds
        return sum(min(seconds, nanos / rate_nanos_per_hour * SECONDS_PER_HOUR) for seconds, nanos in self.jobs)


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the slots of a class."""

    slots: int
    idle: int
    backlog_s: float  # seconds for which the queue would keep each of them busy


def look(offers: Sequence[Offer], waiting: Sequence[Waiting], table: DeviceTable) -> dict[str, Sample]:
    """What waits for the slots of each class now, and how many of them are idle.

    Work that several slots could take is spread over them by speed, as the dispatcher would: each of them is then busy with it for
    the same time. Work that no slot accepts, or that cannot pay, adds nothing.
    """
    busy_s = [0.0] * len(offers)
    for group in sorted(waiting, key=lambda group: -group.seconds)[:WAITING_MAX]:
        fit = [index for index, offer in enumerate(offers) if group.accepts(offer)]
        if not fit:
            continue
        rate = min(offers[index].rate_nanos_per_hour / offers[index].speed for index in fit)
        each_s = group.paid_seconds(rate) / sum(offers[index].speed for index in fit)
        for index in fit:
            busy_s[index] += each_s
    found: dict[str, list[int]] = defaultdict(list)
    for index, offer in enumerate(offers):
        found[table.class_of(offer.accelerator, offer.device)].append(index)
    return {
        name: Sample(len(indices), sum(not offers[i].is_busy for i in indices), sum(busy_s[i] for i in indices) / len(indices))
        for name, indices in found.items()
    }


def target_factor(backlog_s: float, idle_share: float) -> float:
    """Where demand would take the factor: 1 while nothing waits or all slots are idle, more the more waits for each slot.

    Args:
        backlog_s: For which the queue would keep each slot of the class busy, on average over the last hour.
        idle_share: Of its slots that were idle, 0 to 1, over the same hour.
    """
    excess_s = max(0.0, backlog_s - BALANCED_S)
    shortage = excess_s / (excess_s + SHORTAGE_S) if excess_s < float("inf") else 1.0
    return FACTOR_MIN + (FACTOR_MAX - FACTOR_MIN) * shortage * (1.0 - min(1.0, max(0.0, idle_share)))


def next_factor(present: float, target: float, minutes: float) -> float:
    """One bounded step from the present factor towards its target, for so many minutes since the last step."""
    step = FACTOR_STEP_PER_MINUTE * min(MINUTES_PER_STEP_MAX, max(0.0, minutes))
    moved = min(present + step, max(present - step, target))
    return min(FACTOR_MAX, max(FACTOR_MIN, moved))


def rate_bound(rate_nanos_per_hour: int, seconds: float) -> int:
    """The most that a rate which follows demand can become within so many seconds."""
    return round(rate_nanos_per_hour * (1 + FACTOR_STEP_PER_MINUTE * (seconds / 60 + MINUTES_PER_STEP_MAX))) + 1


def capacity_probability(is_free_now: bool, was_free: Sequence[bool], *, within_s: float = START_S) -> float:
    """The probability that a matching slot is free for a first subtask so many seconds from now.

    The market is taken for a chain of two states, some matching slot free or none, that forgets: how often it changed from each in
    the looks of the last hour (`was_free`, oldest first, one every SAMPLE_PERIOD_S) gives how long each lasts. From the state now
    it relaxes towards the share of time in which a slot was free. One imagined look of each kind and one change each way are
    added, so that a short or quiet history never makes it certain.
    """
    pairs = list(pairwise(was_free))
    taken = (sum(before and not after for before, after in pairs) + 1) / (sum(before for before, _ in pairs) + 2)
    freed = (sum(after and not before for before, after in pairs) + 1) / (sum(not before for before, _ in pairs) + 2)
    share = freed / (taken + freed)
    kept = exp(-(taken + freed) * within_s / SAMPLE_PERIOD_S)
    return share + (float(is_free_now) - share) * kept


def history_of(samples: Sequence[Mapping[str, Sample]], classes: frozenset[str]) -> list[bool]:
    """At each look, whether any slot of these classes was idle."""
    return [any(name in classes and sample.idle > 0 for name, sample in look.items()) for look in samples]
