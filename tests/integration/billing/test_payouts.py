"""Earnings on their way to the bank, and everything that can go wrong with them."""

import pytest
from sqlalchemy import text

from fabric.billing import clawbacks, limits, payout_accounts, payouts
from fabric.billing.gateway import BankPayout, ConnectedAccount
from fabric.core.errors import AlreadyExists, Conflict, InsufficientFunds, Invalid, NotFound, NotOnboarded, WalletFrozen
from fabric.core.ids import PayoutId, UserId
from tests.fixtures.money import BILLING, USD, Till


async def where(till: Till, owner: UserId) -> tuple[int, int, int, int]:
    """Available, in transit, in Stripe, and what Stripe's account has."""
    kinds = ("provider:*:available", "provider:*:in_transit", "provider:*:in_stripe", "stripe_connected:*")
    return tuple([await till.balance(kind, owner) for kind in kinds])  # type: ignore[return-value]


async def test_a_payout_goes_step_by_step_to_the_bank(till: Till):
    owner, _ = await till.owner(50 * USD + 5)
    payout = await till.ask_payout(owner)
    assert (payout.status, payout.amount_nanos) == ("reserved", 50 * USD)
    assert await where(till, owner) == (5, 50 * USD, 0, 0)
    await till.advance()
    assert (await till.payout(owner, payout.id)).status == "in_stripe"
    assert await where(till, owner) == (5, 0, 50 * USD, 50 * USD)
    await till.advance(2)
    done = await till.payout(owner, payout.id)
    assert (done.status, done.failure) == ("paid", None)
    assert done.finished_at is not None
    assert await where(till, owner) == (5, 0, 0, 0)
    await till.advance(3)
    assert till.gateway.done == {"make_transfer": 1, "make_bank_payout": 1}


async def test_no_answer_to_a_transfer_posts_nothing_and_the_same_call_is_made_again(till: Till):
    owner, _ = await till.owner(40 * USD)
    payout = await till.ask_payout(owner)
    till.gateway.tell("make_transfer", "lost", "late", "lost")
    for _ in range(3):
        await till.advance()
        assert (await till.payout(owner, payout.id)).status == "transferring"
        assert await where(till, owner) == (0, 40 * USD, 0, 0)
    await till.advance()
    assert await where(till, owner) == (0, 0, 40 * USD, 40 * USD)
    assert till.gateway.done["make_transfer"] == 1


async def test_a_transfer_refused_for_certain_gives_the_money_back(till: Till):
    owner, _ = await till.owner(40 * USD)
    payout = await till.ask_payout(owner)
    till.gateway.tell("make_transfer", "The account cannot receive transfers.")
    await till.advance(2)
    failed = await till.payout(owner, payout.id)
    assert (failed.status, failed.failure) == ("unreserved", "The account cannot receive transfers.")
    assert await where(till, owner) == (40 * USD, 0, 0, 0)
    again = await till.ask_payout(owner)
    await till.advance(3)
    assert (await till.payout(owner, again.id)).status == "paid"


async def test_a_bank_that_refuses_is_tried_again_with_the_money_where_it_is(till: Till):
    owner, _ = await till.owner(40 * USD)
    payout = await till.ask_payout(owner)
    till.gateway.tell("make_bank_payout", "No bank account.", "late")
    await till.advance(2)
    waiting = await till.payout(owner, payout.id)
    assert (waiting.status, waiting.failure) == ("in_stripe", "No bank account.")
    assert await where(till, owner) == (0, 0, 40 * USD, 40 * USD)
    await till.advance(3)
    assert (await till.payout(owner, payout.id)).status == "paid"
    assert till.gateway.done["make_bank_payout"] == 1


async def test_a_bank_that_fails_before_it_paid_and_one_that_sends_it_back(till: Till):
    owner, _ = await till.owner(40 * USD)
    payout = await till.ask_payout(owner)
    await till.advance(2)
    first = (await till.payout(owner, payout.id)).bank_payout_id
    assert first is not None
    till.gateway.banks[first] = BankPayout(first, "failed", "The account is closed.")
    await till.advance()
    assert (await till.payout(owner, payout.id)).failure == "The account is closed."
    await till.advance(2)
    paid = await till.payout(owner, payout.id)
    assert (paid.status, await where(till, owner)) == ("paid", (0, 0, 0, 0))
    # Then the bank sends it back, and says so three times, with an old message in between
    for found in (
        BankPayout(paid.bank_payout_id or "", "failed", "Returned."),
        BankPayout(first, "failed"),
        BankPayout(first, "paid"),
    ):
        for _ in range(2):
            async with till.database.transaction() as tx:
                await payouts.settle_bank_payout(tx, payout.id, found)
        if found.id == paid.bank_payout_id:
            assert (await till.payout(owner, payout.id)).status == "returned"
            assert await where(till, owner) == (0, 0, 40 * USD, 40 * USD)
            await till.advance()
    await till.advance()
    assert (await till.payout(owner, payout.id)).status == "paid"
    assert till.gateway.done["make_bank_payout"] == 3


