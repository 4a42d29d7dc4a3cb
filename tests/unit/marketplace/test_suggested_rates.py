"""What an owner is advised to ask, and how fast a slot counts."""

import pytest

from fabric.core.money import usd_nanos
from fabric.marketplace import offers


@pytest.mark.parametrize(
    ("accelerator", "device", "threads", "memory_gib", "usd"),
    [
        ("cpu", "AMD EPYC 7B13", 1, 16.0, "0.01"),
        ("cpu", "AMD EPYC 7B13", 8, 64.0, "0.08"),
        ("npu", "Hexagon", 1, 4.0, "0.10"),
        ("cuda", "NVIDIA GeForce RTX 4090", 1, 24.0, "1.43"),
        ("directml", "rtx-4090", 1, 24.0, "1.43"),
        ("cuda", "NVIDIA H100 80GB HBM3", 1, 80.0, "5.30"),
        ("coreml", "Apple M3 Ultra", 1, 96.0, "3.30"),
    ],
)
def test_the_suggested_rate_is_base_and_memory_and_watts(accelerator, device, threads, memory_gib, usd):
    assert offers.suggested_rate_nanos_per_hour(accelerator, device, threads=threads, memory_gib=memory_gib) == usd_nanos(usd)


def test_an_unknown_accelerator_card_still_gets_a_suggestion():
    few = offers.suggested_rate_nanos_per_hour("cuda", "Some card", threads=1, memory_gib=4.0)
    many = offers.suggested_rate_nanos_per_hour("cuda", "Some card", threads=1, memory_gib=16.0)
    assert 0 < few < many


def test_speed_is_measured_against_the_reference_and_stays_within_bounds():
    assert offers.speed(offers.REFERENCE_RUNS_PER_S) == 1.0
    assert offers.speed(offers.REFERENCE_RUNS_PER_S * 3) == pytest.approx(3.0)
    assert (offers.speed(0.0), offers.speed(1e12)) == (offers.SPEED_MIN, offers.SPEED_MAX)
