"""Bodies of heartbeats: how a machine does and what holds it back, and what it shall do next."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field

from fabric.api.schemas.common import Body
from fabric.api.schemas.schedules import CapsOut, MachineScheduleHeardIn, ScheduleOrderOut
from fabric.providers import presence

Text = Annotated[str, Field(min_length=1, max_length=200)]


class SlotStateIn(Body):
    """How one slot is now."""

    slot: int
    state: Text


Percent = Annotated[float, Field(ge=0, le=100)]
Amount = Annotated[float, Field(ge=0, le=1e6)]


class DeviceReading(Body):
    """How one device of a machine does now. What its driver does not tell is null."""

    device: Annotated[str, Field(min_length=1, max_length=40, pattern="^[a-z0-9:._-]+$")]
    """`cpu`, or as the slot's `device_key` says."""
    name: Text
    utilisation_percent: Percent | None = None
    memory_used_gib: Amount | None = None
    memory_gib: Amount | None = None
    temperature_c: Annotated[float, Field(ge=-100, le=500)] | None = None
    power_w: Amount | None = None


class Holding(Body):
    """Why a machine wants no new work now, as it says itself; what it runs is finished."""

    by: Literal["owner", "schedule", "idle", "power", "temperature"]
    """`owner`: paused on the machine; `schedule`: outside its hours; `idle`: somebody uses it; else over a cap of its owner."""
    detail: Text
    until: datetime | None = None
    """When it will end, where that is known."""


class HeartbeatIn(Body):
    """A sign of life. There is no field for a bill."""

    ray_node_id: Annotated[str, Field(pattern="^[0-9a-f]{56}$")] | None
    state: Literal["starting", "running", "draining", "left"]
    slots: list[SlotStateIn] = Field(default_factory=list, max_length=64)
    metrics: dict[Text, float] = Field(default_factory=dict, max_length=32)
    devices: list[DeviceReading] = Field(default_factory=list, max_length=64)
    holding: Holding | None = None
    """null: it wants work."""
    schedule: MachineScheduleHeardIn | None = None
    """When it lends; null: its agent is too old to say."""
    caps: CapsOut | None = None

    def report(self) -> presence.Report:
        """The same as a value of the domain."""
        return presence.Report(
            self.ray_node_id, self.state, [slot.model_dump() for slot in self.slots], self.metrics,
            devices=[device.model_dump(exclude_none=True) for device in self.devices],
            holding=self.holding.model_dump(mode="json") if self.holding else None,
            schedule=self.schedule.model_dump(mode="json") if self.schedule else None,
            caps=self.caps.model_dump() if self.caps else None,
        )  # fmt: skip


class OrdersOut(Body):
    """What a machine shall do next."""

    desired: Literal["run", "pause", "drain", "leave"]
    orders_outstanding: int
    heartbeat_s: float
    cluster: str
    build: str | None = None
    """SHA-256 of the wheel that this fabric serves; an agent that was installed from another one upgrades itself."""
    schedule: ScheduleOrderOut | None = None
    """A wish of its owner that it has not heard; null: there is none. A fabric without this field knows of no schedules."""

    @classmethod
    def of(cls, orders: presence.Orders, cluster: str, build: str | None) -> Self:
        """Tell a machine."""
        return cls(
            desired=orders.desired,
            orders_outstanding=orders.orders_outstanding,
            heartbeat_s=presence.HEARTBEAT_S,
            cluster=cluster,
            build=build,
            schedule=ScheduleOrderOut.of(orders.schedule),
        )
