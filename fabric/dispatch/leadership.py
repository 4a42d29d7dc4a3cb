"""One dispatcher at a time: an advisory lock on a connection of its own, which also listens for what is new.

The lock lives exactly as long as the connection, so a leader that loses its connection is no leader any more. That two of them
may overlap for a moment does no harm: every write is guarded by the fence of its lease.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import psycopg

from fabric.core.telemetry import logger
from fabric.dispatch.steps import Deposed, Event, Led, Topic, Woken

LOCK_KEY = 0x6661627269630001  # "fabric", 1
CHANNEL = "fabric_dispatch"
TRY_AGAIN_S = 0.5
ALIVE_CHECK_S = 1.0
ALIVE_TIMEOUT_S = 5.0
TOPICS: dict[str, Topic] = {"jobs": "jobs", "slots": "slots", "cancel": "cancel"}
log = logger(__name__)


async def lead(url: str, happen: Callable[[Event], None]) -> None:
    """For ever: try to lead, tell `happen` when that begins and ends, and of whatever is new while it lasts."""
    while True:
        try:
            await _connect_and_lead(url, happen)
        except (psycopg.Error, OSError, TimeoutError) as error:
            log.warning("dispatcher_connection_lost", error=type(error).__name__)
        finally:
            happen(Deposed())
        await asyncio.sleep(TRY_AGAIN_S * random.uniform(0.5, 1.5))


async def _connect_and_lead(url: str, happen: Callable[[Event], None]) -> None:
    connection = await psycopg.AsyncConnection.connect(
        url, autocommit=True, application_name="fabric dispatcher", connect_timeout=5, keepalives_idle=5, keepalives_interval=2,
        keepalives_count=3,
    )  # fmt: skip
    try:
        await _wait_for_lock(connection)
        # Listen before the first look, so that nothing falls between the two.
        await connection.execute(f"LISTEN {CHANNEL}")
        log.info("dispatcher_leads")
        happen(Led())
        while True:
            async for notification in connection.notifies(timeout=ALIVE_CHECK_S):
                if (topic := TOPICS.get(notification.payload)) is not None:
                    happen(Woken(topic))
            async with asyncio.timeout(ALIVE_TIMEOUT_S):
                await connection.execute("SELECT 1")
    finally:
        await connection.close()


async def _wait_for_lock(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
    # Tried again and again instead of waited for: a waiting statement would be cut off by the time limit of statements.
    while True:
        cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK_KEY,))
        if (await cursor.fetchone()) == (True,):
            return
        await asyncio.sleep(TRY_AGAIN_S)
