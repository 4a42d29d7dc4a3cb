"""Pure: which waiting subtask goes to which claim, within what its job may still spend."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from fabric.core.money import price_nanos
from fabric.jobs.job import Claim


@dataclass(frozen=True, slots=True)
class Candidate:
    """A waiting subtask that may be leased."""

    id: UUID
    job_id: UUID
    position: int
    item_start: int
    item_count: int
    fence: int
    avoid_provider_id: UUID | None


def cap_us(claim: Claim, item_count: int) -> int:
    """The most time, in microseconds, that a subtask of so many items may be billed under this claim."""
    return max(claim.cap_us_per_item * item_count, claim.cap_us_min)


def cap_nanos(claim: Claim, item_count: int) -> int:
    """The most that a subtask of so many items may cost under this claim."""
    return price_nanos(claim.rate_nanos_per_hour, cap_us(claim, item_count))


def share_out(
    claims: Sequence[Claim], candidates: Iterable[Candidate], spendable_nanos: Mapping[UUID, int]
) -> list[tuple[int, Candidate, int]]:
    """Give each claim, in turn, the first candidates of its job that suit it: (index of the claim, candidate, cap in nano-USD).

    The caps of one job never exceed what it may spend; nothing is given twice; a claim never gets more than it asked for; and
    none gets a candidate that avoids its provider, unless it says that there is no other one.
    """
    left = dict(spendable_nanos)
    free: dict[UUID, list[Candidate]] = {}
    for candidate in candidates:
        free.setdefault(candidate.job_id, []).append(candidate)
    shared: list[tuple[int, Candidate, int]] = []
    for index, claim in enumerate(claims):
        passed_over: list[Candidate] = []
        waiting = free.get(claim.job_id, [])
        taken = used = 0
        budget = left.get(claim.job_id, 0)
        for candidate in waiting:
            if taken == claim.count:
                break
            used += 1
            price = cap_nanos(claim, candidate.item_count)
            avoided = candidate.avoid_provider_id == claim.provider_id and not claim.avoided_too
            if avoided or price > budget:
                passed_over.append(candidate)
                continue
            budget -= price
            taken += 1
            shared.append((index, candidate, price))
        left[claim.job_id] = budget
        free[claim.job_id] = passed_over + waiting[used:]
    return shared
