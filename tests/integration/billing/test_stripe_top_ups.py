"""Top-ups through Stripe: credit when the money is ours, once, whoever says so and however often."""

import asyncio

import pytest

from fabric.billing import limits, top_ups
from fabric.core.errors import Invalid, NotFound, PaymentsUnavailable, WalletFrozen
from fabric.core.ids import UserId
from tests.fakestripe import money_in
from tests.fakestripe.delivery import Delivery
from tests.fakestripe.faults import KINDS
from tests.fixtures.stripe import USD


async def test_credit_comes_when_the_page_is_paid_and_not_before(shop):
    user = await shop.user()
    payment = await shop.begin(user)
    assert payment.url.startswith("https://")
    assert payment.status == "pending"
    await shop.hear()
    assert await shop.available(user) == 0
    money_in.pay(shop.world, payment.id)
    assert await shop.available(user) == 0
    await shop.hear()
    assert await shop.available(user) == 20 * USD
    await shop.agree()


async def test_three_d_secure_and_a_declined_card_credit_nothing_until_the_page_is_paid(shop):
    user = await shop.user()
    payment = await shop.begin(user)
    money_in.ask_for_authentication(shop.world, payment.id)
    money_in.decline(shop.world, payment.id)
    await shop.hear()
    assert await shop.available(user) == 0
    money_in.pay(shop.world, payment.id)
    await shop.hear()
    assert await shop.available(user) == 20 * USD


async def test_a_bank_debit_credits_when_it_arrives_days_later(shop):
    user = await shop.user()
    payment = await shop.begin(user)
    money_in.pay_later(shop.world, payment.id)
    await shop.hear()
    assert await shop.available(user) == 0
    money_in.arrive(shop.world, payment.id)
    await shop.hear()
    assert await shop.available(user) == 20 * USD
    await shop.agree()


async def test_a_bank_debit_that_does_not_arrive_ends_the_payment(shop):
    user = await shop.user()
    payment = await shop.begin(user)
    money_in.pay_later(shop.world, payment.id)
    money_in.arrive(shop.world, payment.id, ok=False)
    await shop.hear()
    async with shop.database.reading() as reader:
        assert (await top_ups.find_top_up(reader, user, payment.id)).status == "failed"
    assert await shop.available(user) == 0
    await shop.agree()


async def test_a_page_that_nobody_paid_ends_too(shop):
    user = await shop.user()
    payment = await shop.begin(user)
    money_in.expire(shop.world, payment.id)
    await shop.hear()
    async with shop.database.reading() as reader:
        assert (await top_ups.find_top_up(reader, user, payment.id)).status == "failed"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
async def test_intent_charge_and_session_all_tell_and_credit_once_in_any_order(shop, order):
    user = await shop.user()
    await shop.paid(user)
    types = [event["type"] for event in shop.world.events]
    told = [types.index(name) for name in ("charge.succeeded", "payment_intent.succeeded", "checkout.session.completed")]
    await shop.hear([Delivery(told[n]) for n in order])
    assert len(await shop.keys("topup")) == 1
    assert await shop.available(user) == 20 * USD


async def test_many_callers_at_once_credit_once(shop):
    user = await shop.user()
    session = await shop.paid(user)
    found = await asyncio.gather(*(top_ups.fulfil(shop.database, shop.gateway, session["id"]) for _ in range(8)))
    assert len({top_up.transaction_id for top_up in found}) == 1
    assert await shop.available(user) == 20 * USD
    await shop.agree()


async def test_the_same_key_is_the_same_page_also_when_clicked_twice_at_once(shop):
    user = await shop.user()
    await shop.begin(user, key="first")  # the customer exists
    pages = await asyncio.gather(*(shop.begin(user, key="double click") for _ in range(6)))
    assert len({payment.id for payment in pages}) == 1
    assert len(shop.world.all("checkout.session")) == 2
    assert len(shop.world.all("customer")) == 1


@pytest.mark.parametrize("fault", KINDS)
@pytest.mark.parametrize("route", ["POST /v1/customers", "POST /v1/checkout/sessions"])
async def test_a_fault_on_the_way_makes_no_second_page(shop, route, fault):
    user = await shop.user()
    shop.stripe.server.faults.add(route, fault)
    with pytest.raises(PaymentsUnavailable):
        await shop.begin(user)
    payment = await shop.begin(user)
    assert [session["id"] for session in shop.world.all("checkout.session")] == [payment.id]
    assert len(shop.world.all("customer")) == 1
    assert shop.stripe.server.faults.met


