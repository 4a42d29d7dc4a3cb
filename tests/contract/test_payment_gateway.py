"""The promises of fabric.billing.gateway, by number, for every gateway: play money, Stripe's fake, and Stripe's sandbox if there is a key."""

import os
from dataclasses import dataclass

import pytest

from fabric.billing.fake_gateway import FakeGateway
from fabric.billing.gateway import GatewayRefused
from fabric.billing.stripe_gateway import StripeGateway
from fabric.core.ids import PayoutId, RefundId, UserId
from tests.fakestripe import money_in, money_out
from tests.fixtures.stripe import listening

USD = 10**9
SANDBOX_KEY = os.environ.get("STRIPE_SANDBOX_KEY", "")
EMAIL = "owner@example.com"


@dataclass
class World:
    """A gateway, and what people and banks do there that no gateway can ask for; None: it happens by itself, or nobody can do it."""

    gateway: object
    stripe: object = None  # a fakestripe

    async def an_account(self):
        opened = await self.gateway.open_account(UserId.new(), EMAIL, f"account:{UserId.new().hex}")
        if self.stripe is not None:
            money_out.complete_account(self.stripe.world, opened.id)
        return opened.id

    async def a_paid_payment(self, amount_nanos=20 * USD):
        payment = await self.gateway.begin_payment(UserId.new(), amount_nanos, f"key:{UserId.new().hex}")
        if self.stripe is None:
            return payment.id
        session = money_in.pay(self.stripe.world, payment.id)
        return session["payment_intent"]

    async def a_transfer(self, account, payout=None, amount=5 * USD):
        payout = payout or PayoutId.new()
        return await self.gateway.make_transfer(f"transfer:{payout.hex}", account, amount, payout)


@pytest.fixture(params=["play", "fakestripe", "sandbox"])
async def world(request):
    if request.param == "play":
        yield World(FakeGateway())
    elif request.param == "fakestripe":
        async with listening() as stripe:
            gateway = stripe.gateway()
            yield World(gateway, stripe)
            await gateway.close()
    else:
        if not SANDBOX_KEY.startswith("sk_test_"):
            pytest.skip("needs STRIPE_SANDBOX_KEY, a test key of Stripe's")
        gateway = StripeGateway(SANDBOX_KEY, return_url="https://example.com")
        yield World(gateway)
        await gateway.close()


@pytest.fixture
def gateway(world):
    return world.gateway


@pytest.fixture
def movable(request, world):
    """A world in which owners are onboarded and money is there; nobody can do that in the sandbox without a browser."""
    if isinstance(world.gateway, StripeGateway) and world.stripe is None:
        pytest.skip("onboarding in the sandbox needs a person")
    return world


async def test_1_the_same_key_of_a_user_is_the_same_payment(gateway):
    user = UserId.new()
    assert await gateway.begin_payment(user, 5 * USD, "key") == await gateway.begin_payment(user, 5 * USD, "key")


async def test_1_other_keys_and_other_users_are_other_payments(gateway):
    user = UserId.new()
    payments = [
        await gateway.begin_payment(*given)
        for given in ((user, 5 * USD, "a"), (user, 5 * USD, "b"), (UserId.new(), 5 * USD, "a"))
    ]
    assert len({payment.id for payment in payments}) == 3


async def test_2_a_payment_is_of_whom_and_what_was_asked(gateway):
    user = UserId.new()
    payment = await gateway.begin_payment(user, 5 * USD, "key")
    assert (payment.user_id, payment.amount_nanos) == (user, 5 * USD)
    assert payment.status in {"pending", "paid"}
    assert payment.url is not None or payment.status == "paid"


async def test_3_a_payment_says_whether_it_is_real_money(gateway):
    assert (await gateway.begin_payment(UserId.new(), 5 * USD, "key")).livemode == gateway.livemode


async def test_3_play_money_is_never_real():
    assert FakeGateway().livemode is False


async def test_payouts_8_an_account_that_lacks_something_says_so_in_words(gateway):
    opened = await gateway.open_account(UserId.new(), EMAIL, f"account:{UserId.new().hex}")
    assert (opened.status == "ready") == (opened.requirements == ())
    assert all("." not in words and "_" not in words for words in opened.requirements)
    assert await gateway.account(opened.id) == opened


async def test_payouts_8_an_account_has_a_page_where_it_is_completed(gateway):
    opened = await gateway.open_account(UserId.new(), EMAIL, f"account:{UserId.new().hex}")
    assert (await gateway.onboarding_link(opened.id, "https://example.com/back")).startswith("https://")


async def test_payouts_8_a_complete_account_is_ready(movable):
    assert (await movable.gateway.account(await movable.an_account())).status == "ready"


async def test_payouts_1_the_same_key_is_the_same_account(gateway):
    user, key = UserId.new(), f"account:{UserId.new().hex}"
    assert (await gateway.open_account(user, EMAIL, key)).id == (await gateway.open_account(user, EMAIL, key)).id


