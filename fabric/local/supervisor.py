"""Watches the parts of a fabric: notices a crash, names it, starts the part again with back-off.

One thread for each part, so that a slow start of one delays no other, and one that keeps the list of processes (for the next
start, should this one be killed) and rotates logs.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from fabric.local.parts import Part
from fabric.local.processes import rotate

PERIOD_S = 0.25
HOUSEKEEPING_PERIOD_S = 2.0
BACK_OFF_S, BACK_OFF_MAX_S = 0.5, 30.0
HEALTHY_S = 60.0  # a part that ran for so long starts again without delay

Tell = Callable[[str], None]


class Supervisor:
    """Keeps parts running until `stop`."""

    def __init__(self, tell: Tell, *, record: Callable[[], None], logs: Path) -> None:
        """`tell` gets a line for each crash and each return; `record` writes down the processes."""
        self._tell, self._record, self._logs = tell, record, logs
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._parts: list[Part] = []
        self._restarting: dict[str, threading.Lock] = {}

    def watch(self, parts: Sequence[Part]) -> None:
        """Begin to watch parts that run; may be called again for more."""
        if not self._threads:
            self._start_thread("housekeeping", self._keep_house)
        self._parts.extend(parts)
        for part in parts:
            self._restarting[part.name] = threading.Lock()
            self._start_thread(f"watch-{part.name}", partial(self._watch, part))

    @contextmanager
    def hold(self, *parts: Part) -> Iterator[None]:
        """Leave these parts to the caller for a while; a restart that is under way is waited for."""
        with ExitStack() as held:
            for part in parts:
                held.enter_context(self._restarting[part.name])
            yield

    def stop(self) -> None:
        """Watch no longer. Call it before the parts are stopped."""
        self._stopping.set()

    def join(self) -> None:
        """Wait for the threads; after the parts were stopped, so that none waits for a part."""
        for thread in self._threads:
            thread.join(timeout=30)

    def _start_thread(self, name: str, body: Callable[[], None]) -> None:
        thread = threading.Thread(target=body, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _watch(self, part: Part) -> None:
        failures = 0
        running_since_s = time.monotonic()
        restarting = self._restarting[part.name]
        while not self._stopping.wait(PERIOD_S):
            why = part.failure()
            if why is None or self._stopping.is_set() or restarting.locked():  # by whoever holds it: the lock is ours below only
                continue
            if time.monotonic() - running_since_s > HEALTHY_S:
                failures = 0
            delay_s = min(BACK_OFF_S * 2**failures, BACK_OFF_MAX_S)
            failures += 1
            self._tell(f"{part.name} {why}; starting it again in {delay_s:.1f} s")
            if self._stopping.wait(delay_s):
                return
            with restarting:
                if part.failure() is not None:
                    self._start_again(part)
            running_since_s = time.monotonic()

    def _start_again(self, part: Part) -> None:
        started_s = time.monotonic()
        try:
            part.clear()
            part.start()
        except Exception as error:  # whatever it is, the next turn tries again, more slowly
            if not self._stopping.is_set():
                self._tell(f"{part.name} did not start: {str(error).strip() or type(error).__name__}")
            return
        self._record()
        self._tell(f"{part.name} runs again ({time.monotonic() - started_s:.1f} s)")

    def _keep_house(self) -> None:
        while not self._stopping.wait(HOUSEKEEPING_PERIOD_S):
            self._record()
            for part in list(self._parts):
                for notice in part.notices():
                    self._tell(notice)
            for log in self._logs.glob("*.log"):
                rotate(log)
