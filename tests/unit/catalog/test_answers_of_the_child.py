"""The child ran a stranger's model, so its answer is looked at before anybody calculates with it."""

import json

import pytest

from fabric.catalog.admit import _blamed, _is_profile, _lines

PROFILE = {
    "batchable": True, "batch_items_max": 32, "batch_fixed": False, "item_us": 10.5, "load_us": 100, "output_bytes_item": None,
    "memory_bytes": 1000,
}  # fmt: skip
SUSPECT = {"path": "graph", "index": 3, "name": "mm", "op_type": "MatMul"}


def test_what_the_child_of_admission_writes_can_be_calculated_with():
    assert _is_profile(PROFILE)
    assert _is_profile(PROFILE | {"output_bytes_item": 8})


@pytest.mark.parametrize(
    "change",
    [
        {"item_us": 0}, {"item_us": -1.0}, {"item_us": "1"}, {"item_us": None}, {"memory_bytes": -5}, {"memory_bytes": True},
        {"batch_items_max": 2**80}, {"output_bytes_item": -1}, {"extra": 1}, {"load_us": []},
    ],
)  # fmt: skip
def test_figures_that_cannot_be_are_not_taken(change):
    assert not _is_profile(PROFILE | change)


def test_an_answer_that_is_no_profile_at_all_is_not_taken():
    assert not any(map(_is_profile, (None, [], "profile", {}, {"item_us": 1})))


@pytest.mark.parametrize(
    "tail", [b'{"profile": {"item_us": NaN}}', b'{"profile": Infinity}', b"[" * 100_000, b'{"prof', b"[1]", b"\xff"]
)
def test_what_was_said_before_a_broken_line_counts_and_the_line_does_not(tail: bytes):
    assert _lines(json.dumps({"inspection": {}}).encode() + b"\n" + tail) == {"inspection": {}}


def test_a_child_that_died_in_the_run_leaves_a_suspect_and_one_that_died_before_leaves_none():
    refused = _blamed({"inspection": {}, "suspect": SUSPECT}, "too_slow", "took longer than 5 s")["refused"]
    assert refused["fields"] == {"reason": "too_slow", "node": SUSPECT}
    assert refused["detail"].endswith("took longer than 5 s; the node that asks for most is node 3 'mm' (MatMul) of graph")
    assert _blamed({}, "crashed", "ended")["refused"] == {
        "code": "invalid_model", "detail": "reading it ended", "fields": {"reason": "crashed"},
    }  # fmt: skip
