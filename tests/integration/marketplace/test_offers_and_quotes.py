"""Offers and quotes from real rows."""

from datetime import timedelta

from sqlalchemy import select, update

from fabric.core import clock
from fabric.core.ids import QuoteId, UserId
from fabric.core.settings import BillingSettings
from fabric.db.tables import providers, quotes, slots
from fabric.jobs.requirements import has_memory
from fabric.marketplace import store
from fabric.marketplace.offers import REFERENCE_RUNS_PER_S
from fabric.marketplace.quotes import quote
from tests.fixtures.jobs import completion_of

CPU_RATE = 10_000_000
SECOND_US = 1e6


async def offers(database):
    async with database.reading() as reader:
        return await store.open_offers(reader)


async def change(database, table, provider_id, **values):
    key = table.c.id if table is providers else table.c.provider_id
    async with database.transaction() as tx:
        await tx.execute(update(table).where(key == provider_id).values(**values))


async def test_every_enabled_slot_of_a_machine_that_is_online_is_an_offer_the_cheapest_first(bench):
    dear = await bench.provider(rate=CPU_RATE * 2, benchmark_runs_per_s=REFERENCE_RUNS_PER_S * 2)
    cheap = await bench.provider(rate=CPU_RATE, slots_count=2)
    found = await offers(bench.database)
    assert [(offer.provider_id, offer.slot) for offer in found] == [(cheap, 0), (cheap, 1), (dear, 0)]
    assert (found[2].speed, found[2].owner_id, found[2].rate_nanos_per_hour) == (2.0, bench.lender, CPU_RATE * 2)


async def test_an_offer_says_how_its_machine_keeps_models_apart(bench):
    machine = await bench.provider()
    assert [offer.isolation for offer in await offers(bench.database)] == ["process"]  # nothing is promised that nobody said
    await change(bench.database, providers, machine, capabilities={"isolation": "sandbox"})
    assert [offer.isolation for offer in await offers(bench.database)] == ["sandbox"]


async def test_machines_and_slots_that_take_nothing_are_no_offers(bench):
    for status in ("offline", "paused", "draining", "enrolled", "removed"):
        await change(bench.database, providers, await bench.provider(), status=status)
    await change(bench.database, slots, await bench.provider(), enabled=False)
    await change(bench.database, providers, await bench.provider(), agent_state={"holding": {"by": "owner", "detail": "paused"}})
    assert await offers(bench.database) == []


async def test_a_slot_with_a_lease_is_busy_until_it_is_settled(bench):
    machine = await bench.provider()
    leased = await bench.claim(await bench.job(2), machine)
    assert [offer.is_busy for offer in await offers(bench.database)] == [True]
    await bench.settle([completion_of(lease) for lease in leased])
    assert [offer.is_busy for offer in await offers(bench.database)] == [False]


async def priced(bench, owner, *, own_machines=False, accepts=lambda offer: True, memory_bytes=0):
    async with bench.database.reading() as reader:
        return await quote(
            reader, owner, items=3600, item_us=SECOND_US, own_machines=own_machines, rate_nanos_per_hour_max=None, accepts=accepts,
            has_memory=has_memory, memory_bytes=memory_bytes, billing=BillingSettings(),
        )  # fmt: skip


async def test_a_quote_counts_slots_that_suit_and_belong_to_others(bench):
    machine = await bench.provider(rate=CPU_RATE, benchmark_runs_per_s=REFERENCE_RUNS_PER_S)
    await bench.provider(owner=bench.owner, rate=CPU_RATE)
    assert (await priced(bench, bench.owner)).slots_matching == 1
    assert (await priced(bench, bench.owner, own_machines=True)).slots_matching == 2
    assert (await priced(bench, bench.owner, accepts=lambda offer: offer.provider_id != machine)).slots_matching == 0
    assert (await priced(bench, bench.owner)).price_nanos_expected == CPU_RATE


async def test_a_slot_that_is_too_small_for_the_model_does_not_count(bench):
    await bench.provider(rate=CPU_RATE, benchmark_runs_per_s=REFERENCE_RUNS_PER_S)
    found = await priced(bench, bench.owner, memory_bytes=2**50)
    assert (found.slots_matching, found.slots_too_small) == (0, 1)


async def test_a_quote_is_kept_and_forgotten_a_day_after_it_has_expired(bench):
    fresh, old = QuoteId.new(), QuoteId.new()
    async with bench.database.transaction() as tx:
        terms = store.Terms(bench.version, 1, None, 1000, 1000)
        for quote_id, expires_at in ((fresh, clock.now() + timedelta(minutes=5)), (old, clock.now() - timedelta(days=2))):
            await store.insert_quote(
                tx, quote_id, bench.owner, request={"model": "m"}, answer={"price": 1}, terms=terms, expires_at=expires_at
            )
    async with bench.database.transaction() as tx:
        assert await store.delete_expired_quotes(tx) == 1
    async with bench.database.reading() as reader:
        rows = (await reader.execute(select(quotes))).all()
    assert [(row.id.int, UserId.of(row.user_id), row.answer) for row in rows] == [(fresh.int, bench.owner, {"price": 1})]
