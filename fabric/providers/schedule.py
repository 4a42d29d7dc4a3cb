"""Pure: what an owner wishes of a machine's schedule from afar, checked as the machine checks it and handed on until it was taken.

The machine stays the one who decides: it tells what counts on it, and which wish it took or refused last. Wishes have numbers that
only grow, so each is taken once and an old one never comes back (docs/decisions/0018-schedules-from-afar.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fabric.core.errors import Invalid
from provider_join.hours import BadHours, tidy_hours

IDLE_MINUTES = 5.0
"""What a machine starts with."""
IDLE_MINUTES_MAX = 24 * 60.0
REVISION_MAX = 2**53


@dataclass(frozen=True, slots=True)
class Order:
    """A wish that a machine has not heard: `wanted` has what to change of hours, idle_only and idle_minutes."""

    revision: int
    wanted: Mapping[str, Any]


def check_wish(wish: Mapping[str, Any]) -> dict[str, Any]:
    """A wish with its hours as a machine keeps them; None: always.

    Raises:
        Invalid: they name no hours.
    """
    if wish.get("hours") is None:
        return dict(wish)
    try:
        return {**wish, "hours": tidy_hours(wish["hours"])}
    except BadHours as error:
        raise Invalid(f"schedule.hours: {error}.") from None


def order_for(told: Mapping[str, Any], revision: int, wanted: Mapping[str, Any] | None) -> Order | None:
    """What to hand to a machine that tells `told` of its schedule; None: it heard the newest wish, or there is none."""
    if not wanted or (told.get("revision") or 0) >= revision:
        return None
    return Order(revision, wanted)


def is_taken(told: Mapping[str, Any]) -> bool:
    """Whether the wish that a machine heard last counts there now."""
    return bool(told) and told.get("refused") is None


def wanted_in_full(told: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The schedule as it will be once the machine takes what is wished; `refused` says why it does not. None: nothing is wished."""
    if not wanted:
        return None
    before = {"hours": None, "idle_only": False, "idle_minutes": IDLE_MINUTES}
    before |= {name: told[name] for name in before if name in told}
    return {**before, **wanted}
