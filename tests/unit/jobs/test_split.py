import base64
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.core.errors import EmptyJob, Invalid
from fabric.jobs.split import choose_items_per_subtask, count_subtasks, read_inputs, slice_inputs

LIMITS = {"target_s": 0.1, "subtasks_max": 100_000}


@given(items=st.integers(1, 1_000_000), item_us=st.floats(1, 1e7), batch=st.integers(1, 32))
def test_a_split_covers_every_item_within_the_limit_of_subtasks(items, item_us, batch):
    size = choose_items_per_subtask(items, item_us, batch_fixed=batch, **LIMITS)
    count = count_subtasks(items, size)
    assert 1 <= size <= items
    assert (count - 1) * size < items <= count * size
    assert count <= LIMITS["subtasks_max"]
    assert size % batch == 0 or size == items


@given(items=st.integers(12, 100_000), item_us=st.floats(1, 1e7))
def test_there_are_twelve_subtasks_where_there_are_items_enough(items, item_us):
    assert count_subtasks(items, choose_items_per_subtask(items, item_us, **LIMITS)) >= 12


def test_a_subtask_runs_about_as_long_as_the_target():
    assert choose_items_per_subtask(600, 9_000.0, **LIMITS) == 11
    assert choose_items_per_subtask(600, 900_000.0, **LIMITS) == 1


def test_a_million_tiny_items_stay_within_the_limit_of_subtasks():
    assert count_subtasks(1_000_000, choose_items_per_subtask(1_000_000, 1e6, target_s=0.1, subtasks_max=1000)) <= 1000


def test_the_requestors_own_choice_is_honoured():
    assert choose_items_per_subtask(100, 9_000.0, wanted=7, **LIMITS) == 7
    assert choose_items_per_subtask(3, 9_000.0, wanted=7, **LIMITS) == 3


def test_a_choice_that_makes_too_many_subtasks_is_refused():
    with pytest.raises(Invalid, match="at least 10"):
        choose_items_per_subtask(1000, 9_000.0, target_s=0.1, subtasks_max=100, wanted=1)


def test_a_job_without_items_is_refused():
    with pytest.raises(EmptyJob):
        choose_items_per_subtask(0, 9_000.0, **LIMITS)


@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    cuts=st.lists(st.integers(1, 39), max_size=4),
    per_subtask=st.integers(1, 50),
)
def test_slices_put_together_are_the_input_again(sizes, cuts, per_subtask):
    # Given images of these sizes, some in one object, some in another
    edges = sorted({0, len(sizes), *(c for c in cuts if c < len(sizes))})
    parts = [
        {"encoding": "image", "key": f"o{i}", "offset": 100 * i, "sizes": sizes[a:b]} for i, (a, b) in enumerate(pairwise(edges))
    ]
    everything = [(f"o{i}", 100 * i + sum(sizes[a:k]), sizes[k]) for i, (a, b) in enumerate(pairwise(edges)) for k in range(a, b)]
    inputs = read_inputs(json.loads(json.dumps({"image": {"broadcast": False, "parts": parts}})))
    # When every subtask takes its slice
    seen = []
    for start in range(0, len(sizes), per_subtask):
        count = min(per_subtask, len(sizes) - start)
        (sliced,) = slice_inputs(inputs, start, count)
        assert sum(part.item_count for part in sliced.parts) == count
        for part in sliced.parts:
            assert part.length == sum(part.sizes)
            at = part.offset
            for size in part.sizes:
                seen.append((part.key, at, size))
                at += size
    # Then nothing is missing, doubled or out of order
    assert seen == everything


def test_a_slice_of_rows_is_one_range_of_the_object():
    document = {"x": {"parts": [
        {"encoding": "rows", "key": "k", "offset": 128, "items": 5, "row_bytes": 8, "dtype": "float32", "shape": [2]},
        {"encoding": "rows", "key": "l", "offset": 64, "items": 5, "row_bytes": 8, "dtype": "float32", "shape": [2]},
    ]}}  # fmt: skip
    (sliced,) = slice_inputs(document, 3, 4)
    assert [(p.key, p.offset, p.length, p.item_count, p.shape) for p in sliced.parts] == [
        ("k", 128 + 24, 16, 2, (2,)),
        ("l", 64, 16, 2, (2,)),
    ]


def test_inline_rows_are_cut_and_a_broadcast_input_goes_whole():
    rows = bytes(range(12))
    document = {
        "x": {"parts": [
            {"encoding": "rows", "inline": base64.b64encode(rows).decode(), "items": 3, "row_bytes": 4, "dtype": "uint8", "shape": [4]}
        ]},
        "w": {"broadcast": True, "parts": [
            {"encoding": "rows", "key": "k", "offset": 0, "items": 1, "row_bytes": 40, "dtype": "float32", "shape": [10]}
        ]},
    }  # fmt: skip
    x, w = slice_inputs(document, 1, 2)
    assert x.parts[0].data == rows[4:12] and x.parts[0].key is None
    assert w.broadcast and w.parts[0].length == 40 and w.parts[0].item_count == 1


def test_texts_are_sliced_by_their_sizes_and_blank_ones_are_not_fetched():
    part = {"encoding": "strings", "key": "k", "offset": 100, "dtype": "string", "shape": [], "sizes": [3, 0, 0, 5]}
    document = {"x": {"broadcast": False, "parts": [part]}}
    (whole,), (blank,) = (slice_inputs(document, start, count)[0].parts for start, count in ((0, 4), (1, 2)))
    assert (whole.key, whole.data, whole.offset, whole.length, whole.sizes) == ("k", None, 100, 8, (3, 0, 0, 5))
    assert (blank.data, blank.offset, blank.sizes, blank.dtype) == (b"", 103, (0, 0), "string")
