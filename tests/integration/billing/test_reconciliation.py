"""Reconciliation: every difference between Stripe and the ledger is found, said, and left as it is."""

from datetime import timedelta

import pytest

from fabric.billing import corrections, flows, ledger, reconcile, refunds
from fabric.core import clock
from fabric.db.engine import Database
from tests.fakestripe import money_in
from tests.fixtures.stripe import USD

NOW = timedelta(0)


async def compare(shop, **more):
    return await reconcile.reconcile(shop.database, shop.gateway, young=NOW, **more)


def kinds(report):
    return sorted(difference.kind for difference in report.differences)


async def test_an_empty_fabric_agrees(shop):
    report = await compare(shop)
    assert (report.there, report.here, report.differences) == (0, 0, [])


async def test_what_agrees_is_counted(shop):
    await shop.earned()
    report = await compare(shop)
    assert report.differences == []
    assert (report.there, report.here) == (1, 2)  # one charge; its top-up and its fee


async def test_money_that_only_stripe_knows_is_found_and_not_mended(shop):
    await shop.funded()
    shop.world.book("topup", 500, "tu_by_hand")
    before = await shop.keys()
    for _ in range(2):
        report = await compare(shop)
        assert kinds(report) == ["only_there"]
        assert report.differences[0].there_nanos == 5 * USD
    assert await shop.keys() == before


async def test_money_that_only_the_ledger_knows_is_found(shop):
    user = await shop.funded()
    async with shop.database.transaction() as tx:
        await ledger.top_up(tx, user, 7 * USD, "play_1")
    report = await compare(shop)
    assert kinds(report) == ["only_here"]
    assert report.differences[0].here == "topup:play_1"


async def test_another_amount_is_found(shop):
    await shop.funded()
    charge = next(txn for txn in shop.world.all("balance_transaction") if txn["type"] == "charge")
    charge.update(amount=charge["amount"] + 100, net=charge["net"] + 100)
    assert kinds(await compare(shop)) == ["amount"]


async def test_the_same_money_twice_is_found(shop):
    await shop.funded()
    charge = next(txn for txn in shop.world.all("balance_transaction") if txn["type"] == "charge")
    shop.world.book("charge", charge["amount"], charge["source"])
    assert kinds(await compare(shop)) == ["twice"]


async def test_a_balance_that_no_transaction_explains_is_found(shop):
    await shop.funded()
    real = shop.gateway.balance

    async def more(account_id=None):
        return await real(account_id) + USD

    shop.gateway.balance = more
    assert kinds(await compare(shop)) == ["balance"]


async def test_an_owners_account_that_holds_something_else_is_found(shop):
    owner = await shop.earned()
    await shop.payout(owner)
    shop.stripe.server.faults.add("POST /v1/payouts", "429", 99)
    await shop.turn()
    account = shop.world.all("v2.core.account")[0]["id"]
    assert kinds(await compare(shop)) == []
    shop.world.book("payout", -10_00, "po_by_hand", account)
    assert kinds(await compare(shop)) == ["connected"]


async def test_what_is_young_is_on_its_way_and_no_difference(shop):
    await shop.paid(await shop.user())
    report = await reconcile.reconcile(shop.database, shop.gateway)
    assert (report.on_their_way, report.differences) == (1, [])
    assert kinds(await compare(shop)) == ["only_there"]


async def test_a_correction_that_names_the_balance_transaction_settles_a_difference(shop, owner_url):
    await shop.funded()
    txn = shop.world.book("payout", -100, "po_our_profit")
    assert kinds(await compare(shop)) == ["only_there"]
    owner = Database(owner_url, pool_size=1)
    legs = [corrections.leg_of("D platform:goodwill 1.00"), corrections.leg_of("C platform:stripe 1.00")]
    await corrections.correct(owner, txn["id"], legs, operator="Ada", reason="our profit went to our bank")
    await owner.close()
    await shop.agree()


async def test_fees_of_stripe_itself_are_booked_once(shop):
    await shop.funded()
    shop.world.book("stripe_fee", -250, "")
    for _ in range(2):
        await shop.agree()
    assert (await shop.balances())["platform:stripe_fees"] == (250 + money_in.fee_of(2000)) * USD // 100


async def test_only_what_is_lately_is_compared_when_asked(shop):
    user = await shop.funded()
    async with shop.database.transaction() as tx:
        await ledger.top_up(tx, user, 7 * USD, "play_1")
    assert kinds(await compare(shop, since=clock.now() + timedelta(minutes=1))) == ["balance"]


async def test_a_refund_that_failed_before_it_was_posted_is_no_difference(shop):
    user = await shop.funded()
    shop.world.refunds_take_time = True
    async with shop.database.transaction() as tx:
        await refunds.request_refund(tx, user, 5 * USD)
    await shop.turn()
    money_in.refund_arrives(shop.world, shop.world.all("refund")[0]["id"], ok=False)
    await shop.hear()
    assert await shop.keys("refund_paid") == []
    await shop.agree()


@pytest.mark.parametrize("kind", ["charge", "transfer", "refund", "transfer_refund", "adjustment", "payout"])
async def test_each_kind_of_balance_transaction_has_one_place_in_the_ledger(shop, kind):
    shop.world.book(kind, -100, "dp_x" if kind == "adjustment" else "xx_x", category="x")
    assert kinds(await compare(shop)) == ["only_there"]


async def test_a_fee_that_was_booked_with_another_amount_stops_everything(shop):
    await shop.funded()
    txn = shop.world.book("stripe_fee", -250, "")
    async with shop.database.transaction() as tx:
        await flows.stripe_fee(tx, txn["id"], 100)
    with pytest.raises(Exception, match="used before"):
        await compare(shop)
