"""What an owner is advised to ask, and how fast a slot counts."""

import pytest

from fabric.core.errors import Invalid
from fabric.core.money import usd_nanos
from fabric.marketplace import offers
from fabric.marketplace.device_table import DEFAULT_TABLE, Device, DeviceTable, Suggestions


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
    assert DEFAULT_TABLE.base_nanos_per_hour(accelerator, device, threads=threads, memory_gib=memory_gib) == usd_nanos(usd)


def test_an_unknown_accelerator_card_still_gets_a_suggestion():
    few = DEFAULT_TABLE.base_nanos_per_hour("cuda", "Some card", threads=1, memory_gib=4.0)
    many = DEFAULT_TABLE.base_nanos_per_hour("cuda", "Some card", threads=1, memory_gib=16.0)
    assert 0 < few < many


def test_speed_is_measured_against_the_reference_and_stays_within_bounds():
    assert offers.speed(offers.REFERENCE_RUNS_PER_S) == 1.0
    assert offers.speed(offers.REFERENCE_RUNS_PER_S * 3) == pytest.approx(3.0)
    assert (offers.speed(0.0), offers.speed(1e12)) == (offers.SPEED_MIN, offers.SPEED_MAX)


def test_the_longest_name_in_the_table_is_a_devices_class():
    super_card = Device("rtx 4080 super", 450_000_000, 320)
    table = DeviceTable.of(
        {**DEFAULT_TABLE.as_json(), "devices": [*DEFAULT_TABLE.as_json()["devices"], a_device(super_card.match)]}
    )
    assert table.class_of("cuda", "NVIDIA GeForce RTX 4080 SUPER") == super_card.match
    assert table.class_of("cuda", "NVIDIA GeForce RTX 4080") == "rtx 4080"
    assert [table.class_of(kind, "whatever") for kind in ("cpu", "npu", "cuda")] == ["cpu", "npu", "other"]


def test_demand_multiplies_the_whole_of_a_suggestion_in_its_own_class_only():
    raised = Suggestions(DEFAULT_TABLE, {"rtx 4090": 1.5})
    assert raised.rate_nanos_per_hour("cuda", "RTX 4090", threads=1, memory_gib=24.0) == usd_nanos("2.145")
    assert raised.rate_nanos_per_hour("cpu", "EPYC", threads=2, memory_gib=8.0) == usd_nanos("0.02")


def a_device(match="tpu", usd="1", watts=100):
    return {"match": match, "usd_per_hour": usd, "watts": watts}


def test_a_table_survives_its_public_form():
    assert DeviceTable.of(DEFAULT_TABLE.as_json()) == DEFAULT_TABLE


@pytest.mark.parametrize(
    "devices",
    [
        [a_device(match="")], [a_device(match="x" * 61)], [a_device(), a_device("TPU ")], [a_device("other")], [a_device(usd="-1")],
        [a_device(usd="1001")], [a_device(usd="NaN")], [a_device(watts=-1)], [a_device(f"card {n}") for n in range(201)],
    ],
)  # fmt: skip
def test_a_table_that_makes_no_sense_is_refused(devices):
    with pytest.raises(Invalid):
        DeviceTable.of({**DEFAULT_TABLE.as_json(), "devices": devices})
