"""Group commit: receipts that come close together are settled in one transaction, again and again until Postgres takes them.

Nothing waits when nothing else is expected, so a single small job is settled at once. What is in memory here is bounded: with too
many unsettled results the core leases nothing more.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from functools import partial

from fabric.core.errors import DatabaseUnavailable
from fabric.core.settings import DispatchSettings
from fabric.core.telemetry import logger
from fabric.db.engine import Database
from fabric.dispatch.steps import Event, Settle, Settled
from fabric.jobs import complete, queue

BACKOFF_S = 0.1
BACKOFF_S_MAX = 2.0
log = logger(__name__)


class Settler:
    """Writes results and ended leases, in groups."""

    def __init__(self, database: Database, settings: DispatchSettings, happen: Callable[[Event], None]) -> None:
        """Tells `happen` what was settled."""
        self._database = database
        self._settings = settings
        self._happen = happen
        self._waiting: deque[Settle] = deque()
        self._is_wanted = asyncio.Event()

    def add(self, wanted: Settle) -> None:
        """Settle this soon."""
        self._waiting.append(wanted)
        self._is_wanted.set()

    def forget(self) -> None:
        """Drop what waits: we lead no more, and its fences have moved or will."""
        self._waiting.clear()
        self._is_wanted.clear()

    async def run(self) -> None:
        """For ever: settle what waits."""
        while True:
            await self._is_wanted.wait()
            if all(settle.more_expected for settle in self._waiting):
                await asyncio.sleep(self._settings.commit_delay_ms / 1000)
            if group := self._next_group():
                await self._settle(group)
                self._happen(Settled(tuple(settle.order_id for settle in group)))

    def _next_group(self) -> list[Settle]:
        group: list[Settle] = []
        size = 0
        while self._waiting:
            weight = len(self._waiting[0].completions) + len(self._waiting[0].given_back)
            if group and size + weight > self._settings.commit_subtasks_max:
                return group
            group.append(self._waiting.popleft())
            size += weight
        self._is_wanted.clear()
        return group

    async def _settle(self, group: list[Settle]) -> None:
        completions = [completion for settle in group for completion in settle.completions]
        given_back = [ended for settle in group for ended in settle.given_back]
        attempts_max = self._settings.attempts_max
        pause_s = BACKOFF_S
        while completions or given_back:
            try:
                if completions:
                    answers = await complete.settle_each(self._database, completions, attempts_max=attempts_max)
                    completions = []
                    for answer in answers:
                        if answer.status == "refused":
                            log.error("result_refused", subtask_id=str(answer.subtask_id), detail=answer.detail)
                if given_back:
                    await self._database.retrying(partial(queue.give_back, ended=given_back, attempts_max=attempts_max))
                    given_back = []
            except DatabaseUnavailable as error:
                # Whether the commit happened is unknown; settling again is safe, because a lease is gone once it is settled.
                log.warning("settling_waits", error=str(error.__cause__), subtasks=len(completions) + len(given_back))
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
                pause_s = min(2 * pause_s, BACKOFF_S_MAX)
