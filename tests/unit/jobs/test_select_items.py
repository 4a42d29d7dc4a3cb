"""Some of a job's items as inputs of their own: exactly their bytes, whatever the parts were."""

import base64
import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fabric.jobs.select import join_ranges, select_inputs
from fabric.jobs.split import slice_inputs

ROW = 4


def document(seed: int) -> tuple[dict, int]:
    """Inputs of some items in parts of every kind, broken at different places."""
    rng = random.Random(seed)
    counts = [rng.randint(1, 6) for _ in range(rng.randint(1, 4))]
    total = sum(counts)
    rows, images, offset = [], [], 0
    for number, count in enumerate(counts):
        facts = {"encoding": "rows", "items": count, "row_bytes": ROW, "dtype": "int32", "shape": []}
        if rng.random() < 0.5:
            data = bytes(rng.randrange(256) for _ in range(count * ROW))
            rows.append({**facts, "inline": base64.b64encode(data).decode()})
        else:
            rows.append({**facts, "key": f"object-{number}", "offset": rng.randint(0, 99)})
    sizes = [rng.randint(1, 50) for _ in range(total)]
    cut = rng.randint(0, total)
    for number, part in enumerate(filter(None, (sizes[:cut], sizes[cut:]))):
        images.append({"encoding": "image", "key": f"pack-{number}", "offset": offset, "sizes": part})
    weights = {"encoding": "rows", "items": 1, "row_bytes": 8, "dtype": "int64", "shape": [], "key": "w", "offset": 0}
    return {"x": {"parts": rows}, "image": {"parts": images}, "w": {"broadcast": True, "parts": [weights]}}, total


def items_of(inputs: dict, total: int) -> list[tuple]:
    """Each item alone: what a subtask of one item would be handed."""
    return [
        tuple(
            (given.name, part.key, part.data, part.offset if part.key else 0, part.length)
            for given in slice_inputs(inputs, i, 1)
            for part in given.parts
        )
        for i in range(total)
    ]


@given(seed=st.integers(0, 10_000), data=st.data())
def test_the_chosen_items_are_the_same_bytes_as_before(seed, data):
    inputs, total = document(seed)
    chosen = sorted(data.draw(st.sets(st.integers(0, total - 1), min_size=1)))
    ranges = join_ranges((i, 1) for i in chosen)
    whole = items_of(inputs, total)
    assert items_of(select_inputs(inputs, ranges), len(chosen)) == [whole[i] for i in chosen]


@given(st.sets(st.integers(0, 40)))
def test_joined_ranges_are_the_same_items_apart_and_in_order(items):
    ranges = join_ranges((i, 1) for i in items)
    assert [i for first, count in ranges for i in range(first, first + count)] == sorted(items)
    assert all(sum(before) < after[0] for before, after in pairwise(ranges))


def test_ranges_that_overlap_become_one():
    assert join_ranges([(5, 3), (0, 4), (2, 4), (9, 0)]) == [(0, 8)]
