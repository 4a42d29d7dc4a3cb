from dataclasses import replace

import pytest

from provider_join.accelerators import AMD, NVIDIA, Gpu, RuntimeDevice, Wishes
from provider_join.config import Stop, read_options
from provider_join.hardware import Hardware, detect_hardware, plan_slots, problem_of

CPU_ONLY = ["AzureExecutionProvider", "CPUExecutionProvider"]
WITH_CUDA = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
MACHINE = Hardware("AMD EPYC", 8, 32.0)
FIRST, SECOND = Gpu(NVIDIA, "0", "GPU-aaaa", "RTX 4090", 24.0), Gpu(NVIDIA, "1", "GPU-bbbb", "RTX 3060", 12.0)
GPU_MACHINE = replace(MACHINE, gpus=(FIRST, SECOND))


def slots_of(machine, installed, listed=(), **wishes):
    return plan_slots(machine, installed, listed, Wishes(**wishes))


def test_a_machine_without_accelerator_lends_its_cores():
    slots = slots_of(MACHINE, CPU_ONLY)
    assert [slot.slot for slot in slots] == list(range(8))
    assert {(slot.accelerator, slot.resource, slot.threads) for slot in slots} == {("cpu", "fabric_cpu", 1)}
    assert sum(slot.memory_gib for slot in slots) < MACHINE.memory_gib


def test_little_memory_means_few_slots_with_more_threads():
    assert [slot.threads for slot in slots_of(Hardware("ARM", 8, 5.0), CPU_ONLY)] == [4, 4]


def test_every_device_is_a_slot_and_is_told_by_what_its_driver_calls_it():
    slots = slots_of(GPU_MACHINE, WITH_CUDA)
    assert [(slot.slot, slot.key, slot.device_id, slot.memory_gib) for slot in slots] == [
        (0, "cuda:0", "GPU-aaaa", 24.0),
        (1, "cuda:1", "GPU-bbbb", 12.0),
    ]
    assert {(slot.accelerator, slot.execution_provider) for slot in slots} == {("cuda", "CUDAExecutionProvider")}
    assert [slot.key for slot in slots_of(GPU_MACHINE, WITH_CUDA, slots=2)] == ["cuda:0", "cuda:1", "cpu", "cpu"]


def test_the_owner_leaves_devices_out():
    assert [slot.key for slot in slots_of(GPU_MACHINE, WITH_CUDA, without=("cuda:0",))] == ["cuda:1"]
    assert {slot.key for slot in slots_of(GPU_MACHINE, WITH_CUDA, without=("cuda",))} == {"cpu"}
    assert [slot.key for slot in slots_of(GPU_MACHINE, WITH_CUDA, slots=2, without=("cuda:1", "cpu"))] == ["cuda:0"]
    assert slots_of(MACHINE, CPU_ONLY, without=("cpu",)) == []


def test_tensorrt_drives_a_device_only_where_the_owner_prefers_it():
    slots = slots_of(GPU_MACHINE, WITH_CUDA, prefer=("tensorrt",))
    assert [(slot.key, slot.execution_provider) for slot in slots] == [
        ("cuda:0", "TensorrtExecutionProvider"),
        ("cuda:1", "TensorrtExecutionProvider"),
    ]


def test_parts_of_a_divided_device_are_lent_one_by_one_or_left_out_together():
    parts = tuple(Gpu(NVIDIA, f"0:{n}", f"MIG-{n}", "A100 MIG 3g.20gb", 19.6) for n in range(2))
    machine = replace(MACHINE, gpus=(*parts, SECOND))
    assert [slot.key for slot in slots_of(machine, WITH_CUDA)] == ["cuda:0:0", "cuda:0:1", "cuda:1"]
    assert [slot.key for slot in slots_of(machine, WITH_CUDA, without=("cuda:0",))] == ["cuda:1"]
    assert [slot.key for slot in slots_of(machine, WITH_CUDA, without=("cuda:0:1",))] == ["cuda:0:0", "cuda:1"]


