"""The price engine on real rows: slots follow the queue step by step, owners' own rates stay, and what is assigned keeps its price."""

import pytest
from sqlalchemy import text

from fabric.core.ids import ProviderId
from fabric.core.money import price_nanos
from fabric.core.settings import BillingSettings
from fabric.dispatch.dispatcher import offered
from fabric.jobs.backlog import follow_demand
from fabric.marketplace import prices, store
from fabric.marketplace.demand import FACTOR_STEP_PER_MINUTE, MINUTES_PER_STEP_MAX
from fabric.marketplace.device_table import DEFAULT_TABLE, DeviceTable
from fabric.providers import store as providers_store
from tests.fixtures.jobs import RATE, Workbench, completion_of

BILLING = BillingSettings()
HOUR_US = 3_600_000_000


async def turn(bench: Workbench, *, minutes: float = 1.0) -> int:
    """One turn of the engine, so long after the one before."""
    async with bench.database.transaction() as tx:
        statement = "UPDATE demand_factors SET updated_at = updated_at - make_interval(secs => :seconds)"
        await tx.execute(text(statement), {"seconds": minutes * 60})
    return await follow_demand(bench.database, BILLING)


async def rates(bench: Workbench) -> dict[ProviderId, int]:
    async with bench.database.reading() as reader:
        return {offer.provider_id: offer.rate_nanos_per_hour for offer in await store.open_offers(reader)}


async def factor(bench: Workbench) -> float:
    async with bench.database.reading() as reader:
        return next(f.factor for f in await prices.read_factors(reader) if f.device_class == "cpu")


async def forget_last_hour(bench: Workbench) -> None:
    async with bench.database.transaction() as tx:
        await tx.execute(text("DELETE FROM market_samples"))


@pytest.fixture
async def crowded(bench: Workbench):
    """A slot that follows the suggestion and one with its owner's own rate, both busy, and hours of work that waits."""
    auto, own = await bench.provider(is_auto=True), await bench.provider(rate=7 * RATE)
    job = await bench.job(items=100, item_us=HOUR_US, hold=900 * RATE * 100)
    for machine in (auto, own):
        await bench.claim(job, machine)
    return auto, own, job


async def test_slots_without_an_own_rate_follow_the_queue_a_step_at_a_time_and_come_back(bench: Workbench, crowded):
    auto, own, _ = crowded
    # The first turn only begins to count; each further minute moves by one step and no more
    assert await turn(bench) == 0
    for steps in (1, 2, 3):
        assert await turn(bench) == 1
        assert await factor(bench) == pytest.approx(1 + steps * FACTOR_STEP_PER_MINUTE, rel=1e-3)
    assert await rates(bench) == {auto: round(RATE * await factor(bench)), own: 7 * RATE}
    # Two turns at once are one, and a long pause is not made up
    before = await factor(bench)
    await turn(bench, minutes=0)
    assert await factor(bench) == pytest.approx(before, rel=1e-3)
    before = await factor(bench)
    await turn(bench, minutes=600)
    assert await factor(bench) == pytest.approx(before + MINUTES_PER_STEP_MAX * FACTOR_STEP_PER_MINUTE)
    # When nothing waits any more it is 1 again
    async with bench.database.transaction() as tx:
        await tx.execute(text("UPDATE jobs SET item_us = 0.01"))
    await forget_last_hour(bench)
    for _ in range(4):
        await turn(bench, minutes=2)
    assert await factor(bench) == 1.0
    assert (await rates(bench))[auto] == RATE


async def test_what_is_assigned_keeps_its_price_while_the_suggestion_moves(bench: Workbench, crowded):
    auto, _, job = crowded
    await turn(bench)
    (leased,) = await bench.claim(job, auto, rate_nanos_per_hour=(await rates(bench))[auto], cap_us_per_item=HOUR_US)
    assert await turn(bench, minutes=2) == 1
    dearer = (await rates(bench))[auto]
    assert dearer > leased.rate_nanos_per_hour == RATE
    await bench.settle([completion_of(leased, billed_us=HOUR_US)])
    (later,) = await bench.claim(job, auto, rate_nanos_per_hour=dearer, cap_us_per_item=HOUR_US)
    await bench.settle([completion_of(later, billed_us=HOUR_US)])
    assert (await bench.shown(job)).captured_nanos == price_nanos(RATE, HOUR_US) + price_nanos(dearer, HOUR_US)


@pytest.mark.parametrize(
    "change", [{"rate_nanos_per_hour_max": RATE - 1}, {"requirements": {"accelerator": ["npu"]}}, {"hold": 1}]
)
async def test_work_that_cannot_be_done_at_the_price_is_no_demand(bench: Workbench, change):
    machine = await bench.provider(is_auto=True)
    await bench.claim(await bench.job(items=1), machine)
    await bench.job(items=100, item_us=HOUR_US, **change)
    for _ in range(3):
        await turn(bench)
    assert await factor(bench) == 1.0


async def test_an_idle_slot_beside_work_that_waits_raises_nothing(bench: Workbench):
    await bench.provider(is_auto=True)
    await bench.job(items=100, item_us=HOUR_US, hold=100 * RATE)
    for _ in range(3):
        await turn(bench)
    assert await factor(bench) == 1.0


async def test_another_device_table_counts_for_new_jobs_only(bench: Workbench):
    auto = await bench.provider(is_auto=True)
    old = await bench.job(items=1)
    async with bench.database.transaction() as tx:
        dear = DeviceTable.of({**DEFAULT_TABLE.as_json(), "cpu_thread_usd_per_hour": "0.05"})
        await prices.change_devices(tx, bench.owner, dear, reason="power is dear")
    assert await turn(bench) == 1
    new = await bench.job(items=1)
    async with bench.database.reading() as reader:
        (slot,) = await providers_store.ready_slots(reader, is_gated=True)
    jobs = {name: await bench.open_job(job) for name, job in {"old": old, "new": new}.items()}
    assert {name: offered(slot).rate_for(job) for name, job in jobs.items() if job} == {"old": RATE, "new": 5 * RATE}
    assert (await rates(bench))[auto] == 5 * RATE
