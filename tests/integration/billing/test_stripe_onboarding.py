"""Onboarding of owners: one account for each, whatever happens to the answers."""

import asyncio

import pytest

from fabric.billing import payout_accounts
from fabric.core.errors import Invalid, PaymentRefused, PaymentsUnavailable
from tests.fakestripe import money_out
from tests.fakestripe.faults import KINDS
from tests.fakestripe.refusals import Refused

ACCOUNTS = "POST /v2/core/accounts"


async def begin(shop, owner):
    return await payout_accounts.begin_onboarding(
        shop.database, shop.gateway, owner, f"{owner.hex}@example.com", "https://fabric.test/back"
    )


async def begin_at_last(shop, owner):
    for _ in range(4):
        try:
            return await begin(shop, owner)
        except PaymentsUnavailable:
            continue
    raise AssertionError("it never answered")


@pytest.mark.parametrize("fault", KINDS)
@pytest.mark.parametrize("route", [ACCOUNTS, "POST /v1/balance_settings", "POST /v2/core/account_links"])
async def test_a_fault_on_the_way_makes_one_account(shop, route, fault):
    owner = await shop.user()
    shop.stripe.server.faults.add(route, fault)
    account, url = await begin_at_last(shop, owner)
    assert shop.stripe.server.faults.met
    assert [made["id"] for made in shop.world.all("v2.core.account")] == [account.gateway_id]
    assert account.gateway_id in url


async def test_an_account_whose_answer_was_lost_is_found_after_the_key_has_died(shop):
    owner = await shop.user()
    shop.stripe.server.faults.add(ACCOUNTS, "timeout_after")
    with pytest.raises(PaymentsUnavailable):
        await begin(shop, owner)
    await shop.owner.execute("UPDATE stripe_calls SET created_at = now() - interval '2 days'")
    shop.world.offset_s = 2 * 86_400
    account, _ = await begin(shop, owner)
    assert [made["id"] for made in shop.world.all("v2.core.account")] == [account.gateway_id]
    # It pays out only when asked, although its first set-up never came to that.
    set_up = [given for _, path, given in shop.world.calls if path == "/v1/balance_settings"]
    assert set_up and set_up[-1]["payments"]["payouts"]["schedule"]["interval"] == "manual"


async def test_two_clicks_at_once_make_one_account(shop):
    owner = await shop.user()
    answers = await asyncio.gather(begin_at_last(shop, owner), begin_at_last(shop, owner))
    assert len({account.gateway_id for account, _ in answers}) == len(shop.world.all("v2.core.account")) == 1


async def test_a_refusal_is_told_and_is_not_for_good(shop):
    # Given a platform for which Connect has not been switched on yet
    owner = await shop.user()
    off = Refused(400, "invalid_request_error", "You can only create new accounts if you've signed up for Connect.")
    shop.stripe.server.refusals["POST", "/v2/core/accounts"] = off
    with pytest.raises(PaymentRefused, match="signed up for Connect"):
        await begin(shop, owner)
    # When it has been
    shop.stripe.server.refusals.clear()
    # Then the owner gets an account
    account, _ = await begin(shop, owner)
    assert account.status == "onboarding"


async def test_a_refused_customer_is_told_and_is_not_for_good(shop):
    user = await shop.user()
    shop.stripe.server.refusals["POST", "/v1/customers"] = Refused(400, "invalid_request_error", "No such country.")
    with pytest.raises(PaymentRefused, match="No such country"):
        await shop.begin(user)
    shop.stripe.server.refusals.clear()
    assert (await shop.begin(user)).url
    assert (await shop.begin(user, key="again")).url
    assert len(shop.world.all("customer")) == 1


async def test_what_is_missing_is_said_in_words(shop):
    owner = await shop.user()
    account, _ = await begin(shop, owner)
    assert account.requirements == ("the first name", "an identification number", "a bank account for payouts")
    money_out.complete_account(shop.world, account.gateway_id, ("identity.individual.documents.primary_verification.front_back",))
    found = await payout_accounts.refreshed(shop.database, shop.gateway, owner)
    assert found is not None and found.requirements == ("an identity document",)


async def test_a_payment_of_another_currency_is_not_credited_as_ours(shop):
    user = await shop.user()
    session = await shop.paid(user)
    session["currency"] = "jpy"
    await shop.hear()
    assert await shop.available(user) == 0
    assert any("is of jpy" in error for error in await shop.errors())
    with pytest.raises(Invalid, match="is of jpy"):
        await shop.gateway.checkout(session["id"])
