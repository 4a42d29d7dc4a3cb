"""The execution providers as data: device files that each needs inside the sandbox, and how ONNX Runtime is told which device to use.

A machine has several devices, a slot one of them. Where a driver can hide the others from a process, it does: whatever they are
numbered, and whether it is a part of a divided device, the process sees its own as number 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
_NVIDIA_FILES = ("nvidia*", "dxg")  # the latter is what WSL2 has instead
_AMD_FILES = ("kfd", "dri")


@dataclass(frozen=True, slots=True)
class Use:
    """How an execution provider is used."""

    files: tuple[str, ...] = ()  # device files, as patterns below /dev
    variable: str = ""  # of the environment, that hides all devices but one
    option: str = ""  # that names the device
    default: str = "0"  # its value where the slot names none
    options: Mapping[str, str] = field(default_factory=dict)  # always
    limit: str = ""  # the option that bounds the device's memory, in bytes
    then: tuple[str, ...] = ()  # execution providers on the same device for what this one cannot do
    memory: str = ""  # what I/O binding calls the device's memory; empty: tensors cross through the session
    patterns: bool = True  # whether it may plan its memory ahead


USES: Mapping[str, Use] = {
    CPU: Use(memory="cpu"),
    CUDA: Use(
        _NVIDIA_FILES, "CUDA_VISIBLE_DEVICES", "device_id", limit="gpu_mem_limit", memory="cuda",
        options={"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"},
    ),
    "TensorrtExecutionProvider": Use(_NVIDIA_FILES, "CUDA_VISIBLE_DEVICES", "device_id", then=(CUDA,), memory="cuda"),
    "NvTensorRTRTXExecutionProvider": Use(_NVIDIA_FILES, "CUDA_VISIBLE_DEVICES", "device_id"),
    "MIGraphXExecutionProvider": Use(_AMD_FILES, "HIP_VISIBLE_DEVICES", "device_id"),
    "DmlExecutionProvider": Use(option="device_id", patterns=False),
    "CoreMLExecutionProvider": Use(options={"ModelFormat": "MLProgram"}),
    "OpenVINOExecutionProvider": Use(("dri", "accel"), option="device_type", default="GPU"),
    "QNNExecutionProvider": Use(("fastrpc*", "accel", "dri"), options={"backend_type": "htp"}),
    "VitisAIExecutionProvider": Use(("accel", "dri")),
    "CANNExecutionProvider": Use(("davinci*", "devmm_svm", "hisi_hdc"), option="device_id"),
}  # fmt: skip
"""By ONNX Runtime's name. CUDA rounds as the processor does (no TF32), so that results do not depend on the machine. One that is
not here is used as ONNX Runtime uses it when it is told nothing.
"""


@dataclass(frozen=True, slots=True)
class Device:
    """The device of a slot: its id for the runtime (empty: the default one), and its own memory where that has a limit."""

    id: str = ""
    memory_bytes: int | None = None


ANY_DEVICE = Device()


def devices_of(execution_provider: str, root: Path = Path("/dev")) -> tuple[Path, ...]:
    """The device files that exist here; none for the CPU."""
    found = (path for pattern in USES.get(execution_provider, Use()).files for path in root.glob(pattern))
    return tuple(sorted(set(found)))


def environment_of(execution_provider: str, device: Device) -> dict[str, str]:
    """Pure: what the environment of the process says about its device."""
    variable = USES.get(execution_provider, Use()).variable
    return {variable: device.id} if variable and device.id else {}


def providers_of(execution_provider: str, device: Device) -> list[tuple[str, dict[str, str]]]:
    """Pure: the execution providers of a session in order of preference, the processor last, each with its options."""
    names = dict.fromkeys([execution_provider, *USES.get(execution_provider, Use()).then, CPU])
    return [(name, _options(USES.get(name, Use()), device)) for name in names]


def _options(use: Use, device: Device) -> dict[str, str]:
    options = dict(use.options)
    if use.option:
        options[use.option] = use.default if use.variable else device.id or use.default
    if use.limit and device.memory_bytes:
        options[use.limit] = str(device.memory_bytes)
    return options
