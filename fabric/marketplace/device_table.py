"""Pure: the device table: which base rate and power a device has, and what an owner is advised to ask for it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from fabric.core.errors import Invalid
from fabric.core.money import NANOS_PER_USD, usd_nanos, usd_text

CPU, NPU, OTHER = "cpu", "npu", "other"
DEVICES_MAX = 200
NAME_CHARACTERS_MAX = 60
RATE_NANOS_PER_HOUR_MAX = 1_000 * NANOS_PER_USD
WATTS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Device:
    """A model of accelerator: slots whose device's name has `match` in it are of this class."""

    match: str  # lower case, words separated by one space
    rate_nanos_per_hour: int
    watts: int  # the maker's board power


@dataclass(frozen=True, slots=True)
class DeviceTable:
    """Base rates in nano-USD an hour. Beside its base rate an accelerator earns for its memory and its power."""

    devices: tuple[Device, ...]
    other: Device  # any other accelerator
    cpu_thread: int
    npu: int
    memory_gib: int
    watt: int

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read the public form: decimal USD, as `as_json` writes it.

        Raises:
            Invalid: a rate or power out of range, a name that is empty, too long or there twice, too many devices.
        """
        devices = tuple(_device(words_of(str(entry["match"])), entry) for entry in document["devices"])
        names = [device.match for device in devices]
        if len(devices) > DEVICES_MAX:
            raise Invalid(f"A device table has at most {DEVICES_MAX} devices.")
        if bad := [name for name in names if not 0 < len(name) <= NAME_CHARACTERS_MAX or names.count(name) > 1]:
            raise Invalid(f"{bad[0]!r} is no name of a device, or is there twice.")
        if taken := {CPU, NPU, OTHER} & set(names):
            raise Invalid(f"{min(taken)!r} has a rate of its own in the table.")
        other = _device(OTHER, document["other"])
        rates = (_rate(document[f"{name}_usd_per_hour"]) for name in ("cpu_thread", "npu", "memory_gib", "watt"))
        return cls(devices, other, *rates)

    def as_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "devices": [{"match": device.match, **_shown(device)} for device in self.devices],
            "other": _shown(self.other),
            "cpu_thread_usd_per_hour": usd_text(self.cpu_thread),
            "npu_usd_per_hour": usd_text(self.npu),
            "memory_gib_usd_per_hour": usd_text(self.memory_gib),
            "watt_usd_per_hour": usd_text(self.watt),
        }

    def class_of(self, accelerator: str, device: str) -> str:
        """The device class of a slot: cpu, npu, other, or the longest name in the table that the device's name contains."""
        if accelerator in {CPU, NPU}:
            return accelerator
        name = words_of(device)
        return max(
            (known.match for known in self.devices if known.match in name), key=lambda match: (len(match), match), default=OTHER
        )

    def base_nanos_per_hour(self, accelerator: str, device: str, *, threads: int, memory_gib: float) -> int:
        """What a slot is advised to ask when demand is balanced, in nano-USD an hour."""
        if accelerator == CPU:
            return self.cpu_thread * max(1, threads)
        if accelerator == NPU:
            return self.npu
        wanted = self.class_of(accelerator, device)
        known = next((known for known in self.devices if known.match == wanted), self.other)
        return known.rate_nanos_per_hour + round(memory_gib * self.memory_gib) + known.watts * self.watt


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What owners are advised to ask now: the device table, and how much demand adds to it in each class."""

    table: DeviceTable
    factors: Mapping[str, float] = field(default_factory=dict)

    def rate_nanos_per_hour(self, accelerator: str, device: str, *, threads: int, memory_gib: float) -> int:
        """(base rate + memory + power) × demand factor."""
        base = self.table.base_nanos_per_hour(accelerator, device, threads=threads, memory_gib=memory_gib)
        return round(base * self.factors.get(self.table.class_of(accelerator, device), 1.0))


def words_of(name: str) -> str:
    """A device's name as names are compared: lower case, words separated by one space."""
    return re.sub(r"[\s_-]+", " ", name.lower()).strip()


def _device(match: str, entry: Mapping[str, Any]) -> Device:
    watts = int(entry["watts"])
    if not 0 <= watts <= WATTS_MAX:
        raise Invalid(f"{watts} W is no power of a device.")
    return Device(match, _rate(entry["usd_per_hour"]), watts)


def _rate(text: Any) -> int:
    nanos = usd_nanos(str(text))
    if nanos > RATE_NANOS_PER_HOUR_MAX:
        raise Invalid(f"{text} USD an hour is more than any device earns.")
    return nanos


def _shown(device: Device) -> dict[str, Any]:
    return {"usd_per_hour": usd_text(device.rate_nanos_per_hour), "watts": device.watts}


DEFAULT_TABLE = DeviceTable(
    devices=(
        Device("h100", 3_000_000_000, 700),
        Device("a100", 2_000_000_000, 400),
        Device("rtx 4090", 500_000_000, 450),
        Device("rtx 4080", 400_000_000, 320),
        Device("m3 ultra", 1_200_000_000, 180),
        Device("m2 ultra", 1_000_000_000, 180),
    ),
    other=Device(OTHER, 200_000_000, 200),
    cpu_thread=10_000_000,
    npu=100_000_000,
    memory_gib=20_000_000,
    watt=1_000_000,
)
"""As long as no operator has decided otherwise."""
