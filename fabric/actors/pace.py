"""Keeps bytes on the wire to so many a second: says how long to wait after each piece."""

import threading
from collections.abc import Callable

from fabric.core import clock

PIECE_S = 0.25  # of a second in one piece, so that a slow way is slow evenly
PIECE_BYTES_MIN = 16 * 1024
PIECE_BYTES_MAX = 1024 * 1024


class Pace:
    """So many bytes a second in one direction, by all who share it. Safe to use from several threads."""

    def __init__(self, bytes_per_s: int | None, now_s: Callable[[], float] = clock.monotonic_s):
        """None: as fast as it goes."""
        self._bytes_per_s, self._now_s = bytes_per_s, now_s
        self._lock = threading.Lock()
        self._free_at = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether anybody ever waits."""
        return self._bytes_per_s is not None

    @property
    def piece_bytes(self) -> int:
        """How much to move before asking again."""
        if self._bytes_per_s is None:
            return PIECE_BYTES_MAX
        return min(PIECE_BYTES_MAX, max(PIECE_BYTES_MIN, int(self._bytes_per_s * PIECE_S)))

    def owed_s(self, count: int) -> float:
        """How long to wait, now that `count` bytes were moved."""
        if self._bytes_per_s is None:
            return 0.0
        with self._lock:
            now = self._now_s()
            self._free_at = max(self._free_at, now) + count / self._bytes_per_s
            return self._free_at - now
