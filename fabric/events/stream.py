"""Postgres NOTIFY to whoever waits for a job, resumable by the number of the last event seen.

    events = await hub.wait(job_id, after_seq, timeout_s)       [] when nothing happened in time
    with hub.watching(): …                                      around every long wait; raises Unavailable when there are too many

One connection listens for all waiters of the process. A notification only wakes; what happened is read from the table. So a
notification that is lost with a connection costs nothing: after each reconnect everybody looks again.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from fabric.core import clock
from fabric.core.errors import Unavailable
from fabric.core.ids import JobId
from fabric.core.telemetry import logger
from fabric.db.engine import Database
from fabric.events.event import Event
from fabric.events.outbox import EVENTS_CHANNEL, EVERYTHING, events_after

RECONNECT_S_MIN = 0.1
RECONNECT_S_MAX = 5.0
APPLICATION_NAME = "fabric-events"
WATCHERS_RETRY_S = 5
READS_AT_ONCE = 3  # however many wake together, most connections stay for ordinary requests

log = logger(__name__)


class EventHub:
    """All waiting for events in one process. `start` it inside a running loop, `close` it at the end."""

    def __init__(self, database: Database, *, watchers_max: int = 1000) -> None:
        """Watch the outbox of `database`; nothing is connected yet."""
        self._database = database
        self._watchers_max = watchers_max
        self._watchers = 0
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._listener: asyncio.Task[None] | None = None

    @property
    def watchers(self) -> int:
        """Long waits that are open now."""
        return self._watchers

    def start(self) -> None:
        """Begin to listen, and go on until `close`, however often the connection is lost."""
        self._listener = asyncio.create_task(self._listen_forever(), name="event hub")

    async def close(self) -> None:
        """Stop listening. Whoever waits sees only its time-out from then on."""
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None

    async def wait(self, job_id: JobId, after_seq: int, timeout_s: float) -> list[Event]:
        """The events of a job after number `after_seq`: at once if there are any, else as soon as one is committed.

        Returns an empty list when none came within `timeout_s`. Whether the caller may see the job is the caller's duty.

        Raises:
            DatabaseUnavailable: Postgres cannot be reached.
        """
        deadline_s = clock.monotonic_s() + timeout_s
        with self._woken_by(job_id) as wake:
            while True:
                wake.clear()  # before reading: what is committed from here on wakes us again
                async with self._reads, self._database.reading() as reader:
                    events = await events_after(reader, job_id, after_seq)
                left_s = deadline_s - clock.monotonic_s()
                if events or left_s <= 0:
                    return events
                with suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await wake.wait()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count a stream or a long wait for as long as the block runs.

        Raises:
            Unavailable: too many are open.
        """
        if self._watchers >= self._watchers_max:
            raise Unavailable("Too many are watching; poll, or try again.", retry_after_s=WATCHERS_RETRY_S)
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1

    @contextmanager
    def _woken_by(self, job_id: JobId) -> Iterator[asyncio.Event]:
        wake = asyncio.Event()
        self._waiting.setdefault(job_id.hex, set()).add(wake)
        try:
            yield wake
        finally:
            waiting = self._waiting[job_id.hex]
            waiting.discard(wake)
            if not waiting:
                del self._waiting[job_id.hex]

    async def _listen_forever(self) -> None:
        pause_s = RECONNECT_S_MIN
        while True:
            connected_s = clock.monotonic_s()
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                log.warning("event_listener_lost", error=str(error).strip())
            if clock.monotonic_s() - connected_s > RECONNECT_S_MAX:
                pause_s = RECONNECT_S_MIN
            await asyncio.sleep(pause_s)
            pause_s = min(RECONNECT_S_MAX, pause_s * 2)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._database.url, autocommit=True, application_name=APPLICATION_NAME, connect_timeout=5,
            keepalives_idle=10, keepalives_interval=5, keepalives_count=3,
        )  # fmt: skip
        async with connection:
            await connection.execute(f"LISTEN {EVENTS_CHANNEL}")
            self._wake(EVERYTHING)  # what was committed while nobody listened
            async for notification in connection.notifies():
                self._wake(notification.payload)

    def _wake(self, payload: str) -> None:
        told = list(self._waiting) if payload == EVERYTHING else payload.split(",")
        for job_hex in told:
            for wake in self._waiting.get(job_hex, ()):
                wake.set()
