import pytest

from fabric.sandbox.batch_size import BatchSize


def settled(batch: BatchSize, seconds_of) -> int:
    for _ in range(200):
        if batch.is_settled:
            return batch.next(1000)
        size = batch.next(1000)
        batch.observe(size, seconds_of(size))
    raise AssertionError("the search never ends")


@pytest.mark.parametrize(
    ("seconds_of", "expected"),
    [
        (lambda n: 0.009 * n, 1),  # flat: the smallest will do
        (lambda n: 0.009 * n * (1.1 if n > 4 else 1.0), 1),  # caches overflow
        (lambda n: 0.004 + 0.001 * n, 32),  # an accelerator: a fixed cost for each run
        (lambda n: 0.001 * n + (0.004 if n < 4 else 0.001 * n), 4),
    ],
)
def test_the_smallest_size_that_no_larger_one_beats_clearly_is_found(seconds_of, expected):
    assert settled(BatchSize(32), seconds_of) == expected


def test_the_first_run_of_a_size_is_warm_up():
    batch = BatchSize(2)
    for seconds in (9.0, 0.1, 0.1, 9.0, 0.2, 0.2):
        batch.observe(batch.next(100), seconds)
    assert batch.next(100) == 1


def test_never_more_than_there_is_nor_than_is_allowed():
    batch = BatchSize(6)
    sizes = {batch.next(3) for _ in range(5)}
    assert sizes == {1}
    assert settled(batch, lambda n: 1.0) == 6
    assert batch.next(4) == 4


def test_runs_of_another_size_teach_nothing():
    batch = BatchSize(8)
    for _ in range(10):
        batch.observe(5, 0.001)
    assert not batch.is_settled
    assert batch.next(100) == 1


def test_a_model_that_takes_one_item_has_nothing_to_search():
    assert settled(BatchSize(1), lambda n: 1.0) == 1
