"""Payouts, refunds and disputes through Stripe, with what goes wrong on the way: money is where the ledger says, and never twice."""

import asyncio
from uuid import UUID

import pytest

from fabric.billing import ledger, limits, payouts, refunds, webhooks
from fabric.billing.ledger import Capture
from fabric.core.errors import Conflict, InsufficientFunds, WalletFrozen
from fabric.core.ids import JobId, ProviderId, SubtaskId, UserId
from tests.fakestripe import money_in, money_out
from tests.fakestripe.delivery import Delivery
from tests.fakestripe.faults import KINDS
from tests.fixtures.stripe import USD

CENT = USD // 100


async def status_of(shop, payout):
    async with shop.database.reading() as reader:
        return (await payouts.get_payout(reader, payout.user_id, payout.id)).status


async def bank_payout_of(shop, owner):
    async with shop.database.reading() as reader:
        (payout,) = await payouts.payouts_of(reader, owner, before=None, limit=10)
    return payout.account_id, payout.bank_payout_id


async def test_an_owner_is_paid_and_both_sides_agree_after_each_step(shop):
    owner = await shop.earned()
    payout = await shop.payout(owner)
    await shop.agree()
    await shop.turn()
    assert await status_of(shop, payout) == "in_stripe"
    await shop.agree()
    account, bank_payout = await bank_payout_of(shop, owner)
    money_out.bank_takes(shop.world, account, bank_payout)
    await shop.hear()
    assert await status_of(shop, payout) == "paid"
    assert await shop.gateway.balance(account) == 0
    assert len(shop.world.all("transfer")) == len(shop.world.all("payout", account)) == 1
    await shop.agree()


@pytest.mark.parametrize("fault", KINDS)
@pytest.mark.parametrize("route", ["POST /v1/transfers", "POST /v1/payouts", "GET /v1/payouts"])
async def test_a_fault_on_the_way_moves_money_once(shop, route, fault):
    owner = await shop.earned()
    payout = await shop.payout(owner)
    shop.stripe.server.faults.add(route, fault, 2)
    await shop.turn(6)
    account, bank_payout = await bank_payout_of(shop, owner)
    money_out.bank_takes(shop.world, account, bank_payout)
    await shop.turn(2)
    assert await status_of(shop, payout) == "paid"
    assert shop.stripe.server.faults.met
    assert len(shop.world.all("transfer")) == len(shop.world.all("payout", account)) == 1
    await shop.agree()


async def test_a_transfer_that_timed_out_after_its_effect_is_found_when_its_key_has_died(shop):
    owner = await shop.earned()
    payout = await shop.payout(owner)
    shop.stripe.server.faults.add("POST /v1/transfers", "timeout_after")
    await payouts.advance_payouts(shop.database, shop.gateway)
    assert await status_of(shop, payout) == "transferring"
    await shop.owner.execute("UPDATE stripe_calls SET created_at = now() - interval '2 days'")
    shop.world.offset_s = 2 * 86_400
    await shop.turn(2)
    assert len(shop.world.all("transfer")) == 1
    assert await status_of(shop, payout) == "in_stripe"
    await shop.agree()


async def test_the_event_of_a_transfer_settles_it_when_its_answer_was_lost(shop):
    owner = await shop.earned()
    payout = await shop.payout(owner)
    shop.stripe.server.faults.add("POST /v1/transfers", "timeout_after")
    await payouts.advance_payouts(shop.database, shop.gateway)
    shop.stripe.server.faults.add("POST /v1/payouts", "timeout_before", 99)
    await shop.hear()
    assert await status_of(shop, payout) == "in_stripe"
    assert len(await shop.keys("transfer")) == 1


async def test_a_transfer_that_is_refused_gives_the_earnings_back(shop):
    owner = await shop.earned()
    account = shop.world.all("v2.core.account")[0]["id"]
    payout = await shop.payout(owner)
    money_out.complete_account(shop.world, account, ("identity.individual.documents",))
    await shop.turn()
    assert await status_of(shop, payout) == "unreserved"
    assert (await shop.balances())[provider(owner, "available")] == 40 * USD
    assert shop.world.all("transfer") == []
    await shop.agree()


