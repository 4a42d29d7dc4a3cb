"""The wish to give up an order, felt by its fetches, its runs and its pauses alike."""

import threading
from typing import Protocol


class Terminable(Protocol):
    """What a run watches while it computes; ONNX Runtime's RunOptions is one."""

    terminate: bool


class Cancelled(Exception):
    """The order was given up while this was going on."""


class Cancellation:
    """Set once, from any thread; `reason` is the first one given."""

    def __init__(self) -> None:
        """Nothing is cancelled yet."""
        self.reason = ""
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._runs: list[Terminable] = []

    @property
    def is_set(self) -> bool:
        """True from the first `cancel` on."""
        return self._event.is_set()

    def cancel(self, reason: str = "cancelled") -> None:
        """Stop whatever goes on under this wish, now and later."""
        with self._lock:
            if not self._event.is_set():
                self.reason = reason
                self._event.set()
            for run in self._runs:
                run.terminate = True

    def stops(self, run: Terminable) -> None:
        """End `run` too when the wish comes, or at once when it has come."""
        with self._lock:
            self._runs.append(run)
            if self._event.is_set():
                run.terminate = True

    def check(self) -> None:
        """Raises Cancelled once the wish has come."""
        if self._event.is_set():
            raise Cancelled(self.reason)

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the wish. Raises Cancelled when it comes."""
        if self._event.wait(seconds):
            raise Cancelled(self.reason)
