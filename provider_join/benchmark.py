"""Measures the slots of this machine with the standard small model, in a child process.

All slots run at once, as they will when the machine is busy. The child also says which ONNX Runtime is installed, so that the
agent itself never loads it.
"""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provider_join import runtime_probe
from provider_join.accelerators import RuntimeDevice, session_options
from provider_join.config import Stop
from provider_join.hardware import Slot

STANDARD_MODEL = Path(__file__).parent / "standard.onnx"
MEASURE_S = 1.0
WINDOWS = 25  # the best one counts: whatever else the machine does while it starts is no property of it
WARM_UP_RUNS = 3
CHILD_TIMEOUT_S = 120.0
DEVICES_MAX = 64
NO_RUNTIME = (
    "ONNX Runtime cannot be loaded here{why}. Install this machine's flavour: onnx-fabric[provider], [provider-cuda] or "
    "[provider-directml]."
)


@dataclass(frozen=True, slots=True)
class Runtime:
    """The installed ONNX Runtime."""

    version: str
    execution_providers: list[str]
    opset_max: int  # the highest that it takes, tried out
    ir_version_max: int
    devices: tuple[RuntimeDevice, ...] = ()  # as it lists them itself, processors too


def detect_runtime() -> Runtime:
    """What the installed ONNX Runtime can drive.

    Raises:
        Stop: none is installed, or it cannot be loaded.
    """
    answer = _child({"act": "detect"})
    devices = tuple(RuntimeDevice(*device) for device in answer["devices"][:DEVICES_MAX])
    return Runtime(answer["version"], answer["execution_providers"], answer["opset_max"], answer["ir_version_max"], devices)


def measure_slots(slots: list[Slot], seconds: float = MEASURE_S) -> list[float]:
    """Runs per second of the standard model on each slot, all slots busy; takes about `seconds`.

    Raises:
        Stop: a slot's execution provider cannot run it.
    """
    # A process sees one accelerator only, as a model's process does later; processors' slots are measured together in one.
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, slot in enumerate(slots):
        environment, _ = session_options(slot.execution_provider, slot.device_id)
        groups.setdefault(tuple(environment.values()), []).append(number)
    rates: dict[int, float] = {}
    with ThreadPoolExecutor(max(1, len(groups))) as children:
        measured = children.map(lambda numbers: _measured([slots[number] for number in numbers], seconds), groups.values())
        for numbers, found in zip(groups.values(), measured, strict=True):
            rates.update(zip(numbers, found, strict=True))
    return [rates[number] for number in range(len(slots))]


def _measured(slots: list[Slot], seconds: float) -> list[float]:
    options = [session_options(slot.execution_provider, slot.device_id) for slot in slots]
    plan = [
        {"execution_provider": slot.execution_provider, "threads": slot.threads, "options": given}
        for slot, (_, given) in zip(slots, options, strict=True)
    ]
    answer = _child({"act": "measure", "slots": plan, "seconds": seconds}, options[0][0])
    return [float(rate) for rate in answer["runs_per_s"]]


def _child(order: dict[str, Any], environment: dict[str, str] | None = None) -> dict[str, Any]:
    command = [sys.executable, "-m", "provider_join.benchmark"]
    try:
        child = subprocess.run(
            command, input=json.dumps(order), capture_output=True, text=True, timeout=CHILD_TIMEOUT_S, check=False,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Stop(f"Measuring this machine took longer than {CHILD_TIMEOUT_S:.0f} s; is it busy?") from None
    if child.returncode != 0:
        why = child.stderr.strip().splitlines()[-1:]
        if order["act"] == "detect":
            raise Stop(NO_RUNTIME.format(why=f" ({why[0]})" if why else ""))
        raise Stop(f"The standard model does not run here: {why[0] if why else 'the child died'}")
    answer: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return answer


def _measure(slots: list[dict[str, Any]], seconds: float) -> list[float]:
    import numpy as np
    import onnxruntime

    item = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)

    def session(slot: dict[str, Any]) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = slot["threads"]
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        name = slot["execution_provider"]
        if name == "DmlExecutionProvider":
            options.enable_mem_pattern = False  # DirectML takes no other
        if "CUDA" in name or "ensor" in name:
            onnxruntime.preload_dlls()  # CUDA's libraries may have come as packages, where no linker looks
        made = onnxruntime.InferenceSession(str(STANDARD_MODEL), options, providers=[(name, slot["options"])])
        if name not in made.get_providers():
            raise RuntimeError(f"{name} fell back to {made.get_providers()}")
        for _ in range(WARM_UP_RUNS):
            made.run(None, {"image": item})
        return made

    sessions = [session(slot) for slot in slots]
    rates = [0.0] * len(sessions)
    start = threading.Barrier(len(sessions))

    def run(number: int) -> None:
        start.wait()
        for _ in range(WINDOWS):
            began = time.perf_counter()
            runs = 0
            while (elapsed := time.perf_counter() - began) < seconds / WINDOWS:
                sessions[number].run(None, {"image": item})
                runs += 1
            rates[number] = max(rates[number], runs / elapsed)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(sessions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return rates


def _main() -> None:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # else it leaves a file in the temp folder
    order = json.load(sys.stdin)
    if order["act"] == "detect":
        opset, ir_version = runtime_probe.limits(onnxruntime)
        answer = {
            "version": onnxruntime.__version__, "execution_providers": onnxruntime.get_available_providers(),
            "opset_max": opset, "ir_version_max": ir_version, "devices": runtime_probe.devices(onnxruntime),
        }  # fmt: skip
    else:
        answer = {"runs_per_s": _measure(order["slots"], order["seconds"])}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    _main()
