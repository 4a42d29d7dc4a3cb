"""Events: written with what happened, told at commit, waited for, and not lost with a connection."""

import asyncio

import psycopg
import pytest
from sqlalchemy import text

from fabric.core.errors import Unavailable
from fabric.core.ids import JobId
from fabric.db.engine import Database
from fabric.events import outbox
from fabric.events.stream import APPLICATION_NAME, EventHub
from tests.fixtures.events import job_to_tell_of

FOR_EVER_S = 60  # a wait that should end long before


@pytest.fixture
async def hub(database: Database):
    hub = EventHub(database, watchers_max=2)
    hub.start()
    yield hub
    await hub.close()


async def record(database: Database, job: JobId, *kinds: str) -> None:
    async with database.transaction() as tx:
        await outbox.record_many(tx, [(job, kind, {"kind": kind}) for kind in kinds])


async def listening(owner_url: str) -> int:
    """The backend that listens, once there is one."""
    while True:
        async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as connection:
            found = await connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND query LIKE 'LISTEN%%' AND state = 'idle' "
                "AND datname = current_database()",
                [APPLICATION_NAME],
            )
            if row := await found.fetchone():
                return int(row[0])


async def test_events_of_several_jobs_are_numbered_without_gaps_in_the_order_given(database):
    first, second = await job_to_tell_of(database), await job_to_tell_of(database)
    async with database.transaction() as tx:
        await outbox.record(tx, first, "job.queued", {"n": 1})
        await outbox.record_many(
            tx, [(second, "job.queued", {}), (first, "job.started", {"n": 2}), (first, "job.progress", {"n": 3})]
        )
    async with database.reading() as reader:
        events = await outbox.events_after(reader, first, 0)
        assert [(e.seq, e.type) for e in events] == [(1, "job.queued"), (2, "job.started"), (3, "job.progress")]
        assert [e.data["n"] for e in events] == [1, 2, 3]
        assert [e.seq for e in await outbox.events_after(reader, second, 0)] == [1]
        assert [e.seq for e in await outbox.events_after(reader, first, 2)] == [3]
        assert [e.seq for e in await outbox.events_after(reader, first, 0, limit=2)] == [1, 2]


async def test_an_event_for_no_job_is_our_mistake(database):
    with pytest.raises(AssertionError):
        await record(database, JobId.new(), "job.queued")


async def test_what_is_rolled_back_never_happened(database):
    job = await job_to_tell_of(database)
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as tx:
            await outbox.record(tx, job, "job.queued", {})
            raise ZeroDivisionError
    await record(database, job, "job.queued")
    async with database.reading() as reader:
        assert [e.seq for e in await outbox.events_after(reader, job, 0)] == [1]


async def test_writers_of_the_same_jobs_in_any_order_neither_deadlock_nor_collide(database):
    jobs = [await job_to_tell_of(database) for _ in range(5)]

    async def write(turn: int) -> None:
        order = jobs if turn % 2 else jobs[::-1]
        async with database.transaction() as tx:
            await outbox.record_many(tx, [(job, "job.progress", {"turn": turn}) for job in order])

    await asyncio.gather(*(write(turn) for turn in range(40)))
    async with database.reading() as reader:
        for job in jobs:
            assert [e.seq for e in await outbox.events_after(reader, job, 0)] == list(range(1, 41))


async def test_a_wait_gives_at_once_what_there_already_is(database, hub):
    job = await job_to_tell_of(database)
    await record(database, job, "job.queued", "job.started")
    assert [e.type for e in await hub.wait(job, 0, FOR_EVER_S)] == ["job.queued", "job.started"]
    assert [e.type for e in await hub.wait(job, 1, FOR_EVER_S)] == ["job.started"]


async def test_a_wait_ends_empty_when_nothing_happens(database, hub):
    assert await hub.wait(await job_to_tell_of(database), 0, 0.01) == []


async def test_a_recorded_event_wakes_those_who_wait_for_that_job_and_nobody_else(database, hub, owner_url):
    told, other = await job_to_tell_of(database), await job_to_tell_of(database)
    await listening(owner_url)
    waiting = [asyncio.create_task(hub.wait(told, 0, FOR_EVER_S)) for _ in range(3)]
    elsewhere = asyncio.create_task(hub.wait(other, 0, FOR_EVER_S))
    await record(database, told, "job.queued")
    assert [[e.type for e in events] for events in await asyncio.gather(*waiting)] == [["job.queued"]] * 3
    assert not elsewhere.done()
    await record(database, other, "job.cancelled")
    assert (await elsewhere)[0].is_ending


async def test_more_jobs_than_a_notification_can_name_wake_everybody(database, hub, owner_url):
    jobs = [await job_to_tell_of(database) for _ in range(3)]
    await listening(owner_url)
    waiting = asyncio.create_task(hub.wait(jobs[0], 0, FOR_EVER_S))
    async with database.transaction() as tx:
        await outbox.record(tx, jobs[0], "job.queued", {})
        await tx.execute(text("SELECT pg_notify('fabric_events', '*')"))
    assert [e.type for e in await waiting] == ["job.queued"]


async def test_a_listener_whose_connection_is_killed_comes_back_and_misses_nothing(database, hub, owner_url):
    job = await job_to_tell_of(database)
    before = await listening(owner_url)
    waiting = asyncio.create_task(hub.wait(job, 0, FOR_EVER_S))
    async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as connection:
        await connection.execute("SELECT pg_terminate_backend(%s, 5000)", [before])
        await record(database, job, "job.queued")  # told while nobody listens
        assert [e.type for e in await waiting] == ["job.queued"]
    again = asyncio.create_task(hub.wait(job, 1, FOR_EVER_S))
    assert await listening(owner_url) != before
    await record(database, job, "job.started")
    assert [e.type for e in await again] == ["job.started"]


async def test_watchers_beyond_the_limit_are_turned_away_until_one_leaves(hub):
    with hub.watching():
        with hub.watching():
            assert hub.watchers == 2
            with pytest.raises(Unavailable), hub.watching():
                raise AssertionError("never entered")
        with hub.watching():
            pass
    assert hub.watchers == 0


async def test_the_dispatcher_is_woken_at_commit(database, app_url):
    async with await psycopg.AsyncConnection.connect(app_url, autocommit=True) as connection:
        await connection.execute("LISTEN fabric_dispatch")
        async with database.transaction() as tx:
            await outbox.notify_dispatch(tx, "jobs")
        async for notification in connection.notifies(stop_after=1):
            assert notification.payload == "jobs"
