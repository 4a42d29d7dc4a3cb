"""What `doctor`, `why`, `status` and `log` say, from values."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from provider_join.doctor import clock_record
from provider_join.records import MEND, NOTE, OK, Record, is_fine, record_of, size_of
from provider_join.status import holding_record, limits_in_words, rows
from provider_join.work_log import follow_log, line_for_people, read_log
from tests.fixtures.ray_head import free_port

LIMITS = {
    "hours": "22-7", "idle_only": True, "idle_minutes": 5.0, "max_power_w": 150.0, "max_temperature_c": None, "max_memory_gib": 8.0,
    "max_bandwidth_mbit": None, "max_disk_gib": None,
}  # fmt: skip
FACTS = {
    "name": "attic", "url": "https://fabric.example", "provider_id": "prv_1", "agent_version": "0.1.0", "state": "running",
    "desired": "run", "holding": None, "orders_outstanding": 2, "slots": [{}, {}], "limits": LIMITS, "is_in_contact": True,
    "last_contact_at": 1e9, "running_since": 1e9, "temperature_c": 61.4, "power_w": None, "recent": [],
    "earnings": {"today": {"usd": "0.12"}},
}  # fmt: skip


def entry(number: int) -> dict:
    return {
        "at": "2026-11-21T19:00:00.000+00:00", "order": f"ord_{number}", "model": "ab" * 32, "subtasks": 2, "items": 5,
        "outcome": {"done": 1, "failed": 1}, "errors": ["fetch_failed"], "seconds": 0.25, "load_seconds": 0.0,
        "bytes_in": 2048, "bytes_out": 10,
    }  # fmt: skip


def test_the_clock_is_looked_at_from_both_sides():
    assert clock_record(1000.0, 1010.0).status == OK
    behind = clock_record(1000.0, 1700.0)
    assert (behind.status, "700 s behind" in behind.found) == (MEND, True)


def test_what_the_fabric_says_is_taken_as_it_is():
    told = record_of({"id": "price", "status": "problem", "found": "0.09", "needed": "0.05", "remedy": "ask less", "new": 1})
    assert told == Record("price", MEND, "0.09", "0.05", "ask less")
    assert [record_of({"id": "x", "status": s, "remedy": None}).status for s in ("hint", "ok", "strange")] == [NOTE, OK, MEND]
    assert is_fine([Record("a", OK, ""), Record("b", NOTE, "")])
    assert not is_fine([told])


def test_why_names_what_ends_it():
    assert holding_record(None).status == OK
    paused = holding_record({"by": "owner", "detail": "paused", "until": None})
    assert (paused.status, paused.remedy) == (MEND, "provider-join resume")
    hot = holding_record({"by": "temperature", "detail": "90 °C", "until": None})
    assert "--max-temperature" in hot.remedy


def test_the_screen_shows_state_money_and_limits():
    shown = dict(rows(FACTS))
    assert shown["state"] == "running"
    assert shown["runs now"] == "2 orders on 2 slots"
    assert shown["earned today"] == "0.12 USD"
    assert shown["machine"] == "61 °C"
    assert (shown["schedule"], shown["limits"]) == ("22-7", "150 W, 8 GiB of memory, after 5 quiet minutes only")
    play = dict(rows({**FACTS, "earnings": {"today": {"usd": "0.12"}, "livemode": False}}))
    assert play["earned today"] == "0.12 USD (play money)"
    held = dict(rows({**FACTS, "holding": {"by": "idle", "detail": "used", "until": None}, "earnings": {"error": "gone"}}))
    assert held["state"] == "holds back (idle): used"
    assert held["earned today"] == "gone"
    afar = {**FACTS, "schedule_from_afar": True, "schedule_refused": "its disk is full"}
    assert (
        dict(rows(afar))["schedule"]
        == "22-7, set from afar; another one that was set from afar cannot be kept here: its disk is full"
    )
    assert limits_in_words({**LIMITS, "max_power_w": None, "max_memory_gib": None, "idle_only": False}) == "none"


def test_the_log_is_read_over_all_its_files(tmp_path):
    path = tmp_path / "work.jsonl"
    assert read_log(path, 9) == []
    (tmp_path / "work-20261121T180000-1.jsonl").write_text("".join(json.dumps(entry(n)) + "\n" for n in (1, 2)))
    path.write_text(json.dumps(entry(3)) + "\n" + '{"half')
    assert [line["order"] for line in read_log(path, 9)] == ["ord_1", "ord_2", "ord_3"]
    assert [line["order"] for line in read_log(path, 3)] == ["ord_2", "ord_3"]
    assert read_log(path, 0) == []
    said = line_for_people(entry(1))
    assert all(part in said for part in ("abababababab", "5 items", "1 done, 1 failed", "fetch_failed", "2.0 KiB", "ord_1"))


def test_the_log_is_followed_into_a_new_file(tmp_path):
    # Given a log that is followed, with an old line in it
    path = tmp_path / "work.jsonl"
    path.write_text(json.dumps(entry(1)) + "\n")
    seen: list[str] = []
    two, four = threading.Event(), threading.Event()

    def follow() -> None:
        for line in follow_log(path):
            seen.append(line["order"])
            {"ord_2": two, "ord_4": four}.get(line["order"], threading.Event()).set()
            if four.is_set():
                return

    # When lines come, and a new file begins between them
    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    append(path, 2, until=two)
    append(path, 3)
    path.rename(tmp_path / "work-1.jsonl")
    append(path, 4, until=four)
    reader.join(20)
    # Then each was seen, and nothing of before
    assert set(seen) == {"ord_2", "ord_3", "ord_4"}
    assert seen.index("ord_3") < seen.index("ord_4")


def append(path: Path, number: int, until: threading.Event | None = None) -> None:
    """Write a line; again, until it was seen, since the reader may not have begun."""
    while True:
        with path.open("a") as file:
            file.write(json.dumps(entry(number)) + "\n")
        if until is None or until.wait(0.6):
            return


def test_sizes_are_said_in_words():
    assert [size_of(count) for count in (0, 1023, 2048, 3 * 1024**3)] == ["0 B", "1023 B", "2.0 KiB", "3.0 GiB"]


def test_the_doctor_gives_records_to_programs(tmp_path):
    environment = {**os.environ, "FABRIC_URL": f"http://127.0.0.1:{free_port()}"}
    command = [sys.executable, "-m", "provider_join", "doctor", "--json", "--home", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    records = {record["id"]: record for record in json.loads(done.stdout)}
    assert done.returncode == 1
    assert {name for name, record in records.items() if record["status"] == "mend"} >= {"home", "fabric"}
    assert records["python"]["status"] == "ok"
    assert records["fabric"]["remedy"]
    assert all(set(record) == {"id", "status", "found", "needed", "remedy"} for record in records.values())