async def test_money_that_rests_at_the_payment_service_is_taken_back_and_debts_are_paid_from_it(till: Till):
    owner, machine = await till.owner(40 * USD)
    bad = await till.earn(machine, 2 * USD)
    await till.mature(machine, owner)
    payout = await till.ask_payout(owner, 40 * USD)
    till.gateway.tell("make_bank_payout", "No bank account.")
    await till.advance(2)
    async with till.database.transaction() as tx:
        await clawbacks.claw_back(tx, bad, "wrong")
    async with till.database.transaction() as tx:
        await payouts.request_reversal(tx, payout.id, "fraud")
    # F23: the connected account is empty first; nothing is posted and the debt stays
    till.gateway.tell("reverse_transfer", "Insufficient balance.", "lost")
    await till.advance()
    assert (await till.payout(owner, payout.id)).failure == "Insufficient balance."
    assert (await till.balance("provider:*:debt", owner), (await where(till, owner))[2:]) == (2 * USD, (40 * USD, 40 * USD))
    async with till.database.transaction() as tx:
        await payouts.request_reversal(tx, payout.id, "fraud")
    await till.advance(2)
    assert (await till.payout(owner, payout.id)).status == "reversed"
    assert await till.balance("provider:*:debt", owner) == 0
    assert await where(till, owner) == (40 * USD, 0, 0, 0)


async def test_what_the_bank_has_or_may_have_is_not_taken_back(till: Till):
    owner, _ = await till.owner(40 * USD)
    payout = await till.ask_payout(owner)
    for turns in (0, 2, 1):
        await till.advance(turns)
        async with till.database.transaction() as tx:
            with pytest.raises(Conflict):
                await payouts.request_reversal(tx, payout.id, "too early or too late")
    with pytest.raises(NotFound):
        async with till.database.transaction() as tx:
            await payouts.request_reversal(tx, PayoutId.new(), "-")


@pytest.mark.parametrize("amount", [0, -30 * USD, 30 * USD - 10_000_000, 30 * USD + 1])
async def test_an_amount_that_is_none_too_small_or_no_cents_is_refused(till: Till, amount: int):
    owner, _ = await till.owner(100 * USD)
    with pytest.raises(Invalid):
        await till.ask_payout(owner, amount)


async def test_more_than_has_matured_is_refused_and_nothing_is_written(till: Till):
    owner, machine = await till.owner(40 * USD)
    await till.earn(machine, 100 * USD)
    with pytest.raises(InsufficientFunds):
        await till.ask_payout(owner, 41 * USD)
    assert await where(till, owner) == (40 * USD, 0, 0, 0)


async def test_a_debt_is_paid_before_its_owner_is(till: Till):
    owner, machine = await till.owner(38 * USD)
    bad = await till.earn(machine, 2 * USD)
    await till.mature(machine, owner)
    async with till.database.transaction() as tx:
        assert (await clawbacks.claw_back(tx, bad, "wrong")).owed_nanos == 2 * USD
    with pytest.raises(InsufficientFunds):
        await till.ask_payout(owner, 40 * USD)
    assert (await till.ask_payout(owner)).amount_nanos == 38 * USD
    assert await till.balance("provider:*:debt", owner) == 0


async def test_without_a_complete_account_nothing_is_paid_and_it_says_what_is_missing(till: Till):
    owner = await till.user()
    machine = await till.machine(owner)
    await till.earn(machine, 40 * USD)
    await till.mature(machine, owner)
    with pytest.raises(NotOnboarded):
        await till.ask_payout(owner)
    opened = await till.onboard(owner)
    till.gateway.accounts[opened.gateway_id] = ConnectedAccount(opened.gateway_id, "restricted", ("the date of birth",))
    await payout_accounts.refreshed(till.database, till.gateway, owner)
    with pytest.raises(NotOnboarded, match="the date of birth"):
        await till.ask_payout(owner)
    assert await payout_accounts.refreshed(till.database, till.gateway, await till.user()) is None


async def test_a_frozen_owner_is_not_paid(till: Till):
    owner, _ = await till.owner(40 * USD)
    async with till.database.transaction() as tx:
        await limits.freeze(tx, owner, "looked into")
    with pytest.raises(WalletFrozen):
        await till.ask_payout(owner)


async def test_weekly_owners_are_paid_once_a_week_and_only_what_is_enough(till: Till):
    rich, _ = await till.owner(40 * USD)
    poor, _ = await till.owner(20 * USD)
    manual, _ = await till.owner(40 * USD)
    for owner in (rich, poor):
        async with till.database.transaction() as tx:
            await payout_accounts.set_schedule(tx, owner, "weekly")
    assert [await payouts.pay_weekly(till.database, BILLING) for _ in range(2)] == [1, 0]
    async with till.database.reading() as reader:
        made = {owner: await payouts.payouts_of(reader, owner, before=None, limit=10) for owner in (rich, poor, manual)}
    assert [len(made[owner]) for owner in (rich, poor, manual)] == [1, 0, 0]
    assert made[rich][0].week is not None
    with pytest.raises(AlreadyExists):
        other, _ = rich, await till.earn(machine := await till.machine(rich), 40 * USD)
        await till.mature(machine, rich)
        await till.ask_payout(other, week=made[rich][0].week)


async def test_a_call_that_is_a_day_old_is_looked_up_before_it_is_made_again(till: Till):
    owner, _ = await till.owner(40 * USD)
    payout = await till.ask_payout(owner)
    till.gateway.tell("make_transfer", "late")
    await till.advance()
    async with till.database.transaction() as tx:
        await tx.execute(text("UPDATE stripe_calls SET created_at = now() - interval '25 hours'"))
    looked: list[PayoutId] = []

    async def find_transfer(payout_id):
        looked.append(payout_id)
        return next(iter(till.gateway.keys.values()))

    till.gateway.find_transfer = find_transfer  # type: ignore[method-assign]
    till.gateway.keys = dict(till.gateway.keys)
    await till.advance()
    assert looked == [payout.id]
    assert (await till.payout(owner, payout.id)).status == "in_stripe"
