"""What the owner allows this machine to lend, and when: read from the command line, kept in the home.

What a start does not say stays as an earlier start said it, so a restart, an upgrade and a computer that was switched off keep
them. `none` (hours: `always`) takes a limit away again.
"""

import argparse
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from provider_join.config import Home, Stop
from provider_join.hours import BadHours, Schedule, read_hours, tidy_hours

IDLE_MINUTES = 5.0
SLOT_GIB_MIN = 0.5  # less, and a slot could load nothing
MEGABIT_BYTES = 125_000
GIB = 1024**3
CAPS = {
    "max_power_w": "watts that processor and accelerators may draw; above, no new work",
    "max_temperature_c": "degrees Celsius that they may have; above, no new work",
    "max_memory_gib": "memory that all slots may use together",
    "max_bandwidth_mbit": "megabits per second that models, inputs and results may take, each way, over all slots",
    "max_disk_gib": "disk on which models are kept between starts; without it, none is kept",
}
"""Each an option of `provider-join`, and a field of `Limits`."""
SCHEDULE = ("hours", "idle_only", "idle_minutes")
"""Fields of `Limits` that the owner may set from afar too; caps protect the machine, so they are set on it alone."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the owner allows; None: no limit."""

    hours: str | None = None
    idle_only: bool = False
    idle_minutes: float = IDLE_MINUTES
    max_power_w: float | None = None
    max_temperature_c: float | None = None
    max_memory_gib: float | None = None
    max_bandwidth_mbit: float | None = None
    max_disk_gib: float | None = None

    @property
    def schedule(self) -> Schedule | None:
        """The hours; None: always."""
        return read_hours(self.hours) if self.hours else None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Take the owner's limits on the command line."""
    group = parser.add_argument_group("limits", "kept in the home until another start says otherwise")
    group.add_argument("--hours", help="when to lend, by this machine's clock: 22-7, or mo-fr 22-7, sa-su 0-24; or always")
    group.add_argument("--idle-only", action=argparse.BooleanOptionalAction, default=None, help="lend while nobody uses it")
    group.add_argument("--idle-minutes", metavar="N", help=f"how long nobody must have used it (default: {IDLE_MINUTES:g})")
    for name, meaning in CAPS.items():
        group.add_argument(f"--{name.replace('_', '-')}", metavar="N", help=f"{meaning}; or none")


def said_limits(given: argparse.Namespace) -> dict[str, Any]:
    """Only what the command line says, checked.

    Raises:
        Stop: it cannot be right.
    """
    said: dict[str, Any] = {}
    if given.hours is not None:
        said["hours"] = _hours(given.hours)
    if given.idle_only is not None:
        said["idle_only"] = given.idle_only
    if given.idle_minutes is not None:
        said["idle_minutes"] = _amount("--idle-minutes", given.idle_minutes)
    for name in CAPS:
        if (text := getattr(given, name)) is not None:
            said[name] = None if text.lower() == "none" else _amount(f"--{name.replace('_', '-')}", text)
    return said


def kept_limits(home: Home) -> Limits:
    """What earlier starts said.

    Raises:
        Stop: the file is damaged.
    """
    kept = home.settings().get("limits", {})
    try:
        known = {field.name for field in fields(Limits)}
        limits = Limits(**{name: value for name, value in kept.items() if name in known})
        _ = limits.schedule
    except (AttributeError, TypeError, ValueError) as error:
        raise Stop(f"{home.settings_path} is damaged ({error}); remove it and give your limits again.") from None
    return limits


def schedule_in_words(limits: Limits) -> str:
    """Pure: when it lends."""
    quiet = f", after {limits.idle_minutes:g} quiet minutes only" if limits.idle_only else ""
    return (limits.hours or "always") + quiet


def without_limits(words: list[str]) -> list[str]:
    """Pure: a command line less the owner's limits. An agent that goes on as a newer one says nothing anew: its home has them."""
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    return parser.parse_known_args(words)[1]


def rules_of_house(limits: Limits, slots: int, work_log: Path) -> dict[str, Any]:
    """Pure: what the actor of each of `slots` slots keeps to; it reads this when it starts. Caps of the machine are shared evenly."""
    return {
        "work_log": str(work_log),
        "bytes_per_s": int(limits.max_bandwidth_mbit * MEGABIT_BYTES / slots) if limits.max_bandwidth_mbit else None,
        "memory_bytes": int(limits.max_memory_gib * GIB / slots) if limits.max_memory_gib else None,
        "disk_bytes": int(limits.max_disk_gib * GIB) if limits.max_disk_gib else None,
    }


def _hours(text: str) -> str | None:
    try:
        return tidy_hours(text)
    except BadHours as error:
        raise Stop(f"--hours: {error}.", 2) from None


def _amount(option: str, text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not (math.isfinite(amount) and amount > 0):
        raise Stop(f"{option} {text!r} is no amount above 0.", 2)
    return amount
