"""The execution providers of ONNX Runtime that Fabric lends devices through, as data; and which device each of them drives here.

Nothing here looks at a machine: `hardware` and `nvidia` find facts, the runtime's own list comes from `benchmark`, and this
decides what they mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CPU = "CPUExecutionProvider"
NVIDIA, AMD, RUNTIME, ONE = "nvidia", "amd", "runtime", "one"
"""Who lists the devices: the maker's driver, or ONNX Runtime itself, or nobody since there is one of it."""


@dataclass(frozen=True, slots=True)
class ExecutionProvider:
    """A library by which ONNX Runtime drives devices."""

    name: str  # ONNX Runtime's
    word: str  # the owner's, for --prefer
    accelerators: Mapping[str, str]  # what ONNX Runtime calls a kind of device, and what Fabric calls it
    listed_by: str


EXECUTION_PROVIDERS = (
    ExecutionProvider("CUDAExecutionProvider", "cuda", {"GPU": "cuda"}, NVIDIA),
    ExecutionProvider("NvTensorRTRTXExecutionProvider", "tensorrt-rtx", {"GPU": "cuda"}, NVIDIA),
    ExecutionProvider("TensorrtExecutionProvider", "tensorrt", {"GPU": "cuda"}, NVIDIA),
    ExecutionProvider("MIGraphXExecutionProvider", "migraphx", {"GPU": "rocm"}, AMD),
    ExecutionProvider("DmlExecutionProvider", "directml", {"GPU": "directml"}, RUNTIME),
    ExecutionProvider("CoreMLExecutionProvider", "coreml", {"GPU": "coreml"}, ONE),
    ExecutionProvider("OpenVINOExecutionProvider", "openvino", {"GPU": "openvino", "NPU": "npu"}, RUNTIME),
    ExecutionProvider("QNNExecutionProvider", "qnn", {"NPU": "npu"}, RUNTIME),
    ExecutionProvider("VitisAIExecutionProvider", "vitisai", {"NPU": "npu"}, RUNTIME),
    ExecutionProvider("CANNExecutionProvider", "cann", {"NPU": "npu"}, RUNTIME),
)
"""The first that drives a device gets it. CUDA stands before TensorRT, which builds an engine of each model for minutes."""
KINDS = ("cpu", *dict.fromkeys(kind for provider in EXECUTION_PROVIDERS for kind in provider.accelerators.values()))
"""What Fabric calls kinds of devices; a slot's Ray resource is `fabric_` and its kind."""
WORDS = tuple(provider.word for provider in EXECUTION_PROVIDERS)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A device as its maker's driver lists it. A part of a divided one (MIG) is a device of its own."""

    maker: str  # NVIDIA or AMD
    place: str  # "0", or "0:2" for the third part of the first
    device_id: str  # how the runtime is told which: NVIDIA's UUID, AMD's number
    name: str
    memory_gib: float


