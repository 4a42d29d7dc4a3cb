"""What a job may spend: grace when its budget is used up, more of it, limits, frozen wallets, gifts and their givers."""

import numpy as np
import pytest
from sqlalchemy import text

from fabric.billing import disputes, limits, promotions
from fabric.codecs.tensor import json_of_tensor
from fabric.core.errors import AlreadyFinished, InsufficientFunds, Invalid, NotFound, SpendingLimit, WalletFrozen
from fabric.core.ids import JobId, UserId
from fabric.core.settings import BillingSettings, Settings
from fabric.db.tables import jobs
from fabric.jobs import budget, finish, store
from fabric.jobs.job import InputSpec, Job, JobSpec
from fabric.jobs.resolve import resolve_job
from fabric.jobs.submit import submit_job
from fabric.storage.local import LocalStore
from tests.fixtures.jobs import HOLD, RATE, Workbench, completion_of
from tests.fixtures.money import Till

USD = 10**9
CAP_NANOS = RATE * 50_000 // 3_600_000_000
GRACE_S = 300.0


async def add(bench: Workbench, job: JobId, amount: int, key: str = "k", owner: UserId | None = None) -> int:
    return await bench.database.retrying(lambda tx: budget.add_to_budget(tx, owner or bench.owner, job, amount, key))


async def end_broke(bench: Workbench, job: JobId) -> list[JobId]:
    async with bench.database.transaction() as tx:
        return await finish.fail_exhausted_budgets(tx, {job: CAP_NANOS}, grace_s=GRACE_S)


async def says(bench: Workbench, job: JobId, reason: str | None) -> None:
    async with bench.database.transaction() as tx:
        await store.set_waiting_reasons(tx, {job: reason})


async def broke_job(bench: Workbench) -> JobId:
    """One of two subtasks is done, and the hold cannot pay the other one."""
    job = await bench.job(items=2, hold=CAP_NANOS + 1)
    (leased,) = await bench.claim(job, await bench.provider(), 2)
    await bench.settle([completion_of(leased, gross_nanos=CAP_NANOS)])
    await says(bench, job, "funds")
    return job


async def test_a_job_that_waits_for_funds_has_a_grace_period_and_then_ends_with_what_it_has(bench: Workbench):
    job = await broke_job(bench)
    assert await end_broke(bench, job) == []
    assert ((await bench.shown(job)).waiting_reason, (await bench.shown(job)).status) == ("funds", "running")
    async with bench.database.transaction() as tx:
        await tx.execute(text("UPDATE jobs SET waiting_since = waiting_since - interval '301 seconds'"))
    assert await end_broke(bench, job) == [job]
    shown = await bench.shown(job)
    assert (shown.status, shown.error_code, shown.items_done, shown.waiting_since) == ("failed", "budget_exhausted", 1, None)


async def test_grace_counts_from_when_it_began_to_wait_for_funds(bench: Workbench):
    job = await broke_job(bench)
    async with bench.database.transaction() as tx:
        await tx.execute(text("UPDATE jobs SET waiting_since = waiting_since - interval '301 seconds'"))
    await says(bench, job, "no_capacity")
    await says(bench, job, "funds")
    assert await end_broke(bench, job) == []


async def test_a_job_that_gets_more_goes_on_and_tells_it(bench: Workbench):
    job = await broke_job(bench)
    assert await add(bench, job, 1000) == CAP_NANOS + 1001
    shown = await bench.shown(job)
    assert (shown.waiting_reason, shown.waiting_since, shown.held_nanos) == (None, None, CAP_NANOS + 1001)
    assert "job.funded" in await bench.event_types(job)
    await bench.run(job, await bench.provider())
    shown = await bench.shown(job)
    assert (shown.status, shown.released_nanos) == ("succeeded", shown.held_nanos - shown.captured_nanos)


async def test_more_under_the_same_key_is_added_once(bench: Workbench):
    job = await bench.job(items=1)
    assert [await add(bench, job, 1000, "same") for _ in range(2)] == [HOLD + 1000] * 2
    assert (await bench.shown(job)).held_nanos == HOLD + 1000 == await bench.balance("job:*:hold", job)


async def test_a_job_without_a_hold_can_get_one(bench: Workbench):
    job = await bench.job(items=1, hold=0)
    assert await add(bench, job, 1000) == 1000
    assert await add(bench, job, 500, "other") == 1500


