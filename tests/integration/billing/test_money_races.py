"""Money and many at once: two payouts, two top-ups and a hold, a dispute and a submit. Nothing is written twice, nothing is overdrawn."""

import asyncio

import pytest
from sqlalchemy import text

from fabric.billing import clawbacks, disputes, flows, ledger, payouts, refunds
from fabric.billing.gateway import BankPayout, Transfer
from fabric.core.errors import FabricError, InsufficientFunds
from fabric.core.ids import JobId
from tests.fixtures.money import USD, Till


async def outcome(act) -> str:
    try:
        await act
    except FabricError as error:
        return error.code
    return "done"


async def test_two_payouts_of_everything_at_once_pay_it_once(till: Till):
    owner, _ = await till.owner(40 * USD)
    answers = await asyncio.gather(*(outcome(till.ask_payout(owner, 40 * USD)) for _ in range(2)))
    assert sorted(answers) == ["done", "insufficient_funds"]


async def test_payouts_asked_for_at_once_never_exceed_what_is_available(till: Till):
    owner, _ = await till.owner(100 * USD)
    answers = await asyncio.gather(*(outcome(till.ask_payout(owner, 30 * USD)) for _ in range(8)))
    assert answers.count("done") == 3
    assert await till.balance("provider:*:available", owner) == 10 * USD


async def test_a_hold_that_races_two_top_ups_gets_its_credit_or_nothing(till: Till):
    for _ in range(5):
        user = await till.user(credit=USD)

        async def hold(user=user):
            async with till.database.transaction() as tx:
                await ledger.place_hold(tx, user, JobId.new(), 2 * USD)

        first, _, second, _ = await asyncio.gather(
            outcome(hold()), till.top_up(user, USD), outcome(hold()), till.top_up(user, USD)
        )
        held = [first, second].count("done")
        assert await till.balance("requestor:*:available", user) == 3 * USD - 2 * USD * held
        assert held <= 1


async def test_one_payment_reported_by_many_at_once_is_credited_once(till: Till):
    user = await till.user()
    made = await asyncio.gather(*(till.top_up(user, USD, "one") for _ in range(10)))
    assert len(set(made)) == 1
    assert await till.balance("requestor:*:available", user) == USD


async def test_answers_of_the_payment_service_that_arrive_many_times_at_once_count_once(till: Till):
    owner, _ = await till.owner(40 * USD)
    payout = await till.ask_payout(owner)

    async def tell(act, found):
        async def once(tx):
            await act(tx, payout.id, found)

        await till.database.retrying(once)

    await asyncio.gather(*(tell(payouts.settle_transfer, Transfer("tr_1", 40 * USD)) for _ in range(8)))
    assert await till.balance("provider:*:in_stripe", owner) == 40 * USD
    await asyncio.gather(*(tell(payouts.settle_bank_payout, BankPayout("po_1", "paid")) for _ in range(8)))
    assert await till.balance("stripe_connected:*", owner) == 0
    await asyncio.gather(*(tell(payouts.settle_bank_payout, BankPayout("po_1", "failed")) for _ in range(8)))
    assert await till.balance("stripe_connected:*", owner) == 40 * USD


async def test_a_refund_and_a_hold_at_once_do_not_both_get_the_last_credit(till: Till):
    for _ in range(5):
        user = await till.user(credit=USD)

        async def refund(user=user):
            async with till.database.transaction() as tx:
                await refunds.request_refund(tx, user, USD)

        async def hold(user=user):
            async with till.database.transaction() as tx:
                await ledger.place_hold(tx, user, JobId.new(), USD)

        assert sorted(await asyncio.gather(outcome(refund()), outcome(hold()))) == ["done", "insufficient_funds"]


@pytest.mark.parametrize("others", [0, 3])
async def test_a_clawback_amid_maturation_takes_from_where_the_money_is(till: Till, others: int):
    for _ in range(4):
        owner = await till.user()
        machine = await till.machine(owner)
        subtasks = [await till.earn(machine, USD) for _ in range(1 + others)]

        async def claw(subtask=subtasks[0]):
            async with till.database.transaction() as tx:
                return await clawbacks.claw_back(tx, subtask, "wrong")

        first, second, *_ = await asyncio.gather(claw(), claw(), till.mature(machine, owner), till.mature(machine, owner))
        assert first.transaction_id == second.transaction_id
        left = await till.balance("provider:*:available", owner) - await till.balance("provider:*:debt", owner)
        assert left + await till.balance("provider:*:pending", machine) == others * USD


async def test_many_reports_of_one_dispute_amid_holds_freeze_once_and_overdraw_nothing(till: Till):
    user = await till.user()
    paid = await till.top_up(user, 5 * USD)

    async def hold():
        async with till.database.transaction() as tx:
            await ledger.place_hold(tx, user, JobId.new(), USD)

    acts = [outcome(hold()) for _ in range(6)] + [outcome(till.open_dispute("dp_1", paid.payment_id, 5 * USD)) for _ in range(4)]
    answers = await asyncio.gather(*acts)
    assert answers[6:] == ["done"] * 4
    held = answers[:6].count("done")
    assert await till.balance("receivable:*", user) == held * USD
    async with till.database.transaction() as tx:
        assert (await disputes.win_dispute(tx, "dp_1")).status == "won"


async def test_writers_of_every_flow_at_once_never_deadlock_for_good_and_the_books_balance(till: Till):
    # Given two owners with machines, and a requestor, that 16 writers share
    owners = [await till.owner(100 * USD) for _ in range(2)]
    user = await till.user(credit=500 * USD)

    async def write(n: int) -> None:
        owner, machine = owners[n % 2]
        for turn in range(6):
            subtask = await till.earn(machine, USD, requestor=user)

            async def matured(tx, machine=machine, owner=owner):
                return await flows.mature(tx, machine, owner, (await tx.execute(text("SELECT now()"))).scalar_one())

            await till.database.retrying(matured)
            if turn % 2:
                await till.database.retrying(lambda tx, subtask=subtask: clawbacks.claw_back(tx, subtask, "wrong"))
            if n % 4 == 0:
                await outcome(till.ask_payout(owner, 30 * USD))
            if n % 4 == 1:
                await till.database.retrying(lambda tx: refunds.request_refund(tx, user, USD))

    # When they all write at once
    await asyncio.gather(*(write(n) for n in range(16)))
    # Then whatever was earned is somewhere, and the audits of the fixture are empty
    earned = sum(
        [await till.balance("provider:*:available", owner) - await till.balance("provider:*:debt", owner) for owner, _ in owners]
    )
    asked = sum([await till.balance("provider:*:in_transit", owner) for owner, _ in owners])
    waiting = sum([await till.balance("provider:*:pending", machine) for _, machine in owners])
    assert earned + asked + waiting == 200 * USD + 16 * 3 * USD


async def test_the_error_of_the_loser_says_what_is_there(till: Till):
    owner, _ = await till.owner(40 * USD)
    with pytest.raises(InsufficientFunds) as refusal:
        await till.ask_payout(owner, 50 * USD)
    assert refusal.value.fields == {"available_nanos": 40 * USD, "wanted_nanos": 50 * USD}