def provider(owner: UserId, kind: str) -> str:
    return f"provider:{UUID(owner.hex)}:{kind}"


async def test_a_bank_that_refuses_is_tried_again_and_the_owner_is_paid_once(shop):
    owner = await shop.earned()
    payout = await shop.payout(owner)
    await shop.turn()
    account, first = await bank_payout_of(shop, owner)
    money_out.bank_refuses(shop.world, account, first)
    await shop.hear()
    await shop.agree()
    account, second = await bank_payout_of(shop, owner)
    assert second not in {None, first}
    money_out.bank_takes(shop.world, account, second)
    await shop.hear()
    assert await status_of(shop, payout) == "paid"
    assert len(shop.world.all("transfer")) == 1
    await shop.agree()


async def test_money_that_comes_back_after_it_was_paid_is_sent_once_more(shop):
    owner = await shop.earned()
    payout = await shop.payout(owner)
    await shop.turn()
    account, first = await bank_payout_of(shop, owner)
    money_out.bank_takes(shop.world, account, first)
    await shop.hear()
    assert await status_of(shop, payout) == "paid"
    money_out.bank_refuses(shop.world, account, first)
    await shop.hear()
    await shop.turn(4)
    account, second = await bank_payout_of(shop, owner)
    assert second not in {None, first}
    money_out.bank_takes(shop.world, account, second)
    await shop.hear()
    assert await status_of(shop, payout) == "paid"
    assert (len(await shop.keys("payout_paid")), len(await shop.keys("payout_returned"))) == (2, 1)
    await shop.agree()


async def test_money_that_comes_back_is_noticed_though_no_event_came(shop):
    owner = await shop.earned()
    payout = await shop.payout(owner)
    await shop.turn()
    account, first = await bank_payout_of(shop, owner)
    money_out.bank_takes(shop.world, account, first)
    await shop.turn(2)
    assert await status_of(shop, payout) == "paid"
    money_out.bank_refuses(shop.world, account, first)
    assert await webhooks.look_at_paid_payouts(shop.database, shop.gateway) == 1
    assert await status_of(shop, payout) == "returned"
    await shop.agree()


async def test_a_bank_that_answers_before_our_call_does_costs_no_attempt(shop):
    # Given a payout whose bank takes the money and sends it back while the answer to our own call is on its way
    owner = await shop.earned()
    payout = await shop.payout(owner)
    shop.stripe.server.faults.add("POST /v1/payouts", "timeout_after")
    await payouts.advance_payouts(shop.database, shop.gateway)
    await payouts.advance_payouts(shop.database, shop.gateway)
    (account,) = [made["id"] for made in shop.world.all("v2.core.account")]
    (first,) = shop.world.all("payout", account)
    assert await bank_payout_of(shop, owner) == (account, None)
    money_out.bank_takes(shop.world, account, first["id"])
    await tell_bank_payout(shop, payout, account, first["id"])
    assert await status_of(shop, payout) == "paid"
    money_out.bank_refuses(shop.world, account, first["id"])
    await tell_bank_payout(shop, payout, account, first["id"])
    assert await status_of(shop, payout) == "returned"
    # When it is due again
    await shop.owner.execute("UPDATE payouts SET next_try_at = NULL")
    await payouts.advance_payouts(shop.database, shop.gateway)
    # Then that very turn sends it once more, and does not find only the attempt that failed
    account, second = await bank_payout_of(shop, owner)
    assert second not in {None, first["id"]}
    await shop.agree()