def test_a_cuda_runtime_without_a_device_lends_the_processor_and_says_why():
    dark = replace(MACHINE, nvidia_problem="NVIDIA's driver does not answer: Driver Not Loaded")
    assert {slot.accelerator for slot in slots_of(dark, WITH_CUDA)} == {"cpu"}
    assert "installed for cuda" in problem_of(dark, WITH_CUDA)
    assert "Driver Not Loaded" in problem_of(dark, WITH_CUDA)
    assert problem_of(dark, CPU_ONLY) == problem_of(GPU_MACHINE, WITH_CUDA) == ""


def test_amds_devices_are_lent_by_migraphx():
    machine = replace(MACHINE, gpus=(Gpu(AMD, "0", "0", "Radeon PRO W7900", 48.0),))
    (slot,) = slots_of(machine, ["MIGraphXExecutionProvider", "CPUExecutionProvider"])
    assert (slot.accelerator, slot.resource, slot.device_id) == ("rocm", "fabric_rocm", "0")


def test_an_npu_is_told_from_a_gpu_by_what_the_runtime_says_of_it():
    listed = [
        RuntimeDevice("CPUExecutionProvider", "CPU", "", "Intel CPU"),
        RuntimeDevice("OpenVINOExecutionProvider", "CPU", "CPU", "Intel CPU"),
        RuntimeDevice("OpenVINOExecutionProvider", "GPU", "GPU.0", "Intel Arc"),
        RuntimeDevice("OpenVINOExecutionProvider", "NPU", "NPU", "Intel AI Boost"),
    ]
    slots = slots_of(MACHINE, ["OpenVINOExecutionProvider", "CPUExecutionProvider"], listed)
    assert [(s.key, s.device_id, s.device) for s in slots] == [
        ("openvino:0", "GPU.0", "Intel Arc"),
        ("npu:0", "NPU", "Intel AI Boost"),
    ]
    assert sum(slot.memory_gib for slot in slots) < MACHINE.memory_gib


def test_adapters_of_a_windows_machine_are_slots_of_their_own():
    listed = [RuntimeDevice("DmlExecutionProvider", "GPU", str(n), name) for n, name in enumerate(("Radeon 780M", "RTX 4070"))]
    slots = slots_of(MACHINE, ["DmlExecutionProvider", "CPUExecutionProvider"], listed)
    assert [(s.key, s.device_id) for s in slots] == [("directml:0", "0"), ("directml:1", "1")]


def test_a_runtime_that_lists_no_devices_lends_its_default_one():
    for name, kind in (
        ("DmlExecutionProvider", "directml"),
        ("QNNExecutionProvider", "npu"),
        ("CoreMLExecutionProvider", "coreml"),
    ):
        (slot,) = slots_of(MACHINE, [name, "CPUExecutionProvider"])
        assert (slot.accelerator, slot.device_id, slot.key) == (kind, "", f"{kind}:0")


def test_the_owner_chooses_slots_and_threads():
    assert [slot.threads for slot in slots_of(MACHINE, CPU_ONLY, slots=1, threads=3)] == [3]
    assert [slot.threads for slot in slots_of(MACHINE, CPU_ONLY, slots=2)] == [4, 4]
    assert len(slots_of(MACHINE, CPU_ONLY, threads=4)) == 2
    assert slots_of(MACHINE, CPU_ONLY, slots=0) == []


def test_the_command_line_names_devices_and_execution_providers():
    options = read_options(["--url", "http://h:1", "--without", "CPU, cuda:1,cuda:0:3", "--prefer", "tensorrt"])
    assert options.wishes == Wishes(None, None, ("cpu", "cuda:1", "cuda:0:3"), ("tensorrt",))
    for wrong in (["--without", "gpu"], ["--without", "cuda:l"], ["--prefer", "cpu"]):
        with pytest.raises(Stop, match="none of those"):
            read_options(["--url", "http://h:1", *wrong])


def test_this_machine_is_found():
    found = detect_hardware()
    assert found.cpu_cores >= 1
    assert found.memory_gib > 0
    assert found.cpu
