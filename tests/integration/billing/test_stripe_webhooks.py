"""Webhooks: forged ones are refused, and however the others are delivered the books end the same."""

import json
import random
import time

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fabric.billing import ledger, refunds, webhooks
from fabric.core.errors import Malformed
from fabric.core.ids import UserId
from tests.fakestripe import money_in, money_out
from tests.fakestripe.delivery import SECRET, SECRET_THIN, Delivery, plan_badly, sign
from tests.fixtures.stripe import USD


def event_of(shop, type):
    return next(n for n, event in enumerate(shop.world.events) if event["type"] == type)


async def test_forged_and_altered_events_are_refused_and_leave_no_trace(shop):
    await shop.paid(await shop.user())
    number = event_of(shop, "checkout.session.completed")
    assert await shop.hear([Delivery(number, "forged"), Delivery(number, "altered")]) == [400, 400]
    assert await shop.keys("topup") == []
    assert await (await shop.owner.execute("SELECT 1 FROM stripe_events")).fetchall() == []


async def test_an_event_told_five_times_and_backwards_is_stored_once_and_posts_once(shop):
    user = await shop.user()
    await shop.paid(user)
    plan = [Delivery(n) for n in reversed(range(len(shop.world.events)))] * 5
    assert set(await shop.hear(plan)) == {200}
    assert len(await shop.keys("topup")) == 1
    rows = await (await shop.owner.execute("SELECT count(*) FROM stripe_events")).fetchall()
    assert rows == [(len(shop.world.events),)]
    await shop.agree()


@pytest.mark.parametrize(
    ("signature", "why"),
    [
        (None, "not good"), ("", "not good"), ("nonsense", "not good"), ("t=1,v0=00", "not good"), ("t=x,v1=00", "not good"),
    ],
)  # fmt: skip
def test_a_signature_that_is_none_is_refused(stripe_gateway, signature, why):
    with pytest.raises(Malformed, match=why):
        stripe_gateway.verify_event(b"{}", signature, thin=False)


@pytest.mark.parametrize("age_s", [400, -400])
async def test_an_old_signature_and_one_from_the_future_are_refused(stripe_gateway, age_s):
    body = json.dumps({"id": "evt_1", "object": "event", "type": "x", "livemode": False}).encode()
    with pytest.raises(Malformed):
        stripe_gateway.verify_event(body, sign(body, SECRET, int(time.time()) - age_s), thin=False)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{}", b"\xff\xfe", b'{"id": 1}'])
@pytest.mark.parametrize("thin", [False, True])
async def test_signed_nonsense_is_no_event(stripe_gateway, body, thin):
    with pytest.raises(Malformed):
        stripe_gateway.verify_event(body, sign(body, SECRET, int(time.time())) if body.isascii() else "t=1,v1=0", thin=thin)


@pytest.mark.parametrize("secret", ["whsec_being_rolled_out", SECRET, SECRET_THIN])
async def test_each_of_our_secrets_is_good_while_one_is_rolled(stripe_gateway, secret):
    body = json.dumps({"id": "evt_1", "object": "event", "type": "x", "livemode": False}).encode()
    assert stripe_gateway.verify_event(body, sign(body, secret, int(time.time())), thin=False).id == "evt_1"


async def test_an_event_of_another_mode_is_stored_and_not_acted_upon(shop):
    await shop.paid(await shop.user())
    for event in shop.world.events:
        event["livemode"] = True
    await shop.hear()
    assert await shop.keys("topup") == []
    assert set(await shop.errors()) == {"of another mode than our key"}


async def test_thin_events_say_when_an_account_is_complete_and_when_it_lacks_something_again(shop):
    owner = await shop.earned()
    rows = "SELECT status, requirements FROM payout_accounts WHERE user_id = %s"
    assert await (await shop.owner.execute(rows, [owner])).fetchone() == ("ready", [])
    account = shop.world.all("v2.core.account")[0]["id"]
    money_out.complete_account(shop.world, account, ("defaults.external_account",))
    assert set(await shop.hear()) == {200}
    status, lacks = await (await shop.owner.execute(rows, [owner])).fetchone()
    assert (status, lacks) == ("onboarding", ["a bank account for payouts"])


