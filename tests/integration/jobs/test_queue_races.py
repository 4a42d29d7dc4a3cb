"""Many at once, and crashes in between: each subtask exactly once, and never more than the hold."""

import asyncio
import random
from collections import Counter

import pytest
from sqlalchemy import text

from fabric.core.errors import AlreadyFinished
from fabric.core.ids import OrderId
from fabric.db.engine import Database
from fabric.db.tables import attempts, subtasks
from fabric.jobs import complete, finish, queue
from fabric.jobs.job import Claim
from fabric.jobs.statements import STATEMENTS
from tests.fixtures.jobs import ATTEMPTS_MAX, LEASE_S, RATE, Workbench, completion_of


@pytest.fixture
async def crowd(app_url: str):
    """A pool wide enough for everybody to hold a transaction at the same time."""
    database = Database(app_url, pool_size=40)
    yield database
    await database.close()


async def test_of_many_claimers_each_gets_other_subtasks(bench: Workbench, crowd: Database):
    jobs = [await bench.job(items=60) for _ in range(3)]
    machines = [await bench.provider() for _ in range(8)]

    async def claimer(n: int) -> list:
        got = []
        rng = random.Random(n)
        while True:
            claims = [Claim(OrderId.new(), job, machines[n], 0, rng.randint(1, 7), RATE, 50_000, LEASE_S) for job in jobs]
            rng.shuffle(claims)
            leased = await crowd.retrying(lambda tx, claims=claims: queue.claim(tx, claims))
            if not leased:
                return got
            got += leased

    shares = await asyncio.gather(*(claimer(n) for n in range(len(machines))))
    everything = [lease for share in shares for lease in share]
    assert Counter(lease.subtask_id for lease in everything).most_common(1)[0][1] == 1
    assert Counter(lease.job_id for lease in everything) == dict.fromkeys(jobs, 60)
    assert {lease.fence for lease in everything} == {1}


async def test_thirty_two_equal_completions_at_once_give_one_capture(bench: Workbench, crowd: Database):
    provider = await bench.provider()
    job = await bench.job(items=2)
    (leased, _) = await bench.claim(job, provider, 2)
    good = completion_of(leased)
    answers = await asyncio.gather(*(complete.settle_each(crowd, [good], attempts_max=ATTEMPTS_MAX) for _ in range(32)))
    assert Counter(answer.status for (answer,) in answers) == {"done": 1, "stale": 31}
    assert (await bench.shown(job)).captured_nanos == good.gross_nanos
    assert len(await bench.rows(attempts, job)) == 1


async def test_claimers_and_settlers_at_once_do_everything_exactly_once(bench: Workbench, crowd: Database):
    jobs = [await bench.job(items=80) for _ in range(4)]
    machines = [await bench.provider() for _ in range(4)]
    done: Counter = Counter()

    async def machine(n: int) -> None:
        rng = random.Random(n)
        while True:
            claims = [Claim(OrderId.new(), job, machines[n], 0, rng.randint(1, 9), RATE, 50_000, LEASE_S, True) for job in jobs]
            leased = await crowd.retrying(lambda tx, claims=claims: queue.claim(tx, claims))
            if not leased:
                return
            rng.shuffle(leased)
            cut = rng.randint(0, len(leased))
            halves = await asyncio.gather(
                complete.settle_each(crowd, [completion_of(lease) for lease in leased[:cut]], attempts_max=ATTEMPTS_MAX),
                complete.settle_each(crowd, [completion_of(lease) for lease in leased[cut:]], attempts_max=ATTEMPTS_MAX),
            )
            done.update(answer.subtask_id for answers in halves for answer in answers if answer.status == "done")

    await asyncio.gather(*(machine(n) for n in range(len(machines))))
    assert len(done) == 320 and set(done.values()) == {1}
    assert {(await bench.shown(job)).status for job in jobs} == {"succeeded"}


@pytest.mark.parametrize("seed", range(6))
async def test_a_cancel_that_races_a_settlement_charges_for_done_subtasks_only(bench: Workbench, crowd: Database, seed: int):
    provider = await bench.provider()
    job = await bench.job(items=20)
    leased = await bench.claim(job, provider, 20)
    random.Random(seed).shuffle(leased)

    async def cancelling() -> bool:
        try:
            await crowd.retrying(lambda tx: finish.cancel_job(tx, bench.owner, job))
        except AlreadyFinished:
            return False
        return True

    batches = [[completion_of(lease) for lease in leased[i : i + 4]] for i in range(0, 20, 4)]
    settling = [complete.settle_each(crowd, batch, attempts_max=ATTEMPTS_MAX) for batch in batches]
    acts = [*settling[:seed], cancelling(), *settling[seed:]]
    results = await asyncio.gather(*acts)
    cancelled = results[min(seed, len(settling))]
    answers = [answer for result in results if isinstance(result, list) for answer in result]
    done = sum(answer.status == "done" for answer in answers)
    shown = await bench.shown(job)
    assert shown.status == ("cancelled" if cancelled else "succeeded")
    assert shown.items_done == done
    assert shown.captured_nanos == done * completion_of(leased[0]).gross_nanos
    assert shown.captured_nanos + shown.released_nanos == shown.held_nanos


