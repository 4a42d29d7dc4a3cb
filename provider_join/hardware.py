"""Finds CPUs, memory and accelerators, and makes slots of them.

Limits of containers count: a machine with 64 cores whose container may use 2 lends 2.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from provider_join.accelerators import (
    CPU,
    EXECUTION_PROVIDERS,
    NVIDIA,
    Gpu,
    RuntimeDevice,
    Wishes,
    devices_here,
    is_left_out,
    visible_gpus,
)
from provider_join.amd import Kfd
from provider_join.nvidia import Nvml

GIB = 1024**3
CPU_SLOTS_MAX = 16
MEMORY_GIB_OF_SLOT = 2.0
MEMORY_SHARE = 0.8  # the rest stays the owner's
ISOLATION_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Hardware:
    """What this machine has."""

    cpu: str
    cpu_cores: int  # that this process may use
    memory_gib: float
    gpus: tuple[Gpu, ...] = ()  # as the makers' drivers list them
    nvidia_problem: str = ""  # why NVIDIA's driver cannot be asked


@dataclass(frozen=True, slots=True)
class Slot:
    """One place where one model runs at a time."""

    slot: int
    accelerator: str
    device: str
    execution_provider: str
    threads: int
    memory_gib: float
    device_id: str = ""  # how ONNX Runtime is told which device; empty: its default one
    key: str = "cpu"  # the owner's word for the device

    @property
    def resource(self) -> str:
        """The Ray resource of this kind."""
        return f"fabric_{self.accelerator}"


def detect_hardware() -> Hardware:
    """Look at this machine; never fails, what cannot be found out is left out."""
    nvml = Nvml()
    gpus = visible_gpus((*nvml.gpus, *Kfd().gpus), os.environ.get("CUDA_VISIBLE_DEVICES"))
    return Hardware(_cpu_name(), _cpu_cores(), _memory_gib(), gpus, nvml.problem)


def problem_of(hardware: Hardware, execution_providers: Sequence[str]) -> str:
    """Pure: why accelerators that the installed ONNX Runtime is made for are not lent; empty when nothing is amiss."""
    for_nvidia = [p.word for p in EXECUTION_PROVIDERS if p.listed_by == NVIDIA and p.name in execution_providers]
    if not for_nvidia or any(gpu.maker == NVIDIA for gpu in hardware.gpus):
        return ""
    return f"ONNX Runtime is installed for {for_nvidia[0]}, but no device is lent by it: {hardware.nvidia_problem or 'there is none'}"


def detect_isolation() -> tuple[str, str]:
    """How models will be kept apart from this machine, `sandbox` or `process`, and why it is not the sandbox."""
    command = [sys.executable, "-m", "fabric.sandbox.launch"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=ISOLATION_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return "process", f"it could not be tried ({type(error).__name__})"
    found, _, why = answer.strip().partition(" ")
    return found or "process", why


def plan_slots(
    hardware: Hardware, execution_providers: Sequence[str], listed: Sequence[RuntimeDevice], wishes: Wishes
) -> list[Slot]:
    """Pure: the slots this machine offers.

    Every accelerator is one slot. CPU slots are offered when the owner asks for them, or when no accelerator is lent; by default
    as many as cores and memory allow, one thread each, because more slots beat more threads for piles of small items.
    """
    found: list[Slot] = []
    devices = [
        device for device in devices_here(execution_providers, hardware.gpus, listed, wishes.prefer)
        if not is_left_out(device.key, device.accelerator, wishes.without)
    ]  # fmt: skip
    sharing = sum(device.memory_gib is None for device in devices)
    shared = max(0.1, hardware.memory_gib * MEMORY_SHARE / max(1, sharing))
    for device in devices:
        memory = round(device.memory_gib or shared, 2)
        slot = Slot(len(found), device.accelerator, device.name, device.execution_provider, wishes.threads or 1, memory)
        found.append(replace(slot, device_id=device.device_id, key=device.key))
    wants_cpu = wishes.slots if wishes.slots is not None else (0 if devices else _default_cpu_slots(hardware, wishes.threads))
    if CPU not in execution_providers or is_left_out("cpu", "cpu", wishes.without):
        return found
    each = max(1, hardware.cpu_cores // max(1, wants_cpu)) if wishes.threads is None else wishes.threads
    memory = max(0.1, round(hardware.memory_gib * MEMORY_SHARE / max(1, wants_cpu), 2))
    found += [Slot(len(found) + n, "cpu", hardware.cpu, CPU, each, memory) for n in range(wants_cpu)]
    return found


def _default_cpu_slots(hardware: Hardware, threads: int | None) -> int:
    by_cores = hardware.cpu_cores // (threads or 1)
    by_memory = int(hardware.memory_gib * MEMORY_SHARE / MEMORY_GIB_OF_SLOT)
    return max(1, min(by_cores, by_memory, CPU_SLOTS_MAX))


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()[:200] or platform.machine()
    except OSError:
        pass
    return (platform.processor() or platform.machine() or "CPU")[:200]


def _cpu_cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quota = _cgroup_cores()
    return max(1, min(cores, int(quota) if quota else cores))


def _cgroup_cores() -> float | None:
    try:
        quota, _, period = Path("/sys/fs/cgroup/cpu.max").read_text().strip().partition(" ")
        if quota != "max":
            return int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        old = Path("/sys/fs/cgroup/cpu")
        quota_us = int((old / "cpu.cfs_quota_us").read_text())
        return quota_us / int((old / "cpu.cfs_period_us").read_text()) if quota_us > 0 else None
    except (OSError, ValueError):
        return None


def _memory_gib() -> float:
    total = psutil.virtual_memory().total
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(path).read_text()))
        except (OSError, ValueError):
            continue
    return round(total / GIB, 2)
