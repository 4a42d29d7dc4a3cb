"""What a machine can do: slots, devices, memory, measured speed; and what Fabric grants it for that.

Pure. A report is a stranger's claim: everything is bounded here, and labels and resources are made by us from it, so a machine
never chooses its own.
"""

import math
import re
from dataclasses import asdict, dataclass
from typing import Any

from fabric.core.errors import Invalid
from fabric.core.ids import ProviderId

SLOTS_MAX = 64
THREADS_MAX = 1024
MEMORY_GIB_MAX = 65_536.0
RUNS_PER_S_MAX = 10_000_000.0
TEXT_CHARACTERS_MAX = 200
LABEL_CHARACTERS_MAX = 63
OPSET_MAX = 1000
DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,79}|")
"""It ends in the environment of a process on the machine that said it."""

EXECUTION_PROVIDERS = {
    "cpu": {"CPUExecutionProvider"},
    "cuda": {"CUDAExecutionProvider", "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider"},
    "rocm": {"MIGraphXExecutionProvider"},
    "directml": {"DmlExecutionProvider"},
    "coreml": {"CoreMLExecutionProvider"},
    "openvino": {"OpenVINOExecutionProvider"},
    "npu": {"QNNExecutionProvider", "VitisAIExecutionProvider", "OpenVINOExecutionProvider", "CANNExecutionProvider"},
}
"""Accelerator kinds, and what ONNX Runtime calls the libraries that drive each."""
ISOLATIONS = frozenset({"sandbox", "process"})
"""What stands between a model and its machine: a sandbox without network and files, or a child process with limits."""


@dataclass(frozen=True, slots=True)
class SlotReport:
    """One place where one model runs at a time."""

    slot: int
    resource: str
    accelerator: str
    device: str
    execution_provider: str
    threads: int
    memory_gib: float
    benchmark_runs_per_s: float
    device_id: str = ""  # how the runtime there is told which device; empty: its default one
    device_key: str = ""  # the owner's word for the device, such as cuda:1


@dataclass(frozen=True, slots=True)
class Capabilities:
    """A machine as its agent reports it."""

    cpu: str
    cpu_cores: int
    memory_gib: float
    onnxruntime_version: str
    execution_providers: tuple[str, ...]
    slots: tuple[SlotReport, ...]
    isolation: str = "process"  # one of ISOLATIONS
    opset_max: int | None = None  # that its runtime was seen to take; None: by the runtime's version
    ir_version_max: int | None = None

    def as_json(self) -> dict[str, Any]:
        """For the column `providers.capabilities`; slots have rows of their own."""
        facts = asdict(self)
        del facts["slots"]
        return facts


def check_capabilities(report: Capabilities) -> None:
    """Refuse a report that no honest machine makes.

    Raises:
        Invalid: with `errors`, one for each thing that is wrong.
    """
    wrong: list[tuple[str, str]] = []
    if not 1 <= len(report.slots) <= SLOTS_MAX:
        wrong.append(("slots", f"between 1 and {SLOTS_MAX} slots"))
    if [slot.slot for slot in report.slots] != list(range(len(report.slots))):
        wrong.append(("slots", "slots are numbered 0, 1, 2 …"))
    if not _is_between(report.memory_gib, 0, MEMORY_GIB_MAX):
        wrong.append(("memory_gib", "memory out of range"))
    if report.isolation not in ISOLATIONS:
        wrong.append(("isolation", f"one of {', '.join(sorted(ISOLATIONS))}"))
    for name, limit in (("opset_max", report.opset_max), ("ir_version_max", report.ir_version_max)):
        if limit is not None and not 1 <= limit <= OPSET_MAX:
            wrong.append((name, f"between 1 and {OPSET_MAX}"))
    for slot in report.slots:
        wrong += [(f"slots.{slot.slot}.{field}", why) for field, why in _wrong_in_slot(slot, report.execution_providers)]
    if wrong:
        errors = [{"loc": loc, "msg": msg} for loc, msg in wrong]
        raise Invalid(f"The capability report is wrong: {wrong[0][0]}: {wrong[0][1]}.", errors=errors)


def _wrong_in_slot(slot: SlotReport, installed: tuple[str, ...]) -> list[tuple[str, str]]:
    wrong = []
    if slot.accelerator not in EXECUTION_PROVIDERS:
        return [("accelerator", f"one of {', '.join(sorted(EXECUTION_PROVIDERS))}")]
    if slot.resource != f"fabric_{slot.accelerator}":
        wrong.append(("resource", f"fabric_{slot.accelerator} for this accelerator"))
    if slot.execution_provider not in EXECUTION_PROVIDERS[slot.accelerator]:
        wrong.append(("execution_provider", f"{slot.execution_provider} does not drive {slot.accelerator}"))
    if slot.execution_provider not in installed:
        wrong.append(("execution_provider", f"{slot.execution_provider} is not installed on this machine"))
    if not 1 <= slot.threads <= THREADS_MAX:
        wrong.append(("threads", f"between 1 and {THREADS_MAX}"))
    if not _is_between(slot.memory_gib, 0, MEMORY_GIB_MAX):
        wrong.append(("memory_gib", "out of range"))
    if not _is_between(slot.benchmark_runs_per_s, 0, RUNS_PER_S_MAX):
        wrong.append(("benchmark_runs_per_s", "out of range"))
    for name, word in (("device_id", slot.device_id), ("device_key", slot.device_key)):
        if not DEVICE_ID.fullmatch(word):
            wrong.append((name, "at most 80 letters, digits and any of _ . : / -"))
    if not 0 < len(slot.device) <= TEXT_CHARACTERS_MAX:
        wrong.append(("device", f"between 1 and {TEXT_CHARACTERS_MAX} characters"))
    return wrong


def granted_labels(provider_id: ProviderId, report: Capabilities, region: str) -> dict[str, str]:
    """The labels that this machine's Ray node starts with, exactly."""
    first = next((slot for slot in report.slots if slot.accelerator != "cpu"), report.slots[0])
    return {
        "fabric.role": "provider",
        "fabric.provider-id": str(provider_id),
        "fabric.accelerator": first.accelerator,
        "fabric.device": label_value(first.device),
        "fabric.memory-gib": str(int(report.memory_gib)),
        "fabric.region": label_value(region),
    }


def granted_resources(report: Capabilities) -> dict[str, int]:
    """The custom resources that this machine's Ray node starts with: slots of each accelerator kind."""
    resources: dict[str, int] = {}
    for slot in report.slots:
        resources[slot.resource] = resources.get(slot.resource, 0) + 1
    return resources


def label_value(text: str) -> str:
    """`text` within Ray's grammar of label values: 63 of [A-Za-z0-9_.-], alphanumeric at both ends."""
    cleaned = re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:LABEL_CHARACTERS_MAX]
    return cleaned.strip("-_.") or "unknown"


def _is_between(value: float, low: float, high: float) -> bool:
    return math.isfinite(value) and low < value <= high
