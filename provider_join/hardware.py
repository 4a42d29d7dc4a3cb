"""Finds CPUs, memory and accelerators, and makes slots of them.

Limits of containers count: a machine with 64 cores whose container may use 2 lends 2.
"""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

GIB = 1024**3
CPU_SLOTS_MAX = 16
MEMORY_GIB_OF_SLOT = 2.0
MEMORY_SHARE = 0.8  # the rest stays the owner's
ISOLATION_TIMEOUT_S = 60.0

NPU_PROVIDERS = ("QNNExecutionProvider", "VitisAIExecutionProvider", "CANNExecutionProvider")


@dataclass(frozen=True, slots=True)
class Hardware:
    """What this machine has."""

    cpu: str
    cpu_cores: int  # that this process may use
    memory_gib: float
    cuda_devices: tuple[tuple[str, float], ...]  # (name, GiB)


@dataclass(frozen=True, slots=True)
class Slot:
    """One place where one model runs at a time."""

    slot: int
    accelerator: str
    device: str
    execution_provider: str
    threads: int
    memory_gib: float

    @property
    def resource(self) -> str:
        """The Ray resource of this kind."""
        return f"fabric_{self.accelerator}"


def detect_hardware() -> Hardware:
    """Look at this machine; never fails, what cannot be found out is left out."""
    return Hardware(_cpu_name(), _cpu_cores(), _memory_gib(), _cuda_devices())


def detect_isolation() -> tuple[str, str]:
    """How models will be kept apart from this machine, `sandbox` or `process`, and why it is not the sandbox."""
    command = [sys.executable, "-m", "fabric.sandbox.launch"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=ISOLATION_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return "process", f"it could not be tried ({type(error).__name__})"
    found, _, why = answer.strip().partition(" ")
    return found or "process", why


def plan_slots(hardware: Hardware, execution_providers: list[str], slots: int | None, threads: int | None) -> list[Slot]:
    """Pure: the slots this machine offers.

    An accelerator is one slot (its first device). CPU slots are offered when the owner asks for them, or when there is no
    accelerator; by default as many as cores and memory allow, one thread each, because more slots beat more threads for piles of
    small items.
    """
    kinds = _accelerators(hardware, execution_providers)
    wants_cpu = slots if slots is not None else (0 if kinds else _default_cpu_slots(hardware, threads))
    found = [
        Slot(number, kind, device, provider, threads or 1, round(memory, 2))
        for number, (kind, device, provider, memory) in enumerate(kinds)
    ]
    each = max(1, hardware.cpu_cores // max(1, wants_cpu)) if threads is None else threads
    memory = max(0.1, round(hardware.memory_gib * MEMORY_SHARE / max(1, wants_cpu), 2))
    if "CPUExecutionProvider" in execution_providers:
        for _ in range(wants_cpu):
            found.append(Slot(len(found), "cpu", hardware.cpu, "CPUExecutionProvider", each, memory))
    return found


def _default_cpu_slots(hardware: Hardware, threads: int | None) -> int:
    by_cores = hardware.cpu_cores // (threads or 1)
    by_memory = int(hardware.memory_gib * MEMORY_SHARE / MEMORY_GIB_OF_SLOT)
    return max(1, min(by_cores, by_memory, CPU_SLOTS_MAX))


def _accelerators(hardware: Hardware, execution_providers: list[str]) -> list[tuple[str, str, str, float]]:
    kinds = []
    if "CUDAExecutionProvider" in execution_providers and hardware.cuda_devices:
        name, memory = hardware.cuda_devices[0]
        kinds.append(("cuda", name, "CUDAExecutionProvider", memory))
    shared = max(0.1, hardware.memory_gib * MEMORY_SHARE)
    if "DmlExecutionProvider" in execution_providers:
        kinds.append(("directml", "DirectML device", "DmlExecutionProvider", shared))
    if "CoreMLExecutionProvider" in execution_providers:
        kinds.append(("coreml", hardware.cpu, "CoreMLExecutionProvider", shared))
    for provider in NPU_PROVIDERS:
        if provider in execution_providers:
            kinds.append(("npu", provider.removesuffix("ExecutionProvider") + " NPU", provider, shared))
    return kinds


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


def _cuda_devices() -> tuple[tuple[str, float], ...]:
    if shutil.which("nvidia-smi") is None:
        return ()
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=15, check=True).stdout
        rows = [line.rpartition(",") for line in answer.splitlines() if line.strip()]
        return tuple((name.strip(), round(float(mib) / 1024, 2)) for name, _, mib in rows)
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()
