"""What NVIDIA's and AMD's drivers tell, from recorded machines."""

from types import SimpleNamespace
from typing import Any

import onnxruntime

from provider_join import runtime_probe
from provider_join.accelerators import NVIDIA, Gpu, visible_gpus
from provider_join.amd import Kfd
from provider_join.metrics import Meter, best_temperature
from provider_join.nvidia import Nvml

GIB = 1024**3


class Refusal(Exception):
    pass


class RecordedNvml:
    """NVML as a machine with these devices answered; what a device lacks, it refuses as NVML does."""

    NVMLError = Refusal
    NVML_DEVICE_MIG_ENABLE, NVML_TEMPERATURE_GPU = 1, 0

    def __init__(self, devices: list[dict[str, Any]], no_driver: str = ""):
        self._devices, self._no_driver = devices, no_driver

    def nvmlInit(self) -> None:
        if self._no_driver:
            raise Refusal(self._no_driver)

    def nvmlDeviceGetCount(self) -> int:
        return len(self._devices)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> Any:
        if self._devices[number].get("lost"):
            raise Refusal("GPU is lost")
        return self._devices[number]

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, number: int) -> Any:
        return self.fact(handle, "parts")[number]

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: int) -> Any:
        assert sensor == self.NVML_TEMPERATURE_GPU
        return self.fact(handle, "temperature")

    def fact(self, handle: Any, name: str) -> Any:
        if name not in handle:
            raise Refusal("Not Supported")
        return handle[name]

    def __getattr__(self, function: str) -> Any:
        names = {
            "nvmlDeviceGetName": "name", "nvmlDeviceGetUUID": "uuid", "nvmlDeviceGetMemoryInfo": "memory",
            "nvmlDeviceGetMigMode": "mig", "nvmlDeviceGetMaxMigDeviceCount": "parts_max",
            "nvmlDeviceGetUtilizationRates": "load", "nvmlDeviceGetPowerUsage": "milliwatts",
        }  # fmt: skip
        return lambda handle: self.fact(handle, names[function])


def memory(total: float, used: float) -> Any:
    return SimpleNamespace(total=int(total * GIB), used=int(used * GIB))


RTX = {
    "name": "NVIDIA GeForce RTX 4090", "uuid": "GPU-1", "memory": memory(24, 6), "load": SimpleNamespace(gpu=87),
    "temperature": 71, "milliwatts": 312_400, "mig": [0, 0],
}  # fmt: skip
PARTS = [{"name": f"NVIDIA A100 MIG {n}", "uuid": f"MIG-{n}", "memory": memory(19.5, n)} for n in range(2)]
DIVIDED = {"name": "NVIDIA A100", "uuid": "GPU-2", "memory": memory(40, 1), "mig": [1, 1], "parts_max": 7, "parts": PARTS}


def test_nvidias_devices_tell_their_load_memory_temperature_and_power():
    nvml = Nvml(RecordedNvml([RTX]))
    assert (nvml.gpus, nvml.problem) == ((Gpu(NVIDIA, "0", "GPU-1", "NVIDIA GeForce RTX 4090", 24.0),), "")
    assert nvml.readings() == [
        {
            "device": "cuda:0", "name": "NVIDIA GeForce RTX 4090", "utilisation_percent": 87.0, "memory_used_gib": 6.0,
            "memory_gib": 24.0, "temperature_c": 71.0, "power_w": 312.4,
        }
    ]  # fmt: skip


def test_a_device_that_is_lost_or_tells_little_hides_no_other():
    bare = {"name": b"Tesla K80", "uuid": b"GPU-9", "memory": memory(11, 0)}
    nvml = Nvml(RecordedNvml([{"lost": True}, bare]))
    assert nvml.gpus == (Gpu(NVIDIA, "1", "GPU-9", "Tesla K80", 11.0),)
    assert nvml.readings() == [{"device": "cuda:1", "name": "Tesla K80", "memory_used_gib": 0.0, "memory_gib": 11.0}]


def test_a_divided_device_is_its_parts():
    class Divided(RecordedNvml):
        def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, number: int) -> Any:
            if number >= len(PARTS):
                raise Refusal("Not Found")  # it could be divided further
            return PARTS[number]

    nvml = Nvml(Divided([DIVIDED, RTX]))
    assert [(gpu.place, gpu.device_id) for gpu in nvml.gpus] == [("0:0", "MIG-0"), ("0:1", "MIG-1"), ("1", "GPU-1")]


def test_without_a_driver_there_is_a_sentence_and_no_device():
    nvml = Nvml(RecordedNvml([], no_driver="Driver Not Loaded"))
    assert (nvml.gpus, nvml.readings()) == ((), [])
    assert nvml.problem == "NVIDIA's driver does not answer: Driver Not Loaded"
    assert isinstance(Nvml().gpus, tuple)  # whatever this machine has


