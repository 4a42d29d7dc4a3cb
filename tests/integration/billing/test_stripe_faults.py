"""Faults of Stripe and of its webhooks: F19 … F24. After each both sides agree to the cent and every audit is empty."""

import random

import pytest

from fabric.billing import flows, ledger, payouts
from fabric.billing.ledger import Capture
from fabric.core.ids import JobId, ProviderId, SubtaskId
from tests.fakestripe import money_in, money_out
from tests.fakestripe.delivery import Delivery, plan_badly
from tests.fixtures.stripe import USD


async def payout_of(shop, owner):
    async with shop.database.reading() as reader:
        (payout,) = await payouts.payouts_of(reader, owner, before=None, limit=10)
    return payout


def owed_nothing_below_zero(books):
    return all(
        amount >= 0 for name, amount in books.items() if name.startswith(("requestor:", "provider:", "job:", "receivable:"))
    )


@pytest.mark.parametrize("seed", range(2))
async def test_f19_webhooks_five_times_reversed_late_and_forged_post_once(shop, seed):
    # Given a payment that Stripe tells of five times, backwards, amid forgeries, all of it days late
    user = await shop.user()
    await shop.paid(user)
    events = len(shop.world.events)
    five = [Delivery(n) for n in reversed(range(events)) for _ in range(5)]
    bad = [d for d in plan_badly(events, random.Random(seed)) if d.how != "plain"] + [
        Delivery(0, "forged"),
        Delivery(1, "altered"),
    ]
    # When they come
    statuses = await shop.hear(bad + five + bad)
    # Then the forged ones were turned away, and one posting was made
    assert statuses.count(400) == 2 * len(bad) and statuses.count(200) == len(five)
    assert len(await shop.keys("topup")) == 1
    assert await shop.available(user) == 20 * USD
    assert await shop.errors() == []
    await shop.agree()


@pytest.mark.parametrize("first", ["payment_intent.succeeded", "checkout.session.completed"])
async def test_f20_intent_and_session_both_tell_in_either_order_and_make_one_top_up(shop, first):
    user = await shop.user()
    await shop.paid(user)
    told = {event["type"]: n for n, event in enumerate(shop.world.events)}
    both = [told["payment_intent.succeeded"], told["checkout.session.completed"]]
    for number in sorted(both, key=lambda n: n != told[first]):
        await shop.hear([Delivery(number)])
        assert await shop.available(user) == 20 * USD
    assert len(await shop.keys("topup")) == 1
    await shop.agree()


async def test_f21_a_transfer_that_times_out_after_its_effect_is_the_same_transfer_under_the_same_key(shop):
    owner = await shop.earned()
    await shop.payout(owner)
    shop.stripe.server.faults.add("POST /v1/transfers", "timeout_after", 3)
    for _ in range(3):
        await shop.owner.execute("UPDATE payouts SET next_try_at = NULL")
        await payouts.advance_payouts(shop.database, shop.gateway)
        assert await shop.keys("transfer") == []  # nothing is known, so nothing is posted
    await shop.turn()
    assert len(await shop.keys("transfer")) == len(shop.world.all("transfer")) == 1
    assert len({given["transfer_group"] for _, path, given in shop.world.calls if path == "/v1/transfers"}) == 1
    await shop.agree()


async def test_f22_a_payout_that_fails_after_the_transfer_and_one_that_was_paid_and_then_fails_leave_the_money_where_it_is(shop):
    owner = await shop.earned()
    await shop.payout(owner)
    await shop.turn()
    payout = await payout_of(shop, owner)
    # The bank does not take it
    money_out.bank_refuses(shop.world, payout.account_id, payout.bank_payout_id)
    await shop.agree_after_events()
    assert (await shop.balances())[f"stripe_connected:{shop.uuid(owner)}"] == 40 * USD
    # It is sent again and paid
    await shop.turn()
    payout = await payout_of(shop, owner)
    money_out.bank_takes(shop.world, payout.account_id, payout.bank_payout_id)
    await shop.agree_after_events()
    assert (await payout_of(shop, owner)).status == "paid"
    # It comes back after all
    money_out.bank_refuses(shop.world, payout.account_id, payout.bank_payout_id)
    await shop.agree_after_events()
    assert (await payout_of(shop, owner)).status == "returned"
    assert (await shop.balances())[f"stripe_connected:{shop.uuid(owner)}"] == 40 * USD
    # … and is sent a third time, and never more than once at a time
    await shop.turn()
    payout = await payout_of(shop, owner)
    money_out.bank_takes(shop.world, payout.account_id, payout.bank_payout_id)
    await shop.agree_after_events()
    paid = [made for made in shop.world.all("payout", payout.account_id) if made["status"] == "paid"]
    assert (len(paid), len(shop.world.all("transfer"))) == (1, 1)
    assert owed_nothing_below_zero(await shop.balances())


