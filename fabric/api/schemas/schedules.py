"""Bodies of when a machine lends: what counts on it, what its owner wishes, and the caps that it keeps."""

from typing import Annotated, Any, Self

from pydantic import Field

from fabric.api.schemas.common import Body, Moment
from fabric.providers import schedule, store
from provider_join.hours import HOURS_CHARACTERS_MAX

Minutes = Annotated[float, Field(gt=0)]
Cap = Annotated[float, Field(ge=0)]


class MachineScheduleIn(Body):
    """Another schedule for a machine; what is left out stays."""

    hours: Annotated[str, Field(max_length=2 * HOURS_CHARACTERS_MAX)] | None = None
    """By the machine's own clock, such as `22-7` or `mo-fr 22:30-7, sa-su 0-24`; null or `always`: at any time."""
    idle_only: bool | None = None
    """Only while nobody uses the machine."""
    idle_minutes: Annotated[float, Field(gt=0, le=schedule.IDLE_MINUTES_MAX)] | None = None
    """So long nobody must have used it."""

    def wish(self) -> dict[str, Any]:
        """What is named, as a value of the domain, not yet checked."""
        named = self.model_dump(exclude_unset=True)
        return {name: value for name, value in named.items() if name == "hours" or value is not None}


class MachineScheduleOut(Body):
    """The schedule that counts on a machine."""

    hours: Annotated[str, Field(max_length=HOURS_CHARACTERS_MAX)] | None
    """By its own clock; null: at any time."""
    idle_only: bool
    """Only while nobody uses it."""
    idle_minutes: Minutes
    """So long nobody must have used it."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64)]
    """What its time zone is called, such as `Europe/Berlin`."""
    utc_offset_minutes: Annotated[int, Field(ge=-24 * 60, le=24 * 60)]
    """By how much its clock is ahead of UTC now."""
    is_open: bool
    """Whether its hours let it lend now."""
    changes_at: Moment | None
    """When that will be otherwise; null: never."""


class MachineScheduleHeardIn(MachineScheduleOut):
    """The same as a machine reports it, with what it heard from its owner."""

    revision: Annotated[int, Field(ge=0, le=schedule.REVISION_MAX)]
    """Of the last wish that it took or refused."""
    refused: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Why it does not keep that wish; null: it does, unless something was said on the machine itself since."""


class ScheduleWantedOut(Body):
    """The schedule that you set and the machine has not taken."""

    hours: str | None
    idle_only: bool
    idle_minutes: float
    refused: str | None = None
    """Why the machine does not take it; null: it has not heard of it yet."""


class ScheduleOrderOut(Body):
    """What an owner wishes of this machine's schedule."""

    revision: int
    """To be told in heartbeats once it was taken, or refused."""
    wanted: dict[str, str | bool | float | None]
    """What to change of hours (null: always), idle_only and idle_minutes."""

    @classmethod
    def of(cls, order: schedule.Order | None) -> Self | None:
        """Tell a machine."""
        return None if order is None else cls(revision=order.revision, wanted=dict(order.wanted))


class CapsOut(Body):
    """What its owner lets a machine take; null: no cap. They protect the machine, so they are set on it alone."""

    max_power_w: Cap | None = None
    max_temperature_c: Cap | None = None
    max_memory_gib: Cap | None = None
    max_bandwidth_mbit: Cap | None = None
    max_disk_gib: Cap | None = None


def schedules_of(machine: store.Provider) -> dict[str, Any]:
    """The fields `schedule`, `schedule_wanted` and `caps` of a machine."""
    told = machine.schedule_told
    wanted = schedule.wanted_in_full(told, machine.schedule_wanted)
    is_refused = (told.get("revision") or 0) >= machine.schedule_revision
    counts = {name: told[name] for name in MachineScheduleOut.model_fields if name in told}
    return {
        "schedule": counts or None,
        "schedule_wanted": wanted and {**wanted, "refused": told.get("refused") if is_refused else None},
        "caps": machine.agent_state.get("caps"),
    }