def test_the_environment_hides_nvidias_devices_as_cuda_would():
    gpus = tuple(Gpu(NVIDIA, str(n), f"GPU-{n}a", "RTX", 8.0) for n in range(3))
    seen = {said: [gpu.place for gpu in visible_gpus(gpus, said)] for said in (None, "", "2,0", "GPU-1", "1,-1,2", "GPU-", "x")}
    assert seen == {None: ["0", "1", "2"], "": [], "2,0": ["2", "0"], "GPU-1": ["1"], "1,-1,2": ["1"], "GPU-": [], "x": []}


def test_amds_devices_are_read_from_what_linux_shows(tmp_path):
    nodes, cards = tmp_path / "nodes", tmp_path / "drm"
    for number, simd, minor in ((0, 0, 0), (1, 192, 128)):
        bank = nodes / str(number) / "mem_banks" / "0"
        bank.mkdir(parents=True)
        (nodes / str(number) / "properties").write_text(f"simd_count {simd}\ndrm_render_minor {minor}\nvendor_id 4098\n")
        (nodes / str(number) / "name").write_text("gfx1100\n")
        (bank / "properties").write_text(f"heap_type 1\nsize_in_bytes {48 * GIB}\n")
    sensors = cards / "renderD128" / "device" / "hwmon" / "hwmon3"
    sensors.mkdir(parents=True)
    (sensors / "temp1_input").write_text("54000\n")
    (sensors / "power1_average").write_text("88000000\n")
    (sensors.parents[1] / "gpu_busy_percent").write_text("12\n")
    kfd = Kfd(nodes, cards)
    assert [(gpu.place, gpu.name, gpu.memory_gib) for gpu in kfd.gpus] == [("0", "AMD gfx1100", 48.0)]
    assert kfd.readings() == [
        {
            "device": "rocm:0", "name": "AMD gfx1100", "utilisation_percent": 12.0, "memory_gib": 48.0, "temperature_c": 54.0,
            "power_w": 88.0,
        }
    ]  # fmt: skip
    assert Kfd(tmp_path / "none", cards).gpus == ()


def test_the_processors_temperature_is_the_hottest_of_its_best_sensor():
    assert best_temperature({"acpitz": [30.0], "k10temp": [61.04, 58.0], "nvme": [80.0]}) == 61.0
    assert best_temperature({"k10temp": [-5.0, 255.0], "acpitz": [41.0]}) == 41.0
    assert best_temperature({"nvme": [80.0]}) is None


def test_a_heartbeat_tells_of_the_processor_at_least():
    first, *others = Meter("AMD EPYC", []).read()
    assert others == []  # whatever accelerators there are, none is lent
    assert (first["device"], first["name"]) == ("cpu", "AMD EPYC")
    assert 0 < first["memory_used_gib"] < first["memory_gib"]


def test_the_installed_runtime_is_asked_what_it_takes():
    opset, ir_version = runtime_probe.limits(onnxruntime)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    model = runtime_probe.smallest_model(opset, ir_version)
    assert onnxruntime.InferenceSession(model, options).get_inputs()[0].type == "tensor(float)"
    assert ["CPUExecutionProvider", "CPU"] in [row[:2] for row in runtime_probe.devices(onnxruntime)]


def test_devices_of_the_runtime_are_told_by_the_number_that_it_wants_back():
    def entry(name: str, kind: str, options: dict[str, str], **metadata: str) -> Any:
        hardware = SimpleNamespace(type=SimpleNamespace(name=kind), metadata=metadata, vendor="AMD")
        return SimpleNamespace(ep_name=name, ep_vendor="Microsoft", ep_options=options, ep_metadata={}, device=hardware)

    listed = [
        entry("DmlExecutionProvider", "GPU", {"device_id": "1"}, DxgiAdapterNumber="1", Description="AMD Radeon 780M"),
        entry("QNNExecutionProvider", "NPU", {}),
    ]
    state = SimpleNamespace(get_available_openvino_device_ids=lambda: ["CPU", "GPU.0", "NPU"])
    library = SimpleNamespace(get_ep_devices=lambda: listed, capi=SimpleNamespace(_pybind_state=state))
    assert runtime_probe.devices(library) == [
        ["DmlExecutionProvider", "GPU", "1", "AMD Radeon 780M"],
        ["QNNExecutionProvider", "NPU", "", "AMD NPU"],
        ["OpenVINOExecutionProvider", "CPU", "CPU", "OpenVINO CPU"],
        ["OpenVINOExecutionProvider", "GPU", "GPU.0", "OpenVINO GPU.0"],
        ["OpenVINOExecutionProvider", "NPU", "NPU", "OpenVINO NPU"],
    ]
