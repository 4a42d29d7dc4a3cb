"""What providers ask for their machines: offers as values, the suggested price, and how fast a slot is."""

import re
from dataclasses import dataclass

from fabric.core.ids import ProviderId, UserId
from fabric.core.money import NANOS_PER_USD

REFERENCE_RUNS_PER_S = 4500.0
"""Runs of the standard small model on one common server core: a slot that measures this has speed 1."""
SPEED_MIN, SPEED_MAX = 0.01, 10_000.0

CPU_THREAD_USD_PER_HOUR = 0.01
VRAM_GIB_USD_PER_HOUR = 0.02
WATT_USD_PER_HOUR = 0.001
DEVICES: tuple[tuple[str, float, float], ...] = (
    # name contains, base USD per hour, watts (the makers' board power)
    ("h100", 3.00, 700),
    ("a100", 2.00, 400),
    ("rtx 4090", 0.50, 450),
    ("rtx 4080", 0.40, 320),
    ("m3 ultra", 1.20, 180),
    ("m2 ultra", 1.00, 180),
)
UNKNOWN_GPU = (0.20, 200.0)
NPU_USD_PER_HOUR = 0.10


@dataclass(frozen=True, slots=True)
class Offer:
    """One slot that could take work now."""

    provider_id: ProviderId
    owner_id: UserId
    provider_name: str
    slot: int
    accelerator: str  # cpu, cuda, directml, coreml or npu
    device: str
    threads: int
    memory_gib: float
    region: str
    speed: float  # against a slot that measures REFERENCE_RUNS_PER_S
    rate_nanos_per_hour: int
    is_busy: bool  # it holds a lease now
    isolation: str = "process"  # what stands between a model and this machine, as its agent says: sandbox or process


def speed(benchmark_runs_per_s: float) -> float:
    """How fast a slot is, from its benchmark at joining; 1 is one common server core. A measure of nothing counts as slowest."""
    return min(SPEED_MAX, max(SPEED_MIN, benchmark_runs_per_s / REFERENCE_RUNS_PER_S))


def suggested_rate_nanos_per_hour(accelerator: str, device: str, *, threads: int, memory_gib: float) -> int:
    """What an owner is advised to ask: base rate of the device + VRAM GiB × 0.02 + watts × 0.001 USD; CPU 0.01 USD for a thread."""
    if accelerator == "cpu":
        usd = CPU_THREAD_USD_PER_HOUR * max(1, threads)
    elif accelerator == "npu":
        usd = NPU_USD_PER_HOUR
    else:
        name = re.sub(r"[\s_-]+", " ", device.lower())
        base, watts = next(((b, w) for words, b, w in DEVICES if words in name), UNKNOWN_GPU)
        usd = base + memory_gib * VRAM_GIB_USD_PER_HOUR + watts * WATT_USD_PER_HOUR
    return round(usd * NANOS_PER_USD)