async def test_more_for_what_is_over_unknown_or_a_strangers_is_refused(bench: Workbench):
    job = await bench.job(items=1)
    for amount in (0, -1, 2**63):
        with pytest.raises(Invalid):
            await add(bench, job, amount)
    with pytest.raises(NotFound):
        await add(bench, JobId.new(), 1)
    with pytest.raises(NotFound):
        await add(bench, job, 1, owner=bench.lender)
    with pytest.raises(InsufficientFunds):
        await add(bench, job, 2000 * HOLD)
    await bench.run(job, await bench.provider())
    with pytest.raises(AlreadyFinished):
        await add(bench, job, 1)


@pytest.fixture
def submit(bench: Workbench, disk_store: LocalStore, settings: Settings):
    x = json_of_tensor("x", np.zeros((10, 2), np.float32))

    async def submit(**changes) -> Job:
        spec = JobSpec(model="m", inputs=(InputSpec("x", tensor=x),), request={}, **changes)
        resolved = await resolve_job(bench.database, disk_store, settings, bench.owner, spec)
        async with bench.database.transaction() as tx:
            return await submit_job(tx, bench.owner, spec, resolved, settings=settings, request_id="req_1")

    return submit


async def limit(bench: Workbench, *, day: int | None = None, job: int | None = None) -> None:
    async with bench.database.transaction() as tx:
        await limits.set_limits(tx, bench.owner, day_nanos=day, job_nanos=job)


async def test_a_job_beyond_the_users_own_limit_is_refused_and_one_without_a_budget_keeps_to_it(bench: Workbench, submit):
    await bench.provider()
    await limit(bench, job=500_000)
    with pytest.raises(SpendingLimit):
        await submit(budget_nanos=500_001)
    assert (await submit()).held_nanos == 500_000
    job = await bench.job(items=1, hold=400_000)
    with pytest.raises(SpendingLimit):
        await add(bench, job, 100_001)
    assert await add(bench, job, 100_000) == 500_000


async def test_jobs_of_a_day_hold_or_cost_no_more_than_the_limit(bench: Workbench, submit):
    await limit(bench, day=10 * USD)
    first = await submit(budget_nanos=6 * USD)
    with pytest.raises(SpendingLimit):
        await submit(budget_nanos=5 * USD)
    await submit(budget_nanos=4 * USD)
    async with bench.database.transaction() as tx:
        await finish.cancel_job(tx, bench.owner, first.id)  # it cost nothing, so its room is free again
    second = await submit(budget_nanos=5 * USD)
    with pytest.raises(SpendingLimit):
        await add(bench, second.id, 2 * USD)
    async with bench.database.transaction() as tx:
        await tx.execute(text("UPDATE jobs SET created_at = created_at - interval '1 day'"))
    await submit(budget_nanos=10 * USD)


async def test_a_disputed_payment_stops_new_jobs_but_not_running_ones_until_it_is_won(bench: Workbench, submit):
    running = await bench.job(items=1)
    till = Till(bench.database)
    paid = await till.top_up(bench.owner, 5 * USD)
    await till.open_dispute("dp_1", paid.payment_id, 5 * USD)
    for spend in (submit(), add(bench, running, 5)):
        with pytest.raises(WalletFrozen, match="frozen"):
            await spend
    await bench.run(running, await bench.provider())
    assert (await bench.shown(running)).status == "succeeded"
    async with bench.database.transaction() as tx:
        await disputes.win_dispute(tx, "dp_1")
    assert (await submit()).status == "queued"


async def test_machines_of_whoever_gave_the_credit_cannot_earn_it(bench: Workbench, submit):
    # Given credit from the lender, whose machine is the only one
    async with bench.database.transaction() as tx:
        await promotions.give_credit(tx, bench.lender, bench.owner, USD, "try it", billing=BillingSettings())
    givers, others = await bench.provider(), await bench.provider(owner=await bench.user())
    gifted = await submit(budget_nanos=2 * USD)
    (row,) = await bench.rows(jobs, gifted.id)
    assert {owner.int for owner in row["barred_owner_ids"]} == {bench.lender.int}
    open_job = await bench.open_job(gifted.id)
    assert open_job is not None
    assert {owner.int for owner in open_job.barred_owner_ids} == {bench.lender.int}
    # Then a claim of it is refused, unless the machine earns nothing, and others' are not
    assert await bench.claim(gifted.id, givers) == []
    assert len(await bench.claim(gifted.id, givers, rate_nanos_per_hour=0)) == 1
    assert len(await bench.claim(gifted.id, others)) == 1
    # And a job of one's own money runs anywhere
    own = await submit(budget_nanos=USD)
    assert len(await bench.claim(own.id, givers)) == 1
