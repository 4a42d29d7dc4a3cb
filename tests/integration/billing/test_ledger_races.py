"""Many writers at once. Flows take their locks in one order, so none of them is ever retried here."""

import asyncio
from random import Random

import pytest
from sqlalchemy import text

from fabric.billing import chart, ledger
from fabric.billing.ledger import Capture
from fabric.core.errors import InsufficientFunds
from fabric.core.ids import JobId, ProviderId, SubtaskId, UserId

WRITERS = 16


async def funded(database, jobs, hold=10_000):
    user, job_ids = UserId.new(), [JobId.new() for _ in range(jobs)]
    async with database.transaction() as tx:
        await ledger.top_up(tx, user, hold * jobs + 100, user.hex)
        for job_id in job_ids:
            await ledger.place_hold(tx, user, job_id, hold)
    return user, job_ids


async def capture(database, lines):
    async with database.transaction() as tx:
        return await ledger.capture(tx, lines)


async def test_a_completion_that_arrives_32_times_at_once_is_captured_once(database):
    _, (job,) = await funded(database, 1)
    line = Capture(SubtaskId.new(), job, ProviderId.new(), 100, 1000)
    outcomes = await asyncio.gather(*(capture(database, [line]) for _ in range(32)))
    assert sorted(outcome.status for (outcome,) in outcomes) == ["captured"] + ["duplicate"] * 31


async def test_of_two_amounts_for_one_subtask_one_is_captured_and_the_other_refused(database):
    _, (job,) = await funded(database, 1)
    subtask, provider = SubtaskId.new(), ProviderId.new()
    lines = [Capture(subtask, job, provider, amount, 1000) for amount in (100, 200)]
    outcomes = await asyncio.gather(*(capture(database, [line]) for line in lines))
    assert sorted(outcome.status for (outcome,) in outcomes) == ["captured", "refused"]


async def test_two_jobs_that_claim_one_subtask_at_once_are_not_both_charged(database):
    for _ in range(10):
        _, jobs = await funded(database, 2)
        subtask, provider = SubtaskId.new(), ProviderId.new()
        lines = [Capture(subtask, job, provider, 100, 1000) for job in jobs]
        outcomes = await asyncio.gather(*(capture(database, [line]) for line in lines))
        assert sorted(outcome.status for (outcome,) in outcomes) == ["captured", "refused"]


async def test_holds_that_are_placed_at_once_never_exceed_the_wallet(database):
    user = UserId.new()
    async with database.transaction() as tx:
        await ledger.top_up(tx, user, 100, user.hex)

    async def hold():
        async with database.transaction() as tx:
            try:
                await ledger.place_hold(tx, user, JobId.new(), 30)
            except InsufficientFunds:
                return False
        return True

    assert sum(await asyncio.gather(*(hold() for _ in range(10)))) == 3


async def test_one_top_up_reported_by_many_at_once_is_credited_once(database):
    user = UserId.new()

    async def report():
        async with database.transaction() as tx:
            return await ledger.top_up(tx, user, 100, "one payment")

    assert len(set(await asyncio.gather(*(report() for _ in range(10))))) == 1


@pytest.mark.parametrize("seed", range(3))
async def test_writers_over_the_same_jobs_and_machines_capture_each_subtask_once(database, seed):
    # Given jobs, machines and subtasks that all writers share, each told to several writers, in any order
    user, jobs = await funded(database, 3, hold=100_000)
    providers = [ProviderId.new() for _ in range(4)]
    random = Random(seed)
    lines = [
        Capture(SubtaskId.new(), random.choice(jobs), random.choice(providers), random.randint(1, 90), 1000) for _ in range(400)
    ]
    told = [random.sample(lines, len(lines)) for _ in range(WRITERS)]

    async def write(mine):
        return [o for start in range(0, len(mine), 40) for o in await capture(database, mine[start : start + 40])]

    async def fund_and_release():
        for _ in range(20):
            job = JobId.new()
            async with database.transaction() as tx:
                await ledger.top_up(tx, user, 7, job.hex)
                await ledger.place_hold(tx, user, job, 5)
            async with database.transaction() as tx:
                assert await ledger.release_hold(tx, user, job) == 5

    # When they all write at once, while holds of the same requestor come and go
    *outcomes, _, _ = await asyncio.gather(*(write(mine) for mine in told), fund_and_release(), fund_and_release())

    # Then each subtask is captured by exactly one of them, for all others it is a duplicate, and the sums agree
    statuses = [outcome.status for mine in outcomes for outcome in mine]
    assert statuses.count("captured") == len(lines)
    assert statuses.count("duplicate") == len(lines) * (WRITERS - 1)
    async with database.reading() as reader:
        statement = text("SELECT sum(balance_nanos) FROM ledger.balances WHERE kind = ANY(:kinds)")
        earned = await reader.execute(statement, {"kinds": [chart.PROVIDER_PENDING.name, chart.PLATFORM_COMMISSION.name]})
        assert earned.scalar_one() == sum(line.gross_nanos for line in lines)


async def test_a_hold_released_amid_captures_gives_back_exactly_what_they_left(database):
    user, (job,) = await funded(database, 1, hold=10_000)
    lines = [Capture(SubtaskId.new(), job, ProviderId.new(), 100, 1000) for _ in range(60)]

    async def release():
        async with database.transaction() as tx:
            return await ledger.release_hold(tx, user, job)

    first, released, second = await asyncio.gather(
        capture(database, lines[:30]), release(), capture(database, lines[30:])
    )  # fmt: skip
    captured = sum(outcome.status == "captured" for outcome in first + second)
    assert released == 10_000 - 100 * captured
