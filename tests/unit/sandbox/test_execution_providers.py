"""How ONNX Runtime is told which device to use, for each execution provider."""

import pytest

from fabric.sandbox.devices import USES, Device, devices_of, environment_of, providers_of
from fabric.sandbox.sessions import is_memory_error


def test_a_process_sees_one_of_nvidias_devices_or_a_part_of_one_as_its_first():
    part = Device("MIG-7f", 20 * 2**30)
    assert environment_of("CUDAExecutionProvider", part) == {"CUDA_VISIBLE_DEVICES": "MIG-7f"}
    (cuda, options), cpu = providers_of("CUDAExecutionProvider", part)
    assert (cuda, cpu) == ("CUDAExecutionProvider", ("CPUExecutionProvider", {}))
    assert (options["device_id"], options["gpu_mem_limit"], options["use_tf32"]) == ("0", str(20 * 2**30), "0")


def test_what_tensorrt_cannot_do_is_done_by_cuda_on_the_same_device():
    names = [name for name, _ in providers_of("TensorrtExecutionProvider", Device("GPU-1"))]
    assert names == ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    assert environment_of("TensorrtExecutionProvider", Device("GPU-1")) == {"CUDA_VISIBLE_DEVICES": "GPU-1"}


@pytest.mark.parametrize(
    ("name", "device_id", "options"),
    [
        ("DmlExecutionProvider", "1", {"device_id": "1"}),
        ("DmlExecutionProvider", "", {"device_id": "0"}),
        ("OpenVINOExecutionProvider", "NPU", {"device_type": "NPU"}),
        ("OpenVINOExecutionProvider", "", {"device_type": "GPU"}),
        ("QNNExecutionProvider", "", {"backend_type": "htp"}),
        ("CoreMLExecutionProvider", "", {"ModelFormat": "MLProgram"}),
        ("MIGraphXExecutionProvider", "1", {"device_id": "0"}),
        ("NeverHeardOfExecutionProvider", "1", {}),
    ],
)
def test_other_devices_are_named_by_options(name, device_id, options):
    assert providers_of(name, Device(device_id))[0] == (name, options)


def test_without_a_device_the_environment_says_nothing(tmp_path):
    assert not any(environment_of(name, Device()) for name in USES)
    assert environment_of("MIGraphXExecutionProvider", Device("1")) == {"HIP_VISIBLE_DEVICES": "1"}
    (tmp_path / "dxg").touch()
    assert [path.name for path in devices_of("CUDAExecutionProvider", tmp_path)] == ["dxg"]  # all that WSL2 has
    assert not USES["DmlExecutionProvider"].patterns


@pytest.mark.parametrize(
    "said",
    [
        "std::bad_alloc",
        "BFCArena::AllocateRawInternal Available memory of 1024 is smaller than requested bytes of 4294967296",
        "Failed to allocate memory for requested buffer of size 4294967296",
        "CUDA failure 2: out of memory ; GPU=0",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_every_way_of_saying_that_memory_is_short_is_known(said):
    assert is_memory_error(RuntimeError(said))
    assert not is_memory_error(RuntimeError("Got invalid dimensions for input: x"))
