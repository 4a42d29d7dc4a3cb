"""The wish to give up what is being done, as the child knows it."""

import threading
from collections.abc import Callable


class Stopped(Exception):
    """What was done was given up."""


class Stop:
    """Set once, from any thread."""

    def __init__(self) -> None:
        """Nothing is given up yet."""
        self._lock = threading.Lock()
        self._is_set = False
        self._ends: list[Callable[[], None]] = []

    @property
    def is_set(self) -> bool:
        """True once the wish has come."""
        return self._is_set

    def set(self) -> None:
        """Give up whatever goes on under this wish, now and later."""
        with self._lock:
            self._is_set = True
            for end in self._ends:
                end()

    def ends(self, end: Callable[[], None]) -> None:
        """Call `end` when the wish comes, or at once when it has come."""
        with self._lock:
            self._ends.append(end)
            if self._is_set:
                end()

    def check(self) -> None:
        """Raises Stopped once the wish has come."""
        if self._is_set:
            raise Stopped
