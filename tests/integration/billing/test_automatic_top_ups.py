"""Automatic top-ups: off by default, never above the day's most, never twice for one answer that was lost."""

import asyncio

import pytest

from fabric.billing import automatic_top_ups, ledger, limits
from fabric.billing.stripe_sql import STRIPE
from fabric.core.errors import Invalid
from fabric.core.ids import JobId
from tests.fakestripe.faults import KINDS
from tests.fixtures.stripe import BILLING, USD


async def set_up(shop, *, threshold=5, amount=10, day_max=30, enabled=True, save=True):
    """Somebody with 1 USD of credit left, and automatic top-ups."""
    user = await shop.user()
    await shop.paid(user, 20, save_method=save)
    await shop.hear()
    async with shop.database.transaction() as tx:
        await ledger.place_hold(tx, user, JobId.new(), 19 * USD)
        await automatic_top_ups.write(
            tx, user, enabled=enabled, threshold_nanos=threshold * USD, amount_nanos=amount * USD, day_max_nanos=day_max * USD,
            billing=BILLING,
        )  # fmt: skip
    return user


async def run(shop):
    return await automatic_top_ups.top_up_short_wallets(shop.database, shop.gateway)


async def spend(shop, user, usd):
    async with shop.database.transaction() as tx:
        await ledger.place_hold(tx, user, JobId.new(), usd * USD)


async def state(shop, user):
    async with shop.database.reading() as reader:
        return await automatic_top_ups.read(reader, user)


async def test_nothing_is_charged_unless_it_was_switched_on_and_a_method_was_saved(shop):
    switched_off = await set_up(shop, enabled=False)
    nothing_saved = await set_up(shop, save=False)
    assert await run(shop) == 0
    assert (await state(shop, switched_off)).has_method
    assert not (await state(shop, nothing_saved)).has_method
    assert len(shop.world.all("payment_intent")) == 2


async def test_a_short_wallet_is_charged_once_and_the_books_agree(shop):
    user = await set_up(shop)
    assert await run(shop) == 1
    assert await shop.available(user) == 11 * USD
    assert await run(shop) == 0
    await shop.hear()
    assert await shop.available(user) == 11 * USD
    await shop.agree()


async def test_the_day_has_an_end(shop):
    user = await set_up(shop, amount=10, day_max=25)
    for _ in range(4):
        if await run(shop):
            await spend(shop, user, (await shop.available(user)) // USD)
    assert sum(intent["amount"] for intent in shop.world.all("payment_intent")[:-1]) == 20_00
    assert await run(shop) == 0


async def test_two_clerks_at_once_charge_once(shop):
    user = await set_up(shop)
    await asyncio.gather(run(shop), run(shop), run(shop))
    await run(shop)
    assert await shop.available(user) == 11 * USD
    assert len(shop.world.all("charge")) == 2


async def test_a_clerk_who_looked_before_another_charged_charges_nothing(shop):
    user = await set_up(shop)
    async with shop.database.reading() as reader:
        (seen,) = (await reader.execute(STRIPE["short_wallets"], {"user": user, "limit": 1})).all()
    assert await run(shop) == 1
    assert await automatic_top_ups.top_up_wallet(shop.database, shop.gateway, seen) == 0
    assert await shop.available(user) == 11 * USD


@pytest.mark.parametrize("fault", KINDS)
async def test_a_fault_on_the_way_charges_once_also_when_the_amount_was_changed_meanwhile(shop, fault):
    user = await set_up(shop)
    shop.stripe.server.faults.add("POST /v1/payment_intents", fault)
    assert await run(shop) == 0
    async with shop.database.transaction() as tx:
        await automatic_top_ups.write(
            tx, user, enabled=True, threshold_nanos=5 * USD, amount_nanos=12 * USD, day_max_nanos=30 * USD, billing=BILLING
        )
    assert await run(shop) == 1
    assert await shop.available(user) == 11 * USD
    assert len(shop.world.all("charge")) == 2
    await shop.hear()
    await shop.agree()


async def test_a_lost_answer_is_found_after_the_key_has_died(shop):
    user = await set_up(shop)
    shop.stripe.server.faults.add("POST /v1/payment_intents", "timeout_after")
    assert await run(shop) == 0
    await shop.owner.execute("UPDATE stripe_calls SET created_at = now() - interval '2 days'")
    shop.world.offset_s = 2 * 86_400
    assert await run(shop) == 1
    assert await shop.available(user) == 11 * USD
    assert len(shop.world.all("charge")) == 2


@pytest.mark.parametrize("behaviour", ["declined", "authentication"])
async def test_a_refused_charge_stops_them_until_the_owner_pays_once_more(shop, behaviour):
    user = await set_up(shop)
    for method in shop.world.methods:
        shop.world.methods[method] = behaviour
    assert await run(shop) == 0
    assert (await state(shop, user)).is_stopped
    assert await run(shop) == 0
    assert len([i for i in shop.world.all("payment_intent") if i["status"] == "requires_payment_method"]) == 1
    await shop.paid(user, 2, key="again", save_method=True)
    await shop.hear()
    assert not (await state(shop, user)).is_stopped
    assert await run(shop) == 1
    await shop.agree()


async def test_a_frozen_wallet_is_not_charged(shop):
    user = await set_up(shop)
    async with shop.database.transaction() as tx:
        await limits.freeze(tx, user, "why")
    assert await run(shop) == 0


@pytest.mark.parametrize("wrong", [{"amount": 0}, {"amount": 31, "day_max": 30}, {"amount": 2000, "day_max": 5000}])
async def test_settings_that_cannot_be_are_refused(shop, wrong):
    with pytest.raises(Invalid):
        await set_up(shop, **wrong)
