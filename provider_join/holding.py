"""Why this machine takes no new work now: decided from what the owner allows and what was seen, by pure functions.

A cap that was exceeded holds until the value is clearly below it again, or a machine at its limit would open and close with every
reading. A reading that is missing leaves the decision as it was.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provider_join.hours import Schedule
from provider_join.limits import Limits

DETAIL_CHARACTERS_MAX = 200  # the fabric takes no more
COOL_C = 5.0  # so far below its cap the temperature must fall
SPARE_POWER = 0.1  # and so large a part of its cap the power
FOREIGN_CPU_MAX = 0.15  # of all cores; what others use beyond it is somebody's work


@dataclass(frozen=True, slots=True)
class Holding:
    """One reason to take nothing new."""

    by: str  # owner, schedule, idle, power or temperature
    detail: str
    until: datetime | None = None

    def report(self) -> dict[str, Any]:
        """As the heartbeat says it."""
        return {
            "by": self.by,
            "detail": self.detail[:DETAIL_CHARACTERS_MAX],
            "until": self.until.isoformat() if self.until else None,
        }


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen of this machine; None: it does not tell."""

    temperature_c: float | None = None
    power_w: float | None = None
    input_age_s: float | None = None  # since a key or the mouse was touched
    foreign_cpu: float | None = None  # share of all cores that others use


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier decisions leave behind."""

    is_hot: bool = False
    is_hungry: bool = False
    used_at_s: float | None = None  # when others last worked here; None: not looked yet


def is_over(value: float | None, cap: float | None, margin: float, *, was_over: bool) -> bool:
    """Whether a cap holds work back: from above the cap until `margin` below it."""
    if cap is None:
        return False
    if value is None:
        return was_over
    return value > (cap - margin if was_over else cap)


def last_used_s(facts: Facts, before_s: float | None, now_s: float) -> float:
    """When somebody last used this machine, on the clock of `now_s`; a machine not looked at yet counts as used now."""
    seen = [now_s if before_s is None else before_s]
    if facts.input_age_s is not None:
        seen.append(now_s - facts.input_age_s)
    if facts.foreign_cpu is not None and facts.foreign_cpu > FOREIGN_CPU_MAX:
        seen.append(now_s)
    return max(seen)


def judge(
    limits: Limits, schedule: Schedule | None, facts: Facts, past: Past, *, paused: bool, now: datetime, now_s: float
) -> tuple[Holding | None, Past]:
    """The weightiest reason to hold back, if any, and what to remember. `now_s` is a clock that never jumps."""
    past = Past(
        is_over(facts.temperature_c, limits.max_temperature_c, COOL_C, was_over=past.is_hot),
        is_over(facts.power_w, limits.max_power_w, SPARE_POWER * (limits.max_power_w or 0.0), was_over=past.is_hungry),
        last_used_s(facts, past.used_at_s, now_s) if limits.idle_only else None,
    )
    if paused:
        return Holding("owner", "paused on this machine; `provider-join resume` ends it"), past
    if schedule is not None and not schedule.is_open(now):
        return Holding("schedule", f"lends at {limits.hours}", schedule.next_change(now)), past
    if past.used_at_s is not None and now_s - past.used_at_s < limits.idle_minutes * 60:
        return Holding("idle", f"somebody uses this machine; it lends after {limits.idle_minutes:g} quiet minutes"), past
    if past.is_hot:
        return Holding("temperature", _over(facts.temperature_c, limits.max_temperature_c, "°C")), past
    if past.is_hungry:
        return Holding("power", _over(facts.power_w, limits.max_power_w, "W")), past
    return None, past


def _over(value: float | None, cap: float | None, unit: str) -> str:
    return f"{'?' if value is None else format(value, '.0f')} {unit}, the owner's cap is {cap:g} {unit}"