async def test_f23_a_reversal_with_an_empty_account_leaves_a_debt_of_the_owner_and_no_account_below_zero(shop):
    # Given an owner who has been sent 40 USD for a result that proves wrong
    requestor, owner = await shop.funded(80), await shop.user()
    job, machine, subtask = JobId.new(), ProviderId.new(), SubtaskId.new()
    async with shop.database.transaction() as tx:
        await ledger.place_hold(tx, requestor, job, 40 * USD)
        await ledger.capture(tx, [Capture(subtask, job, machine, 40 * USD, 0)])
    await shop.mature(machine, owner)
    await shop.onboard(owner)
    await shop.payout(owner)
    await shop.turn()
    payout = await payout_of(shop, owner)
    money_out.bank_refuses(shop.world, payout.account_id, payout.bank_payout_id)
    await shop.agree_after_events()
    async with shop.database.transaction() as tx:
        assert (await flows.claw_back(tx, subtask, owner, "wrong")).owed_nanos == 40 * USD
    # When the transfer is asked back, but the account has been emptied by hand
    shop.world.book("payout", -40_00, "po_by_hand", payout.account_id)
    async with shop.database.transaction() as tx:
        await payouts.request_reversal(tx, payout.id, "a bad result")
    await payouts.advance_payouts(shop.database, shop.gateway)
    # Then nothing was taken, the requestor is whole, and the owner owes it
    books = await shop.balances()
    assert (await payout_of(shop, owner)).status == "in_stripe"
    assert await shop.keys("transfer_reversal") == []
    assert books[f"provider:{shop.uuid(owner)}:debt"] == 40 * USD
    assert await shop.available(requestor) == 80 * USD
    assert owed_nothing_below_zero(books)
    # And what the machine earns next pays it
    async with shop.database.transaction() as tx:
        await ledger.capture(tx, [])
        await ledger.place_hold(tx, requestor, (next_job := JobId.new()), 50 * USD)
        await ledger.capture(tx, [Capture(SubtaskId.new(), next_job, machine, 50 * USD, 0)])
    await shop.mature(machine, owner)
    books = await shop.balances()
    assert f"provider:{shop.uuid(owner)}:debt" not in books
    assert books[f"provider:{shop.uuid(owner)}:available"] == 10 * USD


async def test_f24_a_dispute_while_a_job_runs_and_after_a_payout_freezes_and_books_the_loss(shop):
    # Given a requestor whose job runs, and an owner who has been paid from that payment
    owner = await shop.earned(40)
    await shop.payout(owner)
    await shop.turn()
    payout = await payout_of(shop, owner)
    money_out.bank_takes(shop.world, payout.account_id, payout.bank_payout_id)
    await shop.agree_after_events()
    (payment,) = await (await shop.owner.execute("SELECT user_id FROM payments")).fetchall()
    requestor, running = type(owner).of(payment[0]), JobId.new()
    async with shop.database.transaction() as tx:
        await ledger.place_hold(tx, requestor, running, 30 * USD)
    # When the bank takes the whole payment back
    opened = money_in.dispute(shop.world, shop.world.all("payment_intent")[0]["id"])
    await shop.agree_after_events()
    # Then what is there is taken, the rest is owed, and the job goes on
    books = await shop.balances()
    assert books[f"receivable:{shop.uuid(requestor)}"] == 70 * USD
    async with shop.database.transaction() as tx:
        (captured,) = await ledger.capture(tx, [Capture(SubtaskId.new(), running, ProviderId.new(), 10 * USD, 1000)])
        await ledger.release_hold(tx, requestor, running)
    assert captured.status == "captured"
    # And when it is lost, what came back meanwhile is taken, and the rest is our loss
    money_in.close_dispute(shop.world, opened["id"], won=False)
    await shop.agree_after_events()
    books = await shop.balances()
    assert books["platform:chargeback_loss"] == 50 * USD
    assert f"receivable:{shop.uuid(requestor)}" not in books
    assert (await payout_of(shop, owner)).status == "paid"
    assert owed_nothing_below_zero(books)
