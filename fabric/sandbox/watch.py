"""Keeps a runner to what it was asked for: ends it when it does not stop in time, and looks at what it holds."""

import threading
from collections.abc import Callable
from typing import Protocol

from fabric.sandbox.life import Life, Lost

WATCH_S = 0.1
IDLE_LOOKS_MAX = 50  # before the watch sleeps until there is something to watch


class Stoppable(Protocol):
    """The parent's wish to give up, such as an order's Cancellation."""

    def stops(self, run: "Doing") -> None:
        """Set `run.terminate` when the wish comes, or at once when it has come."""
        ...


class Doing:
    """Something that the runner does now; ended when its wish to stop is not followed in time."""

    def __init__(self, life: Life, number: int, grace_s: float):
        self._life = life
        self._number = number
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._is_over = False

    @property
    def terminate(self) -> bool:
        """True once it is to stop."""
        return self._timer is not None

    @terminate.setter
    def terminate(self, value: bool) -> None:
        with self._lock:
            if self._is_over or self._timer is not None or not value:
                return
            self._timer = threading.Timer(self._grace_s, self._insist)
            self._timer.daemon = True
            self._timer.start()
        self._life.wish_stop(self._number)

    def over(self) -> None:
        """It has ended, one way or another."""
        with self._lock:
            self._is_over = True
            if self._timer is not None:
                self._timer.cancel()

    def _insist(self) -> None:
        with self._lock:
            if self._is_over:
                return
            self._life.end(Lost("stopped", "stopped", "the run did not stop, so the runner was ended"), self._number)


class Watch:
    """Looks regularly while something is active. Going to sleep late spares the many short runs the waking."""

    def __init__(self, look: Callable[[], None]):
        self._look = look
        self._active = 0
        self._asleep = False
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True, name="runner-watch").start()

    def __enter__(self) -> None:
        """Watch meanwhile."""
        with self._lock:
            self._active += 1
            wakes = self._asleep
        if wakes:
            self._wake.set()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._active -= 1

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()
        self._wake.set()

    def _watch(self) -> None:
        idle = IDLE_LOOKS_MAX
        while not self._closed.wait(WATCH_S if idle < IDLE_LOOKS_MAX else 0):
            with self._lock:
                idle = 0 if self._active else idle + 1
                self._asleep = idle > IDLE_LOOKS_MAX
            if self._asleep:
                self._wake.wait()
                self._wake.clear()
                idle = 0
            else:
                self._look()
