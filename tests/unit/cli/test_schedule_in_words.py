"""What `fabric providers show` says of when a machine lends."""

from fabric.cli.providers import cap_words, schedule_words

COUNTS = {"hours": "22-7", "idle_only": True, "idle_minutes": 5.0, "time_zone": "Europe/Berlin", "is_open": False}
WANTED = {"hours": None, "idle_only": False, "idle_minutes": 5.0, "refused": None}


def test_what_counts_and_what_waits_are_told_apart():
    assert schedule_words({}) is None
    lends = "22-7, after 5 quiet minutes only, Europe/Berlin time, closed now"
    assert schedule_words({"schedule": COUNTS, "schedule_wanted": None}) == lends
    waits = {"schedule": COUNTS, "schedule_wanted": WANTED}
    assert schedule_words(waits) == f"{lends}\nalways waits for the machine to take it"
    refused = {"schedule": None, "schedule_wanted": {**WANTED, "refused": "its disk is full"}}
    assert schedule_words(refused) == "cannot keep always: its disk is full"


def test_caps_that_there_are_are_told():
    caps = {
        "max_power_w": 150.0,
        "max_temperature_c": None,
        "max_memory_gib": 8.0,
        "max_bandwidth_mbit": None,
        "max_disk_gib": None,
    }
    assert cap_words(caps) == "150 W, 8 GiB of memory"
    assert cap_words(dict.fromkeys(caps)) is None
    assert cap_words(None) is None