@dataclass(frozen=True, slots=True)
class RuntimeDevice:
    """A device as ONNX Runtime lists it for one of its execution providers."""

    execution_provider: str
    kind: str  # CPU, GPU or NPU
    device_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Device:
    """A device that can be lent."""

    key: str  # the owner's word for it, such as "cuda:1"
    accelerator: str
    execution_provider: str
    device_id: str
    name: str
    memory_gib: float | None  # None: it shares the machine's


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the owner says about slots."""

    slots: int | None = None  # CPU slots
    threads: int | None = None  # of each CPU slot
    without: tuple[str, ...] = ()  # kinds of devices, or single ones: "cpu", "cuda:1"
    prefer: tuple[str, ...] = ()  # execution providers to take first where several drive one device


def devices_here(
    installed: Sequence[str], gpus: Sequence[Gpu], listed: Sequence[RuntimeDevice], prefer: Sequence[str] = ()
) -> list[Device]:
    """Pure: every accelerator that the installed runtime drives, each once, by its best execution provider.

    Args:
        installed: ONNX Runtime's available execution providers.
        gpus: What the makers' drivers list.
        listed: What ONNX Runtime itself lists, processors too.
        prefer: Words of execution providers to take first where several drive one device.
    """
    turns = sorted(EXECUTION_PROVIDERS, key=lambda p: prefer.index(p.word) if p.word in prefer else len(prefer))
    found: list[Device] = []
    taken: set[tuple[str, str]] = set()
    counts: dict[str, int] = {}
    for provider in (p for p in turns if p.name in installed):
        for kind, place, device_id, name, memory in _devices_of(provider, gpus, listed):
            owner = (provider.listed_by if provider.listed_by in {NVIDIA, AMD} else provider.name, place or device_id)
            if owner in taken:
                continue
            taken.add(owner)
            number = counts[kind] = counts.get(kind, -1) + 1
            found.append(Device(f"{kind}:{place or number}", kind, provider.name, device_id, name, memory))
    return found


def _devices_of(
    provider: ExecutionProvider, gpus: Sequence[Gpu], listed: Sequence[RuntimeDevice]
) -> list[tuple[str, str, str, str, float | None]]:
    """(kind, place, id, name, memory) of each device that an execution provider drives; place is empty where nobody numbers them."""
    if provider.listed_by in {NVIDIA, AMD}:
        (kind,) = provider.accelerators.values()
        return [(kind, gpu.place, gpu.device_id, gpu.name, gpu.memory_gib) for gpu in gpus if gpu.maker == provider.listed_by]
    own = [device for device in listed if device.execution_provider == provider.name]
    if provider.listed_by == ONE or not own:  # an older runtime lists none: its default device then
        kind = next(iter(provider.accelerators.values()))
        return [(kind, "", "", f"{provider.word} device", None)]
    return [
        (provider.accelerators[device.kind], "", device.device_id, device.name, None)
        for device in own if device.kind in provider.accelerators
    ]  # fmt: skip


def is_left_out(key: str, accelerator: str, without: Sequence[str]) -> bool:
    """Whether the owner left this device out: by its kind, its own word, or that of the device that it is a part of."""
    return any(word in {key, accelerator} or key.startswith(f"{word}:") for word in without)


def visible_gpus(gpus: Sequence[Gpu], said: str | None) -> tuple[Gpu, ...]:
    """Pure: those of NVIDIA's devices that CUDA_VISIBLE_DEVICES leaves to see, in its order; all other devices stay.

    CUDA stops reading at the first word that names nothing, and so does this.
    """
    if said is None:
        return tuple(gpus)
    seen: list[Gpu] = []
    for word in (word.strip() for word in said.split(",")):
        named = [g for g in gpus if g.maker == NVIDIA and word and (g.place == word or g.device_id.startswith(word))]
        if len(named) != 1 or (not word.isdecimal() and not word.startswith(("GPU-", "MIG-"))):
            break
        seen += named
    return (*seen, *(gpu for gpu in gpus if gpu.maker != NVIDIA))


def session_options(execution_provider: str, device_id: str) -> tuple[dict[str, str], dict[str, str]]:
    """Pure: (environment of the process, provider options) by which ONNX Runtime uses this device and no other.

    The same as `fabric.sandbox.devices` gives to the models' own process; the agent may not import that.
    """
    if execution_provider in _BY_VARIABLE:
        return ({_BY_VARIABLE[execution_provider]: device_id} if device_id else {}), {"device_id": "0"}
    if execution_provider in {"DmlExecutionProvider", "CANNExecutionProvider"}:
        return {}, {"device_id": device_id or "0"}
    if execution_provider == "OpenVINOExecutionProvider":
        return {}, {"device_type": device_id or "GPU"}
    fixed = {"QNNExecutionProvider": {"backend_type": "htp"}, "CoreMLExecutionProvider": {"ModelFormat": "MLProgram"}}
    return {}, fixed.get(execution_provider, {})


_BY_VARIABLE = {
    "CUDAExecutionProvider": "CUDA_VISIBLE_DEVICES", "TensorrtExecutionProvider": "CUDA_VISIBLE_DEVICES",
    "NvTensorRTRTXExecutionProvider": "CUDA_VISIBLE_DEVICES", "MIGraphXExecutionProvider": "HIP_VISIBLE_DEVICES",
}  # fmt: skip
"""A process sees one device only: the driver's own numbering, and parts of divided devices, then cannot be confused."""
