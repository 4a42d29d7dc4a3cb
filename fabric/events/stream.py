"""Postgres NOTIFY to whoever waits for a job or watches an account, resumable by the number of the last event seen.

    events = await hub.wait(job_id, after_seq, timeout_s)       [] when nothing happened in time
    with hub.watching(): …                                      around every long wait; raises Unavailable when there are too many
    with hub.account(user_id) as bell: …                        the same for what happens to somebody's account, with a limit for each
        bell.hush(); …look…; await bell.heard(timeout_s)

One connection listens for all waiters of the process. A notification only wakes; what happened is read from the table. So a
notification that is lost with a connection costs nothing: after each reconnect everybody looks again.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import psycopg

from fabric.core import clock
from fabric.core.errors import Unavailable
from fabric.core.ids import JobId, UserId
from fabric.core.telemetry import logger
from fabric.db.engine import Database, Reader
from fabric.events.event import Event
from fabric.events.outbox import ACCOUNTS_CHANNEL, EVENTS_CHANNEL, EVERYTHING, events_after

RECONNECT_S_MIN = 0.1
RECONNECT_S_MAX = 5.0
APPLICATION_NAME = "fabric-events"
WATCHERS_RETRY_S = 5
READS_AT_ONCE = 3  # however many wake together, most connections stay for ordinary requests
ACCOUNT_STREAMS_MAX = 12
"""Of one account in one process; one more ends the oldest, which nobody may read any more: a page that is left is noticed late."""

log = logger(__name__)


class Bell:
    """Rings when something happened to whom it hangs for; it says nothing of what."""

    def __init__(self, rung: asyncio.Event) -> None:
        """Listen to this event."""
        self._rung = rung
        self.is_over = False
        """Whether a younger one took its place: whoever listens goes."""

    def end(self) -> None:
        """Have whoever listens go, at once."""
        self.is_over = True
        self._rung.set()

    def hush(self) -> None:
        """Forget what rang so far: call it before looking, so that what is committed from then on rings again."""
        self._rung.clear()

    async def heard(self, timeout_s: float) -> bool:
        """Whether it rang, before the time was over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        return self._rung.is_set()


class EventHub:
    """All waiting for events in one process. `start` it inside a running loop, `close` it at the end."""

    def __init__(self, database: Database, *, watchers_max: int = 1000) -> None:
        """Watch the outbox of `database`; nothing is connected yet."""
        self._database = database
        self._watchers_max = watchers_max
        self._watchers = 0
        self._accounts: dict[UserId, list[Bell]] = {}
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
        with self._hung(job_id.hex) as bell:
            while True:
                bell.hush()
                async with self.reading() as reader:
                    events = await events_after(reader, job_id, after_seq)
                left_s = deadline_s - clock.monotonic_s()
                if events or left_s <= 0:
                    return events
                await bell.heard(left_s)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reader]:
        """Read what happened, a few at a time.

        Raises:
            DatabaseUnavailable: Postgres cannot be reached.
        """
        async with self._reads, self._database.reading() as reader:
            yield reader

    @contextmanager
    def account(self, user_id: UserId) -> Iterator[Bell]:
        """Watch an account for as long as the block runs: a bell that rings when its jobs or machines have news.

        One that is too many ends the oldest.

        Raises:
            Unavailable: too many are watching.
        """
        with self.watching(), self._hung(user_id.hex) as bell:
            bells = self._accounts.setdefault(user_id, [])
            bells.append(bell)
            if len(bells) > ACCOUNT_STREAMS_MAX:
                bells.pop(0).end()
            try:
                yield bell
            finally:
                if bell in bells:
                    bells.remove(bell)
                if not bells:
                    self._accounts.pop(user_id, None)

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
    def _hung(self, name: str) -> Iterator[Bell]:
        rung = asyncio.Event()
        self._waiting.setdefault(name, set()).add(rung)
        try:
            yield Bell(rung)
        finally:
            waiting = self._waiting[name]
            waiting.discard(rung)
            if not waiting:
                del self._waiting[name]

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
            await connection.execute(f"LISTEN {ACCOUNTS_CHANNEL}")
            await connection.execute(f"LISTEN {EVENTS_CHANNEL}")
            self._wake(EVERYTHING)  # what was committed while nobody listened
            async for notification in connection.notifies():
                self._wake(notification.payload)

    def _wake(self, payload: str) -> None:
        told = list(self._waiting) if payload == EVERYTHING else payload.split(",")
        for name in told:
            for rung in self._waiting.get(name, ()):
                rung.set()
