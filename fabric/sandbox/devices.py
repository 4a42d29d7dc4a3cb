"""Which device files an execution provider needs inside the sandbox."""

from pathlib import Path

_PATTERNS = {
    "CUDAExecutionProvider": ("nvidia*",),
    "TensorrtExecutionProvider": ("nvidia*",),
    "NvTensorRtRtxExecutionProvider": ("nvidia*",),
    "ROCMExecutionProvider": ("kfd", "dri"),
    "MIGraphXExecutionProvider": ("kfd", "dri"),
    "OpenVINOExecutionProvider": ("dri", "accel"),
    "CANNExecutionProvider": ("davinci*", "devmm_svm", "hisi_hdc"),
    "VitisAIExecutionProvider": ("accel", "dri"),
    "QNNExecutionProvider": ("fastrpc*", "accel", "dri"),
}


def devices_of(execution_provider: str, root: Path = Path("/dev")) -> tuple[Path, ...]:
    """Those that exist here; none for the CPU."""
    found = (path for pattern in _PATTERNS.get(execution_provider, ()) for path in root.glob(pattern))
    return tuple(sorted(set(found)))
