"""What providers ask for their machines: offers as values, and how fast a slot is."""

from dataclasses import dataclass, field, replace
from typing import Self

from fabric.core.ids import ProviderId, UserId
from fabric.providers.rates import ModelRates, rate_of_model
from fabric.providers.runtimes import ANY_NEWEST, Newest

REFERENCE_RUNS_PER_S = 4500.0
"""Runs of the standard small model on one common server core: a slot that measures this has speed 1."""
SPEED_MIN, SPEED_MAX = 0.01, 10_000.0


@dataclass(frozen=True, slots=True)
class Offer:
    """One slot that could take work now."""

    provider_id: ProviderId
    owner_id: UserId
    provider_name: str
    slot: int
    accelerator: str  # cpu, cuda, rocm, directml, coreml, openvino or npu
    device: str
    threads: int
    memory_gib: float
    region: str
    speed: float  # against a slot that measures REFERENCE_RUNS_PER_S
    rate_nanos_per_hour: int
    is_busy: bool  # it holds a lease now
    isolation: str = "process"  # what stands between a model and this machine, as its agent says: sandbox or process
    is_auto: bool = False  # its rate follows the suggestion; else its owner has set it
    newest: Newest = ANY_NEWEST  # model that its machine's runtime takes
    model_rates: ModelRates = field(default_factory=dict)

    def asking(self, model_id: str | None) -> Self | None:
        """The offer as it stands for a model; None: its owner does not let that run there."""
        rate = rate_of_model(self.model_rates, model_id, self.rate_nanos_per_hour)
        if rate is None:
            return None
        return replace(self, rate_nanos_per_hour=rate, is_auto=False) if model_id in self.model_rates else self


def speed(benchmark_runs_per_s: float) -> float:
    """How fast a slot is, from its benchmark at joining; 1 is one common server core. A measure of nothing counts as slowest."""
    return min(SPEED_MAX, max(SPEED_MIN, benchmark_runs_per_s / REFERENCE_RUNS_PER_S))
