from dataclasses import replace

import pytest

from fabric.core.errors import Invalid
from fabric.core.ids import ProviderId
from fabric.providers.capabilities import (
    Capabilities,
    SlotReport,
    check_capabilities,
    granted_labels,
    granted_resources,
    label_value,
)
from fabric.providers.presence import desired_state

CPU = SlotReport(0, "fabric_cpu", "cpu", "AMD EPYC", "CPUExecutionProvider", 1, 4.0, 900.0)
CUDA = SlotReport(0, "fabric_cuda", "cuda", "NVIDIA GeForce RTX 4090", "CUDAExecutionProvider", 1, 24.0, 9000.0)


def a_report(*slots: SlotReport) -> Capabilities:
    numbered = tuple(replace(slot, slot=number) for number, slot in enumerate(slots or (CPU,)))
    return Capabilities("AMD EPYC", 2, 16.0, "1.23.0", ("CUDAExecutionProvider", "CPUExecutionProvider"), numbered)


def test_an_honest_report_is_accepted():
    check_capabilities(a_report(CUDA, CPU, CPU))


@pytest.mark.parametrize(
    "slot",
    [
        replace(CPU, resource="fabric_cuda"),
        replace(CPU, accelerator="abacus"),
        replace(CPU, execution_provider="CUDAExecutionProvider"),
        replace(CPU, execution_provider="DmlExecutionProvider"),
        replace(CPU, threads=0),
        replace(CPU, memory_gib=float("nan")),
        replace(CPU, memory_gib=-1.0),
        replace(CPU, benchmark_runs_per_s=float("inf")),
        replace(CPU, benchmark_runs_per_s=0.0),
        replace(CPU, device=""),
        replace(CPU, device_id="0\nLD_PRELOAD=x"),
        replace(CPU, device_key="cuda 1"),
    ],
)
def test_a_slot_that_cannot_be_true_is_refused(slot):
    with pytest.raises(Invalid):
        check_capabilities(a_report(slot))


def test_a_slot_whose_execution_provider_is_not_installed_is_refused():
    with pytest.raises(Invalid, match="not installed"):
        check_capabilities(replace(a_report(CUDA), execution_providers=("CPUExecutionProvider",)))


def test_an_isolation_that_does_not_exist_is_refused():
    check_capabilities(replace(a_report(), isolation="sandbox"))
    with pytest.raises(Invalid, match="isolation"):
        check_capabilities(replace(a_report(), isolation="perfect"))


@pytest.mark.parametrize("change", [{"opset_max": 0}, {"ir_version_max": 10**9}])
def test_a_runtime_that_cannot_be_is_refused(change):
    with pytest.raises(Invalid, match="between 1 and"):
        check_capabilities(replace(a_report(), **change))


def test_no_slots_too_many_slots_and_misnumbered_slots_are_refused():
    for slots in ((), (CPU,) * 65):
        with pytest.raises(Invalid):
            check_capabilities(replace(a_report(), slots=tuple(replace(s, slot=n) for n, s in enumerate(slots))))
    with pytest.raises(Invalid, match="numbered"):
        check_capabilities(replace(a_report(), slots=(CPU, CPU)))


def test_labels_are_made_by_us_and_fit_rays_grammar():
    from ray._private.label_utils import validate_label_key, validate_label_value

    provider_id = ProviderId.new()
    labels = granted_labels(provider_id, a_report(CPU, replace(CUDA, device="GPU (é) " + "x" * 100)), "eu/west; rm")
    for key, value in labels.items():
        assert validate_label_key(key) is None
        validate_label_value(value)
    assert labels["fabric.role"] == "provider"
    assert labels["fabric.provider-id"] == str(provider_id)
    assert labels["fabric.accelerator"] == "cuda"


def test_a_label_never_comes_out_empty():
    assert label_value("é é") == "unknown"
    assert label_value("-_x_-") == "x"


def test_resources_count_the_slots_of_each_kind():
    assert granted_resources(a_report(CUDA, CPU, CPU)) == {"fabric_cuda": 1, "fabric_cpu": 2}


@pytest.mark.parametrize(
    ("status", "orders", "desired"),
    [
        ("online", 3, "run"), ("enrolled", 0, "run"), ("paused", 2, "pause"),
        ("draining", 1, "drain"), ("draining", 0, "leave"),
    ],
)  # fmt: skip
def test_a_machine_is_told_what_to_become(status, orders, desired):
    assert desired_state(status, orders) == desired