async def test_a_page_whose_answer_was_lost_is_found_after_the_key_has_died(shop):
    user = await shop.user()
    await shop.begin(user, key="first")
    shop.stripe.server.faults.add("POST /v1/checkout/sessions", "timeout_after")
    with pytest.raises(PaymentsUnavailable):
        await shop.begin(user)
    await shop.owner.execute("UPDATE stripe_calls SET created_at = now() - interval '2 days'")
    shop.world.offset_s = 2 * 86_400  # Stripe has forgotten the key as well
    payment = await shop.begin(user)
    assert payment.id in {session["id"] for session in shop.world.all("checkout.session")}
    assert len(shop.world.all("checkout.session")) == 2


@pytest.mark.parametrize("usd_nanos", [0, -USD, USD // 100 + 1, USD // 100 * 49])
async def test_an_amount_that_no_card_can_pay_is_refused(shop, usd_nanos):
    with pytest.raises(Invalid):
        await top_ups.begin(shop.database, shop.gateway, await shop.user(), "a@example.com", usd_nanos, "k")
    assert shop.world.all("checkout.session") == []


async def test_a_frozen_wallet_gets_no_page(shop):
    user = await shop.user()
    async with shop.database.transaction() as tx:
        await limits.freeze(tx, user, "why")
    with pytest.raises(WalletFrozen):
        await shop.begin(user)


async def test_a_payment_for_a_closed_wallet_is_sent_back(shop):
    user = await shop.user()
    payment = await shop.begin(user)
    async with shop.database.transaction() as tx:
        await limits.close_wallet(tx, user, "left")
    money_in.pay(shop.world, payment.id)
    await shop.hear()
    await shop.hear()
    (refund,) = shop.world.all("refund")
    assert refund["amount"] == 2000
    assert await shop.available(user) == 0
    await shop.agree()


async def test_a_payment_that_no_webhook_told_of_is_found(shop):
    user = await shop.user()
    await shop.paid(user)
    assert await top_ups.look_at_silent_payments(shop.database, shop.gateway, silent_s=0) == 1
    assert await shop.available(user) == 20 * USD
    assert await top_ups.look_at_silent_payments(shop.database, shop.gateway, silent_s=0) == 0


async def test_the_fee_is_booked_also_when_it_is_known_later(shop):
    shop.world.late_fees = True
    user = await shop.user()
    await shop.paid(user)
    await shop.hear()
    assert await shop.keys("stripe_fee") == []
    money_in.settle_fees(shop.world)
    await shop.hear()
    assert len(await shop.keys("stripe_fee")) == 1
    assert (await shop.balances())["platform:stripe_fees"] == money_in.fee_of(2000) * USD // 100
    await shop.agree()


async def test_a_payment_of_somebody_unknown_is_kept_and_the_books_agree(shop):
    stranger = UserId.new()
    payment = await shop.gateway.begin_payment(stranger, 20 * USD, "k")
    money_in.pay(shop.world, payment.id)
    await shop.hear()
    assert await shop.available(stranger) == 20 * USD
    await shop.agree()


async def test_a_payment_that_names_nobody_is_reported_and_credited_to_nobody(shop):
    payment = await shop.gateway.begin_payment(UserId.new(), 20 * USD, "k")
    session = shop.world.get("checkout.session", payment.id)
    session.update(metadata={}, client_reference_id=None)
    money_in.pay(shop.world, payment.id)
    with pytest.raises(NotFound):
        await top_ups.fulfil(shop.database, shop.gateway, payment.id)
    await shop.hear()
    assert await shop.keys("topup") == []
    assert any("names no user" in error for error in await shop.errors())


async def test_others_cannot_look_at_a_top_up(shop):
    payment = await shop.begin(await shop.user())
    other = await shop.user()
    async with shop.database.reading() as reader:
        with pytest.raises(NotFound):
            await top_ups.find_top_up(reader, other, payment.id)


async def test_every_call_that_makes_something_has_a_key_that_was_stored_before(shop):
    user = await shop.user()
    await shop.paid(user)
    made = {path for method, path, _ in shop.world.calls if method == "POST"}
    assert made == {"/v1/customers", "/v1/checkout/sessions"}
    rows = await (await shop.owner.execute("SELECT route FROM stripe_calls WHERE answer_id IS NOT NULL")).fetchall()
    assert sorted(row[0] for row in rows) == ["checkout", "customer"]
    assert len(shop.stripe.server.keys.kept) == 2
