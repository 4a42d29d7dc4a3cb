"""NVIDIA's devices, by NVIDIA's own library (NVML): what there is, parts of divided ones (MIG) included, and how each does now.

No driver, or no library to ask it, is a sentence and not an error. The library is asked by the agent, which never loads CUDA.
"""

from collections.abc import Callable
from typing import Any

from provider_join.accelerators import NVIDIA, Gpu

GIB = 1024**3
DEVICES_MAX = 64
NAME_CHARACTERS_MAX = 200


class Nvml:
    """NVML, opened once. `problem` says why it cannot be asked; it is empty when it can."""

    def __init__(self, library: Any = None) -> None:
        """Open `library`, which has the functions of the package nvidia-ml-py; that package itself when None."""
        self.problem = ""
        self._handles: list[tuple[Gpu, Any]] = []
        try:
            self._nvml = library or _package()
            self._nvml.nvmlInit()
        except ImportError:
            self.problem = "the package nvidia-ml-py is not installed"
            return
        except self._nvml.NVMLError as error:
            self.problem = f"NVIDIA's driver does not answer: {error}"
            return
        try:
            self._find()
        except self._nvml.NVMLError as error:
            self.problem = f"NVIDIA's driver does not list its devices: {error}"

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The devices that can be lent, in the driver's order."""
        return tuple(gpu for gpu, _ in self._handles)

    def readings(self) -> list[dict[str, Any]]:
        """How each device does now; what a device does not tell is left out."""
        return [self._reading(gpu, handle) for gpu, handle in self._handles]

    def _find(self) -> None:
        for number in range(min(self._nvml.nvmlDeviceGetCount(), DEVICES_MAX)):
            handle = self._asked(self._nvml.nvmlDeviceGetHandleByIndex, number)
            if handle is None:
                continue  # fallen off the bus, or not ours to see
            parts = self._parts(handle)
            if parts is None:
                self._add(str(number), handle)
            for part_number, part in enumerate(parts or ()):
                self._add(f"{number}:{part_number}", part)

    def _parts(self, handle: Any) -> list[Any] | None:
        """The parts of a divided device; None for one that is whole. A divided one is lent by its parts alone."""
        mode = self._asked(self._nvml.nvmlDeviceGetMigMode, handle)
        if mode is None or mode[0] != self._nvml.NVML_DEVICE_MIG_ENABLE:
            return None
        count = self._asked(self._nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0
        found = [self._asked(self._nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number) for number in range(count)]
        return [part for part in found if part is not None]

    def _add(self, place: str, handle: Any) -> None:
        uuid = self._asked(self._nvml.nvmlDeviceGetUUID, handle)
        memory = self._asked(self._nvml.nvmlDeviceGetMemoryInfo, handle)
        if uuid and memory is not None:
            name = _text(self._asked(self._nvml.nvmlDeviceGetName, handle) or "NVIDIA GPU")[:NAME_CHARACTERS_MAX]
            self._handles.append((Gpu(NVIDIA, place, _text(uuid), name, round(memory.total / GIB, 2)), handle))

    def _reading(self, gpu: Gpu, handle: Any) -> dict[str, Any]:
        nvml = self._nvml
        busy = self._asked(nvml.nvmlDeviceGetUtilizationRates, handle)
        memory = self._asked(nvml.nvmlDeviceGetMemoryInfo, handle)
        milliwatts = self._asked(nvml.nvmlDeviceGetPowerUsage, handle)
        facts = {
            "utilisation_percent": None if busy is None else busy.gpu,
            "memory_used_gib": None if memory is None else round(memory.used / GIB, 3),
            "memory_gib": gpu.memory_gib,
            "temperature_c": self._asked(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
            "power_w": None if milliwatts is None else round(milliwatts / 1000, 1),
        }
        return {"device": f"cuda:{gpu.place}", "name": gpu.name, **{k: float(v) for k, v in facts.items() if v is not None}}

    def _asked(self, ask: Callable[..., Any], *about: Any) -> Any:
        """What the driver answers, None when this device cannot say (MIG parts have no power of their own) or is lost."""
        try:
            return ask(*about)
        except self._nvml.NVMLError:
            return None


def _package() -> Any:
    import pynvml

    return pynvml


def _text(said: str | bytes) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said