async def test_events_that_no_webhook_brought_are_fetched(shop):
    user = await shop.user()
    await shop.paid(user)
    assert await webhooks.fetch_missed_events(shop.database, shop.gateway) > 0
    assert await webhooks.fetch_missed_events(shop.database, shop.gateway) == 0
    await shop.turn()
    assert await shop.available(user) == 20 * USD


async def test_an_event_waits_while_stripe_is_away_and_others_do_not_wait_for_it(shop):
    users = [await shop.user(), await shop.user()]
    for user in users:
        await shop.paid(user)
    shop.stripe.server.faults.add("GET /v1/checkout/sessions/cs_test_000001", "timeout_before", 1)
    plan = [Delivery(n) for n, event in enumerate(shop.world.events) if event["type"] == "checkout.session.completed"]
    for delivery in plan:
        event = shop.world.events[delivery.number]
        body = json.dumps(event).encode()
        await webhooks.receive(shop.database, shop.gateway, body, sign(body, SECRET, shop.world.now()), thin=False)
    await webhooks.handle_events(shop.database, shop.gateway)
    assert [await shop.available(user) for user in users] == [0, 20 * USD]
    await shop.turn()
    assert [await shop.available(user) for user in users] == [20 * USD, 20 * USD]


# ── any delivery, the same books ─────────────────────────────────────────────────────────────────────────────────────────


async def story(shop) -> list[UserId]:
    """Everything that can happen to a requestor's money, none of it heard of yet."""
    users = [await shop.user() for _ in range(4)]
    sessions = [await shop.paid(user, 20) for user in users[:3]]
    late = await shop.begin(users[3], 30)
    money_in.pay_later(shop.world, late.id)
    money_in.arrive(shop.world, late.id)
    won = money_in.dispute(shop.world, sessions[0]["payment_intent"])
    money_in.close_dispute(shop.world, won["id"], won=True)
    lost = money_in.dispute(shop.world, sessions[1]["payment_intent"])
    money_in.close_dispute(shop.world, lost["id"], won=False)
    money_in.dispute(shop.world, sessions[2]["payment_intent"], inquiry=True)
    return users


@given(seed=st.integers(0, 2**32), late=st.booleans())
@settings(
    max_examples=6, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
def test_any_delivery_ends_with_the_same_books(run_shop, seed, late):
    async def scenario(shop):
        chance = random.Random(seed)
        users = await story(shop)
        plan = plan_badly(len(shop.world.events), chance)
        if late:  # half of it comes when the loops have acted upon the rest
            half = len(plan) // 2
            await shop.hear(plan[:half])
            await shop.hear(plan[half:])
        else:
            await shop.hear(plan)
        await webhooks.fetch_missed_events(shop.database, shop.gateway)  # what was dropped
        await shop.turn(4)
        assert [await shop.available(user) for user in users] == [20 * USD, 0, 20 * USD, 30 * USD]
        books = await shop.balances()
        assert books["platform:stripe"] == await shop.gateway.balance()
        assert books["platform:dispute_fees"] == 2 * money_in.DISPUTE_FEE_CENTS * USD // 100
        assert len(await shop.keys("topup")) == len(await shop.keys("stripe_fee")) == 4
        assert len(await shop.keys("chargeback")) == 2
        assert len(await shop.keys("chargeback_won")) == 1
        await shop.agree()
        async with shop.database.reading() as reader:
            assert await ledger.trial_balance(reader) == 0
            assert await ledger.audit(reader) == []
        return len(plan)

    assert run_shop(scenario) >= 0


async def test_a_refund_of_ours_and_one_made_by_hand_are_told_apart(shop):
    user = await shop.funded()
    async with shop.database.transaction() as tx:
        await refunds.request_refund(tx, user, 5 * USD)
    await shop.hear()
    await shop.agree()
    intent = shop.world.all("payment_intent")[0]["id"]
    money_in.create_refund(shop.world, {"payment_intent": intent, "amount": 300}, "")
    await shop.hear()
    assert any("none of ours" in error for error in await shop.errors())
    assert await shop.available(user) == 15 * USD