async def test_a_bank_that_refuses_before_our_call_is_answered_is_asked_again_by_the_next_attempt(shop):
    owner = await shop.earned()
    payout = await shop.payout(owner)
    shop.stripe.server.faults.add("POST /v1/payouts", "timeout_after")
    await payouts.advance_payouts(shop.database, shop.gateway)
    await payouts.advance_payouts(shop.database, shop.gateway)
    (account,) = [made["id"] for made in shop.world.all("v2.core.account")]
    (first,) = shop.world.all("payout", account)
    money_out.bank_refuses(shop.world, account, first["id"])
    await tell_bank_payout(shop, payout, account, first["id"])
    await shop.owner.execute("UPDATE payouts SET next_try_at = NULL")
    await payouts.advance_payouts(shop.database, shop.gateway)
    assert (await bank_payout_of(shop, owner))[1] not in {None, first["id"]}
    await shop.agree()


async def tell_bank_payout(shop, payout, account, bank_payout):
    found, _ = await shop.gateway.payout_of(account, bank_payout)
    async with shop.database.transaction() as tx:
        await payouts.settle_bank_payout(tx, payout.id, found)


async def test_a_payout_asked_for_twice_at_once_is_paid_from_what_there_is(shop):
    owner = await shop.earned(40)
    answers = await asyncio.gather(shop.payout(owner), shop.payout(owner), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["InsufficientFunds", "Payout"]
    with pytest.raises(InsufficientFunds):
        await shop.payout(owner, 41)
    await shop.turn()
    assert len(shop.world.all("transfer")) == 1


async def test_a_transfer_is_taken_back_only_while_the_account_holds_it(shop):
    owner = await shop.earned()
    payout = await shop.payout(owner)
    await shop.turn()
    account, first = await bank_payout_of(shop, owner)
    money_out.bank_refuses(shop.world, account, first)
    found = await shop.gateway.payout_of(account, first)
    async with shop.database.transaction() as tx:
        await payouts.settle_bank_payout(tx, payout.id, found[0])
        await payouts.request_reversal(tx, payout.id, "an operator wants it back")
    shop.world.book("payout", -40_00, "po_by_hand", account)  # the owner was faster
    await payouts.advance_payouts(shop.database, shop.gateway)
    assert await status_of(shop, payout) == "in_stripe"
    assert await shop.keys("transfer_reversal") == []
    shop.world.book("payout_failure", 40_00, "po_by_hand", account)
    async with shop.database.transaction() as tx:
        await payouts.request_reversal(tx, payout.id, "again")
    await shop.owner.execute("UPDATE payouts SET next_try_at = NULL")
    await payouts.advance_payouts(shop.database, shop.gateway)
    assert await status_of(shop, payout) == "reversed"
    assert (await shop.balances())[provider(owner, "available")] == 40 * USD
    await shop.agree()


# ── refunds ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def refund(shop, user, usd):
    async with shop.database.transaction() as tx:
        (made,) = await refunds.request_refund(tx, user, usd * USD)
    return made


@pytest.mark.parametrize("fault", KINDS)
async def test_a_fault_on_the_way_refunds_once(shop, fault):
    user = await shop.funded()
    shop.stripe.server.faults.add("POST /v1/refunds", fault, 2)
    await refund(shop, user, 5)
    await shop.turn(4)
    assert [r["amount"] for r in shop.world.all("refund")] == [500]
    assert await shop.keys("refund_paid")
    await shop.agree()


async def test_a_refund_takes_days_and_both_sides_agree_meanwhile(shop):
    user = await shop.funded()
    shop.world.refunds_take_time = True
    await refund(shop, user, 5)
    await shop.turn()
    await shop.agree()
    (sent,) = shop.world.all("refund")
    assert await shop.keys("refund_paid") == []
    money_in.refund_arrives(shop.world, sent["id"])
    await shop.hear()
    assert len(await shop.keys("refund_paid")) == 1
    await shop.agree()


@pytest.mark.parametrize("after_days", [False, True])
async def test_a_refund_that_comes_back_is_credit_again(shop, after_days):
    user = await shop.funded()
    shop.world.refunds_take_time = not after_days
    await refund(shop, user, 5)
    await shop.turn()
    assert await shop.available(user) == 15 * USD
    money_in.refund_arrives(shop.world, shop.world.all("refund")[0]["id"], ok=False)
    await shop.hear()
    assert await shop.available(user) == 20 * USD
    await shop.agree()


async def test_what_was_spent_does_not_go_back(shop):
    user, job = await shop.funded(), JobId.new()
    async with shop.database.transaction() as tx:
        await ledger.place_hold(tx, user, job, 18 * USD)
    with pytest.raises(InsufficientFunds):
        await refund(shop, user, 5)
    with pytest.raises(Conflict):
        await refund(shop, user, 21)


# ── disputes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_dispute_while_a_job_runs_freezes_books_the_loss_and_lets_the_job_be_paid(shop):
    user, job, machine = await shop.funded(), JobId.new(), ProviderId.new()
    async with shop.database.transaction() as tx:
        await ledger.place_hold(tx, user, job, 12 * USD)
    money_in.dispute(shop.world, shop.world.all("payment_intent")[0]["id"])
    await shop.hear()
    await shop.agree()
    books = await shop.balances()
    assert books["platform:dispute_fees"] == 15 * USD
    assert sum(amount for name, amount in books.items() if name.startswith("receivable:")) == 12 * USD
    async with shop.database.transaction() as tx:
        assert (await limits.read_wallet(tx, user)).status == "frozen"
        (captured,) = await ledger.capture(tx, [Capture(SubtaskId.new(), job, machine, 2 * USD, 1000)])
    assert captured.status == "captured"
    with pytest.raises(WalletFrozen):
        await shop.begin(user, key="more")
    with pytest.raises(WalletFrozen):
        await refund(shop, user, 1)


async def test_a_dispute_that_is_won_brings_everything_back_and_thaws(shop):
    user = await shop.funded()
    opened = money_in.dispute(shop.world, shop.world.all("payment_intent")[0]["id"])
    await shop.hear()
    assert await shop.available(user) == 0
    money_in.close_dispute(shop.world, opened["id"], won=True, fee_back=money_in.DISPUTE_FEE_CENTS)
    await shop.hear()
    assert await shop.available(user) == 20 * USD
    assert "platform:dispute_fees" not in await shop.balances()
    async with shop.database.reading() as reader:
        assert (await limits.read_wallet(reader, user)).status == "active"
    await shop.agree()


async def test_a_dispute_that_is_lost_after_the_money_was_spent_and_paid_out_is_our_loss(shop):
    owner = await shop.earned()
    payout = await shop.payout(owner)
    await shop.turn()
    account, bank_payout = await bank_payout_of(shop, owner)
    money_out.bank_takes(shop.world, account, bank_payout)
    await shop.hear()
    intent = shop.world.all("payment_intent")[0]
    opened = money_in.dispute(shop.world, intent["id"])
    money_in.close_dispute(shop.world, opened["id"], won=False)
    await shop.hear()
    books = await shop.balances()
    assert books["platform:chargeback_loss"] == 40 * USD  # half of it was still there
    assert await status_of(shop, payout) == "paid"
    assert all(amount >= 0 for name, amount in books.items() if name.startswith(("requestor:", "provider:", "job:")))
    await shop.agree()


async def test_a_dispute_that_is_told_before_its_payment_is_booked_after_it(shop):
    user = await shop.user()
    session = await shop.paid(user)
    first = len(shop.world.events)
    money_in.dispute(shop.world, session["payment_intent"])
    await shop.hear([Delivery(n) for n in range(first, len(shop.world.events))])
    assert await shop.keys("chargeback")
    assert await shop.available(user) == 0
    await shop.hear([Delivery(n) for n in range(first)])
    assert await shop.available(user) == 0
    await shop.agree()


async def test_an_inquiry_moves_nothing(shop):
    user = await shop.funded()
    money_in.dispute(shop.world, shop.world.all("payment_intent")[0]["id"], inquiry=True)
    await shop.hear()
    assert await shop.available(user) == 20 * USD
    await shop.agree()
