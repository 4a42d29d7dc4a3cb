from dataclasses import replace
from pathlib import Path

import pytest

from provider_join import hardware
from provider_join.accelerators import Wishes
from provider_join.config import Home, Stop, read_options
from provider_join.hardware import Hardware, plan_slots
from provider_join.join import check_memory, keep, lendable
from provider_join.limits import Limits, kept_limits, rules_of_house
from provider_join.restraint import Restraint

URL = ("--url", "http://127.0.0.1:1")
MACHINE = Hardware("CPU", 8, 32.0, ())
CPU = ["CPUExecutionProvider"]


def said(*words: str) -> dict:
    return read_options([*URL, *words]).limits


def test_what_is_not_said_is_not_a_limit():
    assert said() == {}
    assert said("--hours", "22-7", "--max-power-w", "150", "--idle-only") == {
        "hours": "22-7",
        "max_power_w": 150.0,
        "idle_only": True,
    }
    assert said("--hours", "always", "--max-power-w", "none", "--no-idle-only") == {
        "hours": None, "max_power_w": None, "idle_only": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "words", [("--hours", "noon"), ("--max-power-w", "-1"), ("--max-disk-gib", "much"), ("--idle-minutes", "nan")]
)
def test_a_limit_that_cannot_be_right_is_refused_in_words(words):
    with pytest.raises(Stop, match=words[0]):
        said(*words)


def test_limits_outlive_the_start_that_named_them(tmp_path):
    home = Home(tmp_path)
    options = read_options([*URL, "--hours", "22-7", "--max-memory-gib", "8", "--slots", "2", "--token", "fjt_secret"])
    keep(home, options, replace(kept_limits(home), **options.limits), 2)
    # What an earlier start let lie on the disk goes, since this one lets nothing
    (home.ray_home / "models").mkdir()
    keep(home, options, Limits(hours="22-7", max_disk_gib=1), 2)
    assert (home.ray_home / "models").exists()
    keep(home, options, Limits(hours="22-7", max_memory_gib=8), 2)
    assert not (home.ray_home / "models").exists()
    # A later start that says less changes only what it says
    later = replace(kept_limits(Home(tmp_path)), **said("--max-memory-gib", "none"))
    assert later == Limits(hours="22-7")
    # And a secret is in none of the files
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "fjt_secret" in path.read_text()]


def test_damaged_settings_are_named(tmp_path):
    for text in ("{", "[]", '{"limits": {"hours": "noon"}}', '{"limits": 3}'):
        (tmp_path / "settings.json").write_text(text)
        with pytest.raises(Stop, match=r"settings\.json"):
            kept_limits(Home(tmp_path))


def test_memory_that_is_not_lent_makes_fewer_slots():
    assert len(plan_slots(lendable(MACHINE, Limits()), CPU, (), Wishes())) == 8
    slots = plan_slots(lendable(MACHINE, Limits(max_memory_gib=6)), CPU, (), Wishes())
    assert len(slots) == 3
    assert sum(slot.memory_gib for slot in slots) <= 6
    # More than the machine has is no more
    assert lendable(MACHINE, Limits(max_memory_gib=1000)).memory_gib == MACHINE.memory_gib
    with pytest.raises(Stop, match="too little for 8 slots"):
        check_memory(plan_slots(MACHINE, CPU, (), Wishes(slots=8)), Limits(max_memory_gib=2))


def test_slots_share_the_caps_of_their_machine(tmp_path):
    rules = rules_of_house(Limits(max_bandwidth_mbit=80, max_memory_gib=4, max_disk_gib=1), 4, tmp_path / "work.jsonl")
    assert rules == {
        "work_log": str(tmp_path / "work.jsonl"), "bytes_per_s": 2_500_000, "memory_bytes": hardware.GIB, "disk_bytes": hardware.GIB,
    }  # fmt: skip
    nothing = rules_of_house(Limits(), 4, Path("w"))
    assert {name for name, value in nothing.items() if value is not None} == {"work_log"}


def test_a_pause_of_the_owner_outlives_the_agent(tmp_path):
    home = Home(tmp_path)
    restraint = Restraint(home, Limits())
    assert restraint.holding() is None
    restraint.pause()
    later = Restraint(Home(tmp_path), Limits())
    holding = later.holding()
    assert holding is not None
    assert holding.by == "owner"
    assert later.paused_since == restraint.paused_since
    later.resume()
    assert Restraint(Home(tmp_path), Limits()).holding() is None
