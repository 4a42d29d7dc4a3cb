"""Money that goes back: refunds of unspent credit, chargebacks, payments to closed wallets."""

import pytest

from fabric.billing import disputes, funding, ledger, limits, refunds, wallet
from fabric.billing.gateway import GatewayRefund, Payment
from fabric.billing.wallet import Balance
from fabric.core.errors import Conflict, IdempotencyMismatch, InsufficientFunds, Invalid, NotFound, WalletFrozen
from fabric.core.ids import JobId, UserId
from tests.fixtures.money import USD, Till


async def refund(till: Till, user: UserId, amount: int | None = None) -> list[refunds.Refund]:
    async with till.database.transaction() as tx:
        return await refunds.request_refund(tx, user, amount)


async def statuses(till: Till, user: UserId) -> list[str]:
    async with till.database.reading() as reader:
        return [made.status for made in await refunds.refunds_of(reader, user, before=None, limit=10)]


async def test_unspent_credit_goes_back_to_the_newest_payments_first(till: Till):
    user = await till.user(credit=10 * USD)
    await till.top_up(user, 5 * USD)
    made = await refund(till, user, 7 * USD)
    assert [part.amount_nanos for part in made] == [5 * USD, 2 * USD]
    assert await till.balance("requestor:*:refund_in_transit", user) == 7 * USD
    await till.advance(2)
    assert await statuses(till, user) == ["done", "done"]
    assert (await till.balance("requestor:*:available", user), await till.balance("platform:stripe")) == (8 * USD, 8 * USD)
    async with till.database.transaction() as tx:
        await ledger.place_hold(tx, user, JobId.new(), 5 * USD)
    with pytest.raises(InsufficientFunds):
        await refund(till, user, 4 * USD)


async def test_everything_that_can_go_back_is_whole_cents_of_what_is_there(till: Till):
    user = await till.user(credit=10 * USD + 3)
    (made,) = await refund(till, user)
    assert made.amount_nanos == 10 * USD
    with pytest.raises(Invalid):
        await refund(till, user)


@pytest.mark.parametrize("amount", [0, -USD, 1])
async def test_a_refund_of_nothing_or_of_parts_of_a_cent_is_refused(till: Till, amount: int):
    with pytest.raises(Invalid):
        await refund(till, await till.user(credit=USD), amount)


async def test_more_than_was_paid_does_not_go_back_and_gifts_never_do(till: Till):
    user = await till.user(credit=USD)
    async with till.database.transaction() as tx:
        await ledger.top_up(tx, user, USD, "an old one without a payment", {})
    with pytest.raises(Conflict):
        await refund(till, user, 2 * USD)


async def test_a_refund_without_an_answer_is_asked_again_and_a_refused_one_is_credit_again(till: Till):
    user = await till.user(credit=2 * USD)
    till.gateway.tell("make_refund", "late", "fine")
    await refund(till, user, USD)
    await till.advance(3)
    till.gateway.tell("make_refund", "The charge is too old.")
    await refund(till, user, USD)
    await till.advance(3)
    assert await statuses(till, user) == ["failed", "done"]
    assert till.gateway.done["make_refund"] == 1
    assert await till.balance("requestor:*:available", user) == USD
    await refund(till, user, USD)  # it can be asked for again


async def test_a_refund_that_comes_back_after_it_arrived_is_credit_again(till: Till):
    user = await till.user(credit=USD)
    (made,) = await refund(till, user, USD)
    await till.advance(2)
    async with till.database.reading() as reader:
        (done,) = await refunds.refunds_of(reader, user, before=None, limit=10)
    for _ in range(2):
        async with till.database.transaction() as tx:
            await refunds.settle_refund(tx, made.id, GatewayRefund(done.gateway_id or "", "failed", "The card was closed."))
    assert await statuses(till, user) == ["failed"]
    assert (await till.balance("requestor:*:available", user), await till.balance("platform:stripe")) == (USD, USD)


async def test_a_payment_that_arrives_after_the_wallet_was_closed_goes_straight_back(till: Till):
    user = await till.user()
    async with till.database.transaction() as tx:
        await limits.close_wallet(tx, user, "wished by its owner")
    first = await till.top_up(user, 5 * USD, "late")
    assert await till.top_up(user, 5 * USD, "late") == first
    assert await statuses(till, user) == ["reserved"]
    assert await till.balance("requestor:*:available", user) == 0
    await till.advance(2)
    assert (await statuses(till, user), await till.balance("platform:stripe")) == (["done"], 0)


async def test_a_payment_of_somebody_unknown_is_kept_and_can_go_back(till: Till):
    nobody = UserId.new()
    async with till.database.transaction() as tx:
        await funding.credit_payment(tx, Payment("cs_1", nobody, USD, "paid", livemode=True), intent_id="pi_1")
    (made,) = await refund(till, nobody)
    await till.advance(2)
    assert (made.payment_id, await statuses(till, nobody)) == ("cs_1", ["done"])


async def test_a_payment_that_failed_is_not_credited_later_by_a_stale_report(till: Till):
    user, payment = await till.user(), Payment("cs_2", UserId.new(), USD, "pending", livemode=True)
    async with till.database.transaction() as tx:
        await funding.note_payment(tx, payment)
        await funding.fail_payment(tx, payment.id)
        with pytest.raises(Conflict):
            await funding.credit_payment(tx, payment)
    assert await till.balance("requestor:*:available", user) == 0


# ── disputes ──