async def test_a_crash_between_claim_and_settlement_gives_the_work_to_another_slot(bench: Workbench):
    # Given a dispatcher that leased subtasks, saw their results, and died before it could commit them
    first, second = await bench.provider(), await bench.provider()
    job = await bench.job(items=4)
    leased = await bench.claim(job, first, 4)
    with pytest.raises(ZeroDivisionError):
        async with bench.database.transaction() as tx:
            answers = await complete.settle(tx, [completion_of(lease) for lease in leased], attempts_max=ATTEMPTS_MAX)
            assert {answer.status for answer in answers} == {"done"}
            raise ZeroDivisionError("the process dies here")
    assert (await bench.shown(job)).captured_nanos == 0
    # When the leases run out and another slot does the work
    await bench.overdue_leases(job)
    async with bench.database.transaction() as tx:
        assert len(await queue.expire(tx, attempts_max=ATTEMPTS_MAX)) == 4
    await bench.overdue_back_off(job)
    await bench.run(job, second)
    # Then the job is done, and each subtask was paid once, to the second
    shown = await bench.shown(job)
    assert shown.status == "succeeded"
    paid = [row["provider_id"] for row in await bench.rows(attempts, job) if row["outcome"] == "done"]
    assert paid == [second] * 4
    assert {answer.status for answer in await bench.settle([completion_of(lease) for lease in leased])} == {"stale"}


async def test_a_thousand_random_steps_of_everybody_leave_books_and_rows_in_order(bench: Workbench, crowd: Database):
    jobs = [await bench.job(items=40, hold=2_000 * (n + 1)) for n in range(3)]
    machines = [await bench.provider() for _ in range(3)]
    held: dict = {}

    async def actor(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(25):
            step = rng.random()
            mine = [lease for lease in list(held.values()) if rng.random() < 0.4]
            if step < 0.45:
                claims = [
                    Claim(OrderId.new(), job, rng.choice(machines), 0, rng.randint(1, 5), RATE, 50_000, LEASE_S, True)
                    for job in jobs
                ]
                for lease in await crowd.retrying(lambda tx, claims=claims: queue.claim(tx, claims)):
                    held[lease.subtask_id, lease.fence] = lease
            elif step < 0.8:
                await complete.settle_each(crowd, [completion_of(lease) for lease in mine], attempts_max=ATTEMPTS_MAX)
            elif step < 0.9:
                await bench.give_back(mine, rng.choice(["failed", "lost"]), counts=False)
            elif step < 0.95:
                await crowd.retrying(lambda tx, ids=[lease.order_id for lease in mine]: queue.extend(tx, ids, LEASE_S))
            else:
                await crowd.retrying(lambda tx: queue.expire(tx, attempts_max=ATTEMPTS_MAX))

    await asyncio.gather(*(actor(seed) for seed in range(8)))
    # The states that matter were reached: work was done, given back, and money was short
    reached = Counter([row["outcome"] for job in jobs for row in await bench.rows(attempts, job)])
    assert reached["done"] > 20 and reached["failed"] + reached["lost"] > 5
    for job in jobs:
        shown = await bench.shown(job)
        assert shown.captured_nanos + shown.reserved_nanos <= shown.held_nanos
        done = [row for row in await bench.rows(attempts, job) if row["outcome"] == "done"]
        assert len({row["subtask_id"] for row in done}) == len(done) == shown.subtasks_done
        assert sum(row["status"] == "done" for row in await bench.rows(subtasks, job)) == shown.subtasks_done


async def test_a_lease_renewed_while_it_was_about_to_expire_is_kept(bench: Workbench, crowd: Database):
    provider = await bench.provider()
    job = await bench.job(items=1)
    (leased,) = await bench.claim(job, provider)
    await bench.overdue_leases(job)
    # Given a loop that saw the lease as expired, and now waits for the row of the job
    async with crowd.transaction() as blocker:
        await blocker.execute(STATEMENTS["lock_jobs"], {"job_ids": [job]})
        expiring = asyncio.create_task(crowd.retrying(lambda tx: queue.expire(tx, attempts_max=ATTEMPTS_MAX)))
        async with crowd.reading() as reader:
            while not (await reader.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))).scalar_one():
                assert not expiring.done()
        # When the lease is renewed in the meantime
        assert await crowd.retrying(lambda tx: queue.extend(tx, [leased.order_id], LEASE_S)) == {leased.order_id}
    # Then it is not taken back
    assert await expiring == set()
    assert [answer.status for answer in await bench.settle([completion_of(leased)])] == ["done"]
