"""One dispatcher at a time: an advisory lock on a connection of its own, which also listens for what is new.

The lock lives exactly as long as the connection, so a leader that loses its connection is no leader any more. That two of them
may overlap for a moment does no harm: every write is guarded by the fence of its lease.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import psycopg

from fabric.core import clock
from fabric.core.telemetry import logger
from fabric.dispatch.steps import Deposed, Event, Led, Topic, Woken

LOCK_KEY = 0x6661627269630001  # "fabric", 1
CHANNEL = "fabric_dispatch"
TRY_AGAIN_S = 0.5
ALIVE_CHECK_S = 1.0
ALIVE_TIMEOUT_S = 5.0
INTERRUPTION_S_MAX = 15.0  # after so long without a connection somebody else may lead, and our actors would be in their way
TOPICS: dict[str, Topic] = {"jobs": "jobs", "slots": "slots", "cancel": "cancel"}
log = logger(__name__)


async def lead(url: str, happen: Callable[[Event], None]) -> None:
    """For ever: try to lead, tell `happen` when that begins and ends, and of whatever is new while it lasts.

    A connection that is cut and restored at once costs nothing: unless somebody else took the lock meanwhile, or it takes too
    long, we go on with what is under way (`Led` once more).
    """
    leading = _Leading(happen)
    try:
        while True:
            try:
                await _connect_and_lead(url, leading)
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.warning("dispatcher_connection_lost", error=type(error).__name__)
            leading.interrupt()
            await asyncio.sleep(TRY_AGAIN_S * random.uniform(0.5, 1.5))
    finally:
        leading.end()


class _Leading:
    """Whether we lead, or did a moment ago."""

    def __init__(self, happen: Callable[[Event], None]) -> None:
        self._happen = happen
        self._is_leading = False
        self._lost_at_s: float | None = None

    def begin(self) -> None:
        self._is_leading, self._lost_at_s = True, None
        log.info("dispatcher_leads")
        self._happen(Led())

    def wake(self, payload: str) -> None:
        if (topic := TOPICS.get(payload)) is not None:
            self._happen(Woken(topic))

    def interrupt(self) -> None:
        now_s = clock.monotonic_s()
        self._lost_at_s = self._lost_at_s or now_s
        if now_s - self._lost_at_s > INTERRUPTION_S_MAX:
            self.end()

    def end(self) -> None:
        if self._is_leading:
            self._is_leading = False
            log.info("dispatcher_leads_no_more")
            self._happen(Deposed())


async def _connect_and_lead(url: str, leading: _Leading) -> None:
    connection = await psycopg.AsyncConnection.connect(
        url, autocommit=True, application_name="fabric dispatcher", connect_timeout=5, keepalives_idle=5, keepalives_interval=2,
        keepalives_count=3,
    )  # fmt: skip
    try:
        await _wait_for_lock(connection, leading)
        # Listen before the first look, so that nothing falls between the two.
        await connection.execute(f"LISTEN {CHANNEL}")
        leading.begin()
        while True:
            async for notification in connection.notifies(timeout=ALIVE_CHECK_S):
                leading.wake(notification.payload)
            async with asyncio.timeout(ALIVE_TIMEOUT_S):
                await connection.execute("SELECT 1")
    finally:
        await connection.close()


async def _wait_for_lock(connection: psycopg.AsyncConnection[tuple[Any, ...]], leading: _Leading) -> None:
    # Tried again and again instead of waited for: a waiting statement would be cut off by the time limit of statements.
    while True:
        cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK_KEY,))
        if (await cursor.fetchone()) == (True,):
            return
        leading.end()  # somebody else has it
        await asyncio.sleep(TRY_AGAIN_S)