async def test_a_chargeback_takes_what_is_there_freezes_the_wallet_and_thaws_it_when_won(till: Till):
    user = await till.user()
    paid = await till.top_up(user, 10 * USD)
    async with till.database.transaction() as tx:
        await ledger.place_hold(tx, user, JobId.new(), 6 * USD)
    for _ in range(2):
        dispute = await till.open_dispute("dp_1", paid.payment_id, 10 * USD)
        assert (dispute.status, dispute.owed_nanos) == ("open", 6 * USD)
    with pytest.raises(IdempotencyMismatch):
        await till.open_dispute("dp_1", paid.payment_id, 9 * USD)
    assert (await till.balance("requestor:*:available", user), await till.balance("receivable:*", user)) == (0, 6 * USD)
    assert (await till.balance("platform:stripe"), await till.balance("platform:dispute_fees")) == (-15 * USD, 15 * USD)
    async with till.database.reading() as reader:
        with pytest.raises(WalletFrozen, match="bank has taken a payment back"):
            await funding.require_open_wallet(reader, user)
    with pytest.raises(WalletFrozen):
        await refund(till, user, USD)
    for _ in range(2):
        async with till.database.transaction() as tx:
            assert (await disputes.win_dispute(tx, "dp_1", 15 * USD)).status == "won"
    async with till.database.transaction() as tx:
        with pytest.raises(Conflict):
            await disputes.lose_dispute(tx, "dp_1")
    async with till.database.reading() as reader:
        await funding.require_open_wallet(reader, user)
    assert (await till.balance("requestor:*:available", user), await till.balance("receivable:*", user)) == (4 * USD, 0)
    assert await till.balance("platform:stripe") == 10 * USD


async def test_a_lost_dispute_books_the_loss_and_the_wallet_stays_frozen(till: Till):
    user = await till.user()
    paid = await till.top_up(user, 10 * USD)
    async with till.database.transaction() as tx:
        await ledger.place_hold(tx, user, job := JobId.new(), 10 * USD)
    await till.open_dispute("dp_2", paid.payment_id, 10 * USD)
    async with till.database.transaction() as tx:
        await ledger.release_hold(tx, user, job)  # nothing of it was used
    for _ in range(2):
        async with till.database.transaction() as tx:
            assert (await disputes.lose_dispute(tx, "dp_2")).status == "lost"
    assert (await till.balance("requestor:*:available", user), await till.balance("platform:chargeback_loss")) == (0, 0)
    async with till.database.reading() as reader:
        assert (await limits.read_wallet(reader, user)).status == "frozen"
    async with till.database.transaction() as tx:
        with pytest.raises(Conflict):
            await disputes.win_dispute(tx, "dp_2")


async def test_what_was_spent_and_charged_back_is_our_loss(till: Till):
    owner = await till.user()
    user = await till.user()
    paid = await till.top_up(user, 10 * USD)
    await till.earn(await till.machine(owner), 10 * USD, requestor=user)
    await till.open_dispute("dp_3", paid.payment_id, 10 * USD)
    async with till.database.transaction() as tx:
        await disputes.lose_dispute(tx, "dp_3")
    assert (await till.balance("platform:chargeback_loss"), await till.balance("receivable:*", user)) == (10 * USD, 0)


async def test_two_disputes_freeze_until_both_are_won_and_an_operators_freeze_outlives_them(till: Till):
    user = await till.user()
    first, second = await till.top_up(user, USD), await till.top_up(user, USD)
    await till.open_dispute("dp_4", first.payment_id, USD)
    await till.open_dispute("dp_5", second.payment_id, USD)
    frozen = []
    for dispute in ("dp_4", "dp_5"):
        async with till.database.transaction() as tx:
            await disputes.win_dispute(tx, dispute)
            frozen.append((await limits.take_wallet(tx, user)).status)
    third = await till.top_up(user, USD)
    await till.open_dispute("dp_6", third.payment_id, USD)
    async with till.database.transaction() as tx:
        await limits.freeze(tx, user, "looked into")
        await disputes.win_dispute(tx, "dp_6")
        frozen.append((await limits.take_wallet(tx, user)).status)
    assert frozen == ["frozen", "active", "frozen"]


async def test_a_dispute_about_no_payment_of_ours_or_about_nothing_is_refused(till: Till):
    with pytest.raises(NotFound):
        await till.open_dispute("dp_7", "pi_unknown", USD)
    paid = await till.top_up(await till.user(), USD)
    with pytest.raises(Invalid):
        await till.open_dispute("dp_7", paid.payment_id, 0)
    async with till.database.transaction() as tx:
        with pytest.raises(NotFound):
            await disputes.win_dispute(tx, "dp_7")


async def test_a_disputed_payment_is_not_refunded_as_well(till: Till):
    user = await till.user()
    paid = await till.top_up(user, USD)
    other = await till.top_up(user, USD)
    await till.open_dispute("dp_8", paid.payment_id, USD)
    async with till.database.transaction() as tx:
        await limits.thaw(tx, user)
    (made,) = await refund(till, user)
    assert (made.payment_id, made.amount_nanos) == (other.payment_id, USD)


async def test_a_wallet_shows_nothing_of_what_is_on_its_way_out(till: Till):
    user = await till.user(credit=3 * USD)
    await refund(till, user, USD)
    async with till.database.reading() as reader:
        assert await wallet.balance(reader, user) == Balance(2 * USD, 0, 0, 0)
