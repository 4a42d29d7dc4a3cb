"""The schedule as its owner sets it from afar: which wish this machine took last, and what a newer one changes.

Wishes have numbers that only grow, and each is taken once. What a start says on the machine itself counts over every wish that was
there before it, so an old wish never comes back. Only the schedule comes this way (`limits.SCHEDULE`); caps are set on the machine.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from provider_join.config import Home, Stop
from provider_join.hours import BadHours, tidy_hours
from provider_join.limits import CAPS, SCHEDULE, Limits, schedule_in_words
from provider_join.restraint import Restraint
from provider_join.zone import utc_offset_minutes, zone_name

REFUSED_CHARACTERS_MAX = 200
"""The fabric takes no more."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What this machine heard of its schedule."""

    revision: int = 0  # of the last wish that it took or refused
    refused: str | None = None  # why it keeps to another one still
    said_here: tuple[str, ...] = ()  # what starts said on this machine since the fabric was heard; older wishes for it are void
    is_from_afar: bool = False  # whether what counts was said there last


def kept_heard(home: Home) -> Heard:
    """What was heard before this start.

    Raises:
        Stop: the settings are damaged.
    """
    kept = home.settings().get("schedule") or {}
    try:
        return Heard(
            int(kept.get("revision", 0)), kept.get("refused"), tuple(kept.get("said_here", ())), bool(kept.get("is_from_afar"))
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise Stop(f"{home.settings_path} is damaged ({error}); remove it and give your limits again.") from None


def keep_said(home: Home, names: Iterable[str]) -> None:
    """Write down which limits a command line named here; it counts over what was wished before.

    Raises:
        Stop: the settings are damaged.
    """
    if said := set(names) & set(SCHEDULE):
        heard = kept_heard(home)
        heard = replace(heard, refused=None, said_here=tuple(sorted(said | set(heard.said_here))), is_from_afar=False)
        home.keep_settings(schedule=asdict(heard))


def checked(wanted: dict[str, Any]) -> dict[str, Any]:
    """Pure: a wish as fields of `Limits`.

    Raises:
        BadHours: this machine cannot keep it; the message says why.
    """
    if strange := sorted(set(wanted) - set(SCHEDULE)):
        raise BadHours(f"this agent does not know {strange[0]!r}; is it older than the fabric?")
    fields = dict(wanted)
    if (hours := fields.get("hours")) is not None:
        fields["hours"] = tidy_hours(str(hours))
    if not isinstance(fields.get("idle_only", False), bool):
        raise BadHours("idle_only is true or false")
    if "idle_minutes" in fields:
        minutes = fields["idle_minutes"]
        if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not (math.isfinite(minutes) and minutes > 0):
            raise BadHours(f"{minutes!r} is no number of minutes above 0")
        fields["idle_minutes"] = float(minutes)
    return fields


class FromAfar:
    """Hears what the fabric hands on, and tells it what counts here. Used by the thread that decides."""

    def __init__(self, home: Home, restraint: Restraint) -> None:
        """Go on from what earlier starts heard.

        Raises:
            Stop: the settings are damaged.
        """
        self._home, self._restraint, self.heard = home, restraint, kept_heard(home)
        self.is_told = False
        """Whether the fabric understands what `report` says; older ones refuse fields that they do not know."""
        self._was_misunderstood = False

    def hear(self, answer: dict[str, Any]) -> str | None:
        """Take up what a session or a heartbeat's answer wishes, if it is newer; what to say about it, None: nothing new."""
        if "schedule" not in answer:
            return None
        self.is_told = not self._was_misunderstood
        order, before = answer["schedule"], self.heard
        if not isinstance(order, dict) or int(order.get("revision") or 0) <= before.revision:
            if before.said_here:
                self._note(replace(before, said_here=()))
            return None
        later = Heard(int(order["revision"]), None, (), before.is_from_afar)
        wanted = {name: value for name, value in dict(order.get("wanted") or {}).items() if name not in before.said_here}
        if not wanted:
            self._note(later)
            return None
        try:
            self._keep(checked(wanted), replace(later, is_from_afar=True))
        except (BadHours, Stop, OSError) as error:
            self.heard = replace(later, refused=str(error)[:REFUSED_CHARACTERS_MAX])
            self._note(self.heard)
            return f"a schedule that its owner set from afar cannot be kept here: {error}"
        return f"the owner set the schedule from afar: {schedule_in_words(self._restraint.limits)}"

    def misunderstood(self) -> bool:
        """The fabric refused a report: whether the next one will be shorter, so that it is worth another try."""
        was_told, self.is_told, self._was_misunderstood = self.is_told, False, True
        return was_told

    def report(self) -> dict[str, Any]:
        """What counts here, as the heartbeat says it; nothing to a fabric that does not understand."""
        if not self.is_told:
            return {}
        limits, now = self._restraint.limits, datetime.now(UTC)
        schedule = limits.schedule
        changes_at = schedule.next_change(now) if schedule else None
        return {
            "schedule": {
                "hours": limits.hours and tidy_hours(limits.hours), "idle_only": limits.idle_only,
                "idle_minutes": limits.idle_minutes, "time_zone": zone_name(), "utc_offset_minutes": utc_offset_minutes(now),
                "is_open": schedule is None or schedule.is_open(now), "changes_at": changes_at.isoformat() if changes_at else None,
                "revision": self.heard.revision, "refused": self.heard.refused,
            },
            "caps": {name: getattr(limits, name) for name in CAPS},
        }  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """For people on this machine."""
        return {"schedule_from_afar": self.heard.is_from_afar, "schedule_refused": self.heard.refused}

    def _keep(self, wanted: dict[str, Any], heard: Heard) -> None:
        limits: Limits = replace(self._restraint.limits, **wanted)
        _ = limits.schedule
        kept = self._home.settings().get("limits") or asdict(limits)
        self._home.keep_settings(limits={**kept, **wanted}, schedule=asdict(heard))  # what cannot be kept does not count
        self._restraint.keep_to(limits)
        self.heard = heard

    def _note(self, heard: Heard) -> None:
        """Remember it, if that can be written; heard it is in any case."""
        self.heard = heard
        try:
            self._home.keep_settings(schedule=asdict(heard))
        except (Stop, OSError):
            return
