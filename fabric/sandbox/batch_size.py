"""Finds, on real work, how many items of one run cost least per item.

On an accelerator more is better; on a CPU a convolutional network is as fast with 1 to 4 items as with 16, or faster, because
its activations stay in the cache. So the slot tries powers of two on the first items it gets, and stays with the smallest size
that no larger one beats clearly.
"""

TRIALS = 3  # of each size; the first is warm-up and does not count
CLEARLY = 0.97  # a larger batch must take less than this share of the time per item
FLAT_STEPS_MAX = 2  # so many doublings without a gain end the search


class BatchSize:
    """The search for one session. Not thread-safe: a session runs one batch at a time."""

    def __init__(self, items_max: int):
        """Search from 1 to `items_max`."""
        self._sizes = [size for size in (1 << power for power in range(20)) if size < items_max] + [items_max]
        self._step = 0
        self._trials = 0
        self._fastest_s = float("inf")  # per item, of the size being tried
        self._best = self._sizes[0]
        self._best_s = float("inf")
        self._flat_steps = 0

    @property
    def is_settled(self) -> bool:
        """True when the search is over."""
        return self._step >= len(self._sizes)

    def next(self, remaining: int) -> int:
        """How many of the remaining items the next run should take."""
        wanted = self._best if self.is_settled else self._sizes[self._step]
        return min(wanted, remaining)

    def observe(self, items: int, seconds: float) -> None:
        """Tell how long a run took."""
        if self.is_settled or items != self._sizes[self._step]:
            return
        self._trials += 1
        if self._trials > 1:
            self._fastest_s = min(self._fastest_s, seconds / items)
        if self._trials >= TRIALS:
            self._conclude()

    def _conclude(self) -> None:
        if self._fastest_s < self._best_s * CLEARLY:
            self._best, self._best_s = self._sizes[self._step], self._fastest_s
            self._flat_steps = 0
        else:
            self._flat_steps += 1
        self._step = len(self._sizes) if self._flat_steps >= FLAT_STEPS_MAX else self._step + 1
        self._trials = 0
        self._fastest_s = float("inf")
