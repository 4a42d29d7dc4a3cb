"""Holds this machine back when its owner wants it to: keeps limits and pause, looks at the machine, asks the judge.

Looking takes moments (a driver is asked), so it happens in a thread of its own, and only while a limit needs it.
"""

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from provider_join.config import Home, Stop
from provider_join.holding import Facts, Holding, Past, judge
from provider_join.limits import Limits
from provider_join.sensors import Sensors

LOOK_S = 5.0
NOT_TOLD = "--max-{0}-{1} cannot be kept: this machine does not tell its {0} to this user. Leave it out, or say none."


class Restraint:
    """What holds this machine back now. Used by one thread; `start` adds one that looks."""

    def __init__(self, home: Home, limits: Limits) -> None:
        """Take up limits, and a pause that an earlier agent was told.

        Raises:
            Stop: a cap cannot be kept here, because the machine does not tell what it caps.
        """
        self._home, self.limits, self._schedule = home, limits, limits.schedule
        self.paused_since: str | None = home.settings().get("paused_since")
        self._past = Past()
        self._sensors = Sensors(os.getpid())
        self.facts = self._sensors.look(use=limits.idle_only) if self._looks else Facts()
        for value, cap, words in (
            (self.facts.power_w, limits.max_power_w, ("power", "w")),
            (self.facts.temperature_c, limits.max_temperature_c, ("temperature", "c")),
        ):
            if cap is not None and value is None:
                raise Stop(NOT_TOLD.format(*words), 2)
        self._is_over = threading.Event()

    def start(self) -> Callable[[], None]:
        """Look again and again from now on; the act that ends it."""
        threading.Thread(target=self._look, name="sensors", daemon=True).start()
        return self._is_over.set

    def keep_to(self, limits: Limits) -> None:
        """Keep to another schedule from now on; what runs is finished. Caps are as they were: they are looked at when it starts.

        Raises:
            BadHours: it names no hours; nothing has changed.
        """
        self._schedule, self.limits = limits.schedule, limits

    def holding(self) -> Holding | None:
        """Why to take nothing new now; None: work is welcome."""
        found, self._past = judge(
            self.limits, self._schedule, self.facts, self._past,
            paused=self.paused_since is not None, now=datetime.now(UTC), now_s=time.monotonic(),
        )  # fmt: skip
        return found

    def pause(self) -> None:
        """The owner wants no new work, until `resume`, over restarts too; pausing twice is nothing."""
        if self.paused_since is None:
            self._keep(datetime.now(UTC).isoformat(timespec="seconds"))

    def resume(self) -> None:
        """The owner wants work again; limits hold still."""
        self._keep(None)

    def describe(self) -> dict[str, Any]:
        """Limits and readings, for people."""
        limits = {name: getattr(self.limits, name) for name in Limits.__dataclass_fields__}
        facts = {name: getattr(self.facts, name) for name in Facts.__dataclass_fields__} if self._looks else {}
        return {"limits": limits, "facts": facts, "paused_since": self.paused_since}

    @property
    def _looks(self) -> bool:
        limits = self.limits
        return limits.idle_only or limits.max_power_w is not None or limits.max_temperature_c is not None

    def _keep(self, since: str | None) -> None:
        self.paused_since = since
        self._home.keep_settings(paused_since=since)

    def _look(self) -> None:
        while not self._is_over.wait(LOOK_S):
            self.facts = self._sensors.look(use=self.limits.idle_only) if self._looks else Facts()
