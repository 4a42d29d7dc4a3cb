import contextlib
import hashlib
import json
import os
import threading

import numpy as np

from fabric.actors import house
from fabric.actors.house import House, append_line, house_of, line_of
from fabric.actors.kept_models import KeptModels
from fabric.actors.messages import InputOrder, ModelRef, Order, Part, Receipt, SubtaskOrder, SubtaskReceipt
from fabric.actors.pace import PIECE_BYTES_MIN, Pace
from fabric.core.ids import OrderId

ORDER_ID = OrderId.new()
MODEL = ModelRef("ab" * 32, "https://store/m?signature=secret", 1000, {}, {}, True, 8, False)


def an_order() -> Order:
    inline = Part(2, "rows", data=b"private1", dtype="float32", shape=(1,))
    stored = Part(3, "rows", url="https://store/i?signature=secret", length=120, dtype="float32", shape=(10,))
    subtasks = tuple(SubtaskOrder(os.urandom(16), 1, n, (InputOrder("x", (part,)),)) for n, part in ((2, inline), (3, stored)))
    return Order(ORDER_ID.bytes, MODEL, subtasks, 65536, 60.0)


def a_receipt(load_us: int = 0) -> Receipt:
    done = SubtaskReceipt(bytes(16), 1, "done", 250_000, output=b"private2")
    failed = SubtaskReceipt(bytes(16), 1, "failed", 0, error_code="fetch_failed", error_detail="private3")
    return Receipt(ORDER_ID.bytes, (done, failed), load_us, 10)


def test_a_line_says_what_ran_and_nothing_of_what_was_in_it():
    line = line_of(an_order(), a_receipt())
    assert line["order"] == str(ORDER_ID)
    assert (line["model"], line["subtasks"], line["items"]) == (MODEL.sha256, 2, 5)
    assert (line["outcome"], line["errors"], line["seconds"]) == ({"done": 1, "failed": 1}, ["fetch_failed"], 0.25)
    assert (line["bytes_in"], line["bytes_out"]) == (128, 8)
    assert line_of(an_order(), a_receipt(load_us=5))["bytes_in"] == 1128
    assert not [word for word in ("private", "secret", "store") if word in json.dumps(line)]


def test_an_order_that_failed_as_a_whole_is_in_the_log_too():
    line = line_of(an_order(), Receipt(ORDER_ID.bytes, (), 0, 0, "model_fetch_failed", "why"))
    assert (line["outcome"], line["errors"]) == ({"failed": 2}, ["model_fetch_failed"])


def test_slots_write_one_log_together_and_no_line_is_lost_or_mixed(tmp_path):
    # Given four slots that write lines of 100 characters, into files of 4,000
    log = tmp_path / "work.jsonl"

    def write(slot: int) -> None:
        for number in range(50):
            with contextlib.suppress(OSError):
                append_line(log, json.dumps({"slot": slot, "number": number, "filling": "x" * 70}), 4000, 1000)

    writers = [threading.Thread(target=write, args=(slot,)) for slot in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    # Then each line is there once, whole, and readable by the owner only
    files = list(tmp_path.iterdir())
    assert len(files) > 4
    lines = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    assert sorted((line["slot"], line["number"]) for line in lines) == [
        (slot, number) for slot in range(4) for number in range(50)
    ]
    assert not [path for path in files if path.stat().st_mode & 0o077]


def test_a_log_has_a_limit(tmp_path):
    for number in range(12):
        append_line(tmp_path / "work.jsonl", str(number), 1, 4)
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["10\n", "11\n", "9\n"]


def test_a_log_that_cannot_be_written_stops_no_work(tmp_path):
    House(work_log=tmp_path / "absent" / "work.jsonl").note(an_order(), a_receipt())
    House().note(an_order(), a_receipt())


def test_without_rules_nothing_is_limited(tmp_path):
    assert house_of(tmp_path) == House()
    (tmp_path / house.RULES).write_text('{"work_log": "w"}')
    assert house_of(tmp_path) == House()
    assert House().memory_of(5) == 5
    assert House(memory_bytes=3).memory_of(5) == 3
    assert House(memory_bytes=3).memory_of(None) == 3
    assert House().memory_of(None) is None


def test_bytes_wait_so_that_no_second_has_too_many():
    now = 100.0
    pace = Pace(1_000_000, lambda: now)
    assert pace.owed_s(500_000) == 0.5
    assert pace.owed_s(500_000) == 1.0  # two who share it wait for one another
    now = 110.0
    assert pace.owed_s(250_000) == 0.25  # time in which nothing moved is not saved up
    assert Pace(None).owed_s(10**12) == 0.0
    assert Pace(1).piece_bytes == PIECE_BYTES_MIN


def a_model(number: int, size: int = 100) -> tuple[str, memoryview]:
    content = np.random.default_rng(number).bytes(size)
    return hashlib.sha256(content).hexdigest(), memoryview(content)


def test_models_are_kept_until_others_need_the_room(tmp_path):
    kept = KeptModels(tmp_path / "models", 250)
    first, second, third = (a_model(number) for number in range(3))
    kept.keep(*first)
    kept.keep(*second)
    into = memoryview(bytearray(100))
    # The first is used again, so the second is the one that goes
    for model, age in ((first, 2), (second, 1)):
        os.utime(tmp_path / "models" / model[0], (age, age))
    assert kept.read(first[0], into)
    assert into == first[1]
    kept.keep(*third)
    assert [kept.read(model[0], into) for model in (first, second, third)] == [True, False, True]
    # What could never fit is not even begun
    kept.keep(*a_model(9, size=251))
    assert {path.name for path in (tmp_path / "models").iterdir()} == {first[0], third[0]}
    # A smaller allowance holds from the start on
    KeptModels(tmp_path / "models", 100)
    assert len(list((tmp_path / "models").iterdir())) == 1


def test_a_kept_model_is_believed_only_when_it_is_the_one(tmp_path):
    kept = KeptModels(tmp_path / "models", 1000)
    sha256, content = a_model(1)
    into = memoryview(bytearray(100))
    for lie in (bytes(100), bytes(content)[:50], bytes(content) + b"more"):
        kept.keep(sha256, content)
        (tmp_path / "models" / sha256).write_bytes(lie)
        assert not kept.read(sha256, into)
        assert not (tmp_path / "models" / sha256).exists()


def test_a_disk_that_fails_costs_a_fetch_only(tmp_path):
    (tmp_path / "models").write_text("a file where a folder should be")
    kept = KeptModels(tmp_path / "models", 1000)
    sha256, content = a_model(1)
    kept.keep(sha256, content)
    assert not kept.read(sha256, memoryview(bytearray(100)))
    assert KeptModels(tmp_path / "a" / "b", 10).read(sha256, memoryview(bytearray(1))) is False
