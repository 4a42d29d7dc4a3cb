"""How the devices of this machine do now: load, memory, temperature and power, as each heartbeat tells them."""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psutil

from provider_join.amd import Kfd
from provider_join.nvidia import Nvml

GIB = 1024**3
DEVICES_MAX = 64
CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "soc_thermal", "acpitz")
"""What sensors of processors are called, the most exact first."""


class Meter:
    """Reads what the devices tell. Opens the makers' libraries once; reading takes some milliseconds."""

    def __init__(self, cpu: str, lent: Collection[str]) -> None:
        """`cpu` is the processor's name; `lent` are the accelerators to read, by the owner's words for them."""
        self._cpu, self._lent = cpu, frozenset(lent)
        self._nvml, self._kfd = Nvml(), Kfd()

    def read(self) -> list[dict[str, Any]]:
        """One entry for the processor and one for each lent accelerator whose driver tells anything; what is not known is left out."""
        accelerators = [*self._nvml.readings(), *self._kfd.readings()]
        return [self._processor(), *(reading for reading in accelerators if reading["device"] in self._lent)][:DEVICES_MAX]

    def _processor(self) -> dict[str, Any]:
        memory = psutil.virtual_memory()
        temperature = processor_temperature()
        return {
            "device": "cpu", "name": self._cpu, "utilisation_percent": psutil.cpu_percent(None),
            "memory_used_gib": round((memory.total - memory.available) / GIB, 3), "memory_gib": round(memory.total / GIB, 2),
            **({} if temperature is None else {"temperature_c": temperature}),
        }  # fmt: skip


def processor_temperature() -> float | None:
    """How hot the processor is now, in °C; None where the platform does not tell."""
    return best_temperature(_sensors())


def best_temperature(sensors: Mapping[str, Sequence[float]]) -> float | None:
    """Pure: the hottest that the best sensor of the processor tells, in °C; None when there is none."""
    for name in CPU_SENSORS:
        if told := [value for value in sensors.get(name, ()) if 0 < value < 150]:
            return round(max(told), 1)
    return None


def _sensors() -> dict[str, list[float]]:
    found: Mapping[str, Sequence[Any]] = {}
    with contextlib.suppress(AttributeError, OSError, RuntimeError):  # Windows and macOS have no such function
        found = psutil.sensors_temperatures()
    return {name: [entry.current for entry in entries] for name, entries in found.items()}
