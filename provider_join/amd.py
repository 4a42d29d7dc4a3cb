"""AMD's devices, from what Linux's driver for them (KFD) shows as files: what there is, and how each does now."""

from pathlib import Path
from typing import Any

from provider_join.accelerators import AMD, Gpu

GIB = 1024**3
DEVICES_MAX = 64
NODES = Path("/sys/class/kfd/kfd/topology/nodes")
CARDS = Path("/sys/class/drm")


class Kfd:
    """The devices that ROCm would drive, numbered as it numbers them. None on machines without that driver."""

    def __init__(self, nodes: Path = NODES, cards: Path = CARDS) -> None:
        """Look once; `readings` reads afresh."""
        self._found: list[tuple[Gpu, Path]] = []
        for node in sorted((path for path in nodes.glob("*") if path.name.isdecimal()), key=lambda path: int(path.name)):
            properties = _properties(node / "properties")
            if properties.get("simd_count", 0) > 0 and len(self._found) < DEVICES_MAX:  # a processor has none
                card = cards / f"renderD{properties.get('drm_render_minor', 0)}" / "device"
                banks = [_properties(bank) for bank in sorted((node / "mem_banks").glob("*/properties"))]
                memory = max((bank.get("size_in_bytes", 0) for bank in banks), default=0)
                name = _text(card / "product_name") or f"AMD {_text(node / 'name') or 'GPU'}"
                number = str(len(self._found))
                self._found.append((Gpu(AMD, number, number, name[:200], round(max(memory, GIB) / GIB, 2)), card))

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The devices that can be lent."""
        return tuple(gpu for gpu, _ in self._found)

    def readings(self) -> list[dict[str, Any]]:
        """How each device does now; what a device does not tell is left out."""
        return [self._reading(gpu, card) for gpu, card in self._found]

    def _reading(self, gpu: Gpu, card: Path) -> dict[str, Any]:
        sensors = next(iter(sorted((card / "hwmon").glob("hwmon*"))), card)
        watts = _number(sensors / "power1_average", 1e6)
        facts = {
            "utilisation_percent": _number(card / "gpu_busy_percent"),
            "memory_used_gib": _number(card / "mem_info_vram_used", GIB),
            "memory_gib": gpu.memory_gib,
            "temperature_c": _number(sensors / "temp1_input", 1000),
            "power_w": _number(sensors / "power1_input", 1e6) if watts is None else watts,
        }
        return {"device": f"rocm:{gpu.place}", "name": gpu.name, **{k: v for k, v in facts.items() if v is not None}}


def _properties(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _number(path: Path, divisor: float = 1) -> float | None:
    try:
        return round(int(path.read_text()) / divisor, 3)
    except (OSError, ValueError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