async def test_payouts_1_the_same_key_is_the_same_transfer_and_it_is_of_what_was_asked(movable):
    await movable.a_paid_payment()
    account, payout = await movable.an_account(), PayoutId.new()
    made = await movable.a_transfer(account, payout)
    assert made.amount_nanos == 5 * USD
    assert await movable.a_transfer(account, payout) == made
    assert await movable.gateway.find_transfer(payout) in {made, None if movable.stripe is None else made}


async def test_payouts_1_every_payout_has_a_transfer_of_its_own(movable):
    await movable.a_paid_payment()
    account = await movable.an_account()
    assert (await movable.a_transfer(account)).id != (await movable.a_transfer(account)).id


async def test_payouts_4_money_goes_on_to_the_bank_and_what_is_asked_again_is_the_same(movable):
    await movable.a_paid_payment()
    account, payout = await movable.an_account(), PayoutId.new()
    await movable.a_transfer(account, payout)
    made = [await movable.gateway.make_bank_payout("po-1", account, 5 * USD, payout, 1) for _ in range(2)]
    assert made[0].id == made[1].id
    assert made[0].status == "pending"
    if movable.stripe is not None:
        money_out.bank_takes(movable.stripe.world, account, made[0].id)
    assert (await movable.gateway.bank_payout(account, made[0].id)).status == "paid"


async def test_payouts_5_a_transfer_is_reversed_once(movable):
    await movable.a_paid_payment()
    transfer = await movable.a_transfer(await movable.an_account())
    first = await movable.gateway.reverse_transfer("rev", transfer.id, 5 * USD)
    assert await movable.gateway.reverse_transfer("rev", transfer.id, 5 * USD) == first
    assert await movable.gateway.find_reversal(transfer.id) in {first, None if movable.stripe is None else first}


async def test_payouts_6_a_refund_is_sent_once_for_its_key_and_in_pieces(movable):
    paid, refunds = await movable.a_paid_payment(), [RefundId.new(), RefundId.new()]
    made = [await movable.gateway.make_refund(f"re-{n}", paid, 6 * USD, id) for n, id in [*enumerate(refunds), (0, refunds[0])]]
    assert made[0].id == made[2].id != made[1].id
    assert (await movable.gateway.refund(made[0].id)).status == "done"


# What play money does not know: refusals for certain. They need a service with balances.


@pytest.fixture
def bounded(movable):
    if movable.stripe is None:
        pytest.skip("play money has no end")
    return movable


async def test_payouts_2_a_transfer_beyond_the_balance_or_to_an_incomplete_account_is_refused_for_certain(bounded):
    account = await bounded.an_account()
    with pytest.raises(GatewayRefused, match="insufficient"):
        await bounded.a_transfer(account)
    await bounded.a_paid_payment()
    opened = await bounded.gateway.open_account(UserId.new(), EMAIL, f"account:{UserId.new().hex}")
    with pytest.raises(GatewayRefused, match="capability"):
        await bounded.a_transfer(opened.id)
    with pytest.raises(GatewayRefused, match="No such"):
        await bounded.a_transfer("acct_unknown")


async def test_payouts_5_a_transfer_cannot_be_reversed_when_the_account_is_empty(bounded):
    await bounded.a_paid_payment()
    account, payout = await bounded.an_account(), PayoutId.new()
    transfer = await bounded.a_transfer(account, payout)
    await bounded.gateway.make_bank_payout("po", account, 5 * USD, payout, 1)
    with pytest.raises(GatewayRefused, match="Insufficient"):
        await bounded.gateway.reverse_transfer("rev", transfer.id, 5 * USD)


async def test_payouts_4_what_the_bank_sends_back_after_it_was_paid_is_in_the_account_again(bounded):
    await bounded.a_paid_payment()
    account, payout = await bounded.an_account(), PayoutId.new()
    await bounded.a_transfer(account, payout)
    first = await bounded.gateway.make_bank_payout("po-1", account, 5 * USD, payout, 1)
    money_out.bank_takes(bounded.stripe.world, account, first.id)
    money_out.bank_refuses(bounded.stripe.world, account, first.id)
    found = await bounded.gateway.bank_payout(account, first.id)
    assert (found.status, found.failure) == ("failed", "The bank account has been closed.")
    assert await bounded.gateway.balance(account) == 5 * USD
    second = await bounded.gateway.make_bank_payout("po-2", account, 5 * USD, payout, 2)
    assert second.id != first.id
    assert await bounded.gateway.find_bank_payout(account, payout, 1) == found
    assert await bounded.gateway.find_bank_payout(account, payout, 2) == second


async def test_payouts_6_no_more_goes_back_than_was_paid(bounded):
    paid = await bounded.a_paid_payment()
    with pytest.raises(GatewayRefused, match="greater"):
        await bounded.gateway.make_refund("re", paid, 21 * USD, RefundId.new())


async def test_owners_accounts_pay_out_only_when_asked(bounded):
    account = await bounded.an_account()
    assert bounded.stripe.world.get("v2.core.account", account)["schedule"] == "manual"
