"""How many items go at once: the window, the number of jobs, and batches that grow while jobs are quick."""

WINDOW_ITEMS = 4096
WINDOW_ITEMS_MAX = 100_000
BATCH_ITEMS_FIRST = 8
BATCH_ITEMS_MAX = 4096
JOBS_UNDER_WAY_MIN = 4
"""A window is cut into at least so many batches, so that machines have work while one batch is fetched."""
JOBS_UNDER_WAY_MAX = 16
JOB_S = 2.0
"""A job shall run about this long: quicker ones make the next batches larger, much slower ones smaller."""


class Pace:
    """Decides how large the next batch is and whether there is room for it."""

    def __init__(self, window: int = WINDOW_ITEMS, batch: int | None = None) -> None:
        """At most `window` items are under way, in batches of `batch`, or of as many as turns out well.

        Raises:
            ValueError: a window or batch of no use.
        """
        if not 1 <= window <= WINDOW_ITEMS_MAX:
            raise ValueError(f"window is the number of items under way, 1 to {WINDOW_ITEMS_MAX}")
        if batch is not None and not 1 <= batch <= window:
            raise ValueError(f"batch is the number of items in a job, 1 to the window of {window}")
        self._window, self._is_fixed = window, batch is not None
        self._most = max(1, min(BATCH_ITEMS_MAX, window // JOBS_UNDER_WAY_MIN))
        self._batch = batch or min(BATCH_ITEMS_FIRST, self._most)
        self.under_way = 0
        """Items that were submitted and not delivered yet."""

    def has_room(self, jobs: int) -> bool:
        """Whether another whole batch may go beside so many jobs."""
        return jobs < JOBS_UNDER_WAY_MAX and (not self.under_way or self.under_way + self._batch <= self._window)

    def batch_items(self) -> int:
        """How many items the next batch may have."""
        return min(self._batch, self._window - self.under_way)

    def began(self, items: int) -> None:
        """So many items were submitted."""
        self.under_way += items

    def delivered(self, items: int) -> None:
        """So many items were delivered."""
        self.under_way -= items

    def took(self, run_s: float) -> None:
        """A job ran so long; learn from it."""
        if self._is_fixed:
            return
        if run_s < JOB_S:
            self._batch = min(self._most, self._batch * 2)
        elif run_s > 4 * JOB_S:
            self._batch = max(1, self._batch // 2)
