from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import provider_join
from provider_join.benchmark import STANDARD_MODEL, detect_runtime, measure_slots
from provider_join.config import Stop
from provider_join.hardware import Slot
from provider_join.make_model import standard_model


def test_the_shipped_model_is_what_its_script_makes():
    assert STANDARD_MODEL.read_bytes() == standard_model()
    assert STANDARD_MODEL.parent == Path(provider_join.__file__).parent


def test_the_standard_model_answers_differently_to_different_inputs():
    session = onnxruntime.InferenceSession(str(STANDARD_MODEL), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    first, second = (session.run(None, {"image": rng.random((1, 3, 64, 64), dtype=np.float32)})[0] for _ in range(2))
    assert not np.allclose(first, second)


def test_slots_are_measured_in_a_child_process():
    slots = [Slot(number, "cpu", "CPU", "CPUExecutionProvider", 1, 1.0) for number in range(2)]
    speeds = measure_slots(slots, seconds=0.05)
    assert len(speeds) == 2
    assert all(speed > 0 for speed in speeds)
    assert "CPUExecutionProvider" in detect_runtime().execution_providers


def test_a_slot_that_silently_falls_back_to_the_cpu_is_no_slot():
    with pytest.raises(Stop, match="CUDAExecutionProvider"):
        measure_slots([Slot(0, "cuda", "GPU", "CUDAExecutionProvider", 1, 1.0)], seconds=0.05)
