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
from collections.abc import Callable
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


def measure_what_runs(
    plan: Callable[[tuple[str, ...]], list[Slot]], say: Callable[[str], None], seconds: float = MEASURE_S
) -> tuple[list[Slot], list[float]]:
    """The slots that can be lent, with runs per second of the standard model on each while all of them are busy.

    An accelerator that cannot run it (a driver too old for the library, say) is told of and left out, and what is left is planned
    again.

    Args:
        plan: The slots that are left when these devices are not lent, by the owner's words for them.
        say: Tells the owner.
        seconds: How long to measure.

    Raises:
        Stop: not even the processor can run it.
    """
    broken: tuple[str, ...] = ()
    while True:
        slots = plan(broken)
        found = _try_all(slots, seconds)
        lost = {slot.key: outcome for slot, outcome in zip(slots, found, strict=True) if isinstance(outcome, Stop)}
        if not lost:
            return slots, [rate for rate in found if isinstance(rate, float)]
        if "cpu" in lost:
            raise lost["cpu"]
        for key, why in lost.items():
            say(f"{key} is left out. {why}")
        broken += tuple(lost)


def measure_slots(slots: list[Slot], seconds: float = MEASURE_S) -> list[float]:
    """Runs per second of the standard model on each slot, all slots busy; takes about `seconds`.

    Raises:
        Stop: a slot's execution provider cannot run it.
    """
    found = _try_all(slots, seconds)
    for outcome in found:
        if isinstance(outcome, Stop):
            raise outcome
    return [rate for rate in found if isinstance(rate, float)]


def _try_all(slots: list[Slot], seconds: float) -> list[float | Stop]:
    # A process sees one accelerator only, as a model's process does later; processors' slots are measured together in one.
    groups: dict[str, list[int]] = {}
    for number, slot in enumerate(slots):
        groups.setdefault(slot.key, []).append(number)

    def outcomes_of(numbers: list[int]) -> list[float | Stop]:
        try:
            return [*_measured([slots[number] for number in numbers], seconds)]
        except Stop as stop:
            return [stop] * len(numbers)

    found: dict[int, float | Stop] = {}
    with ThreadPoolExecutor(max(1, len(groups))) as children:
        for numbers, outcomes in zip(groups.values(), children.map(outcomes_of, groups.values()), strict=True):
            found.update(zip(numbers, outcomes, strict=True))
    return [found[number] for number in range(len(slots))]


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
