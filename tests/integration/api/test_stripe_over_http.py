"""Stripe over HTTP: a top-up gives a page, webhooks are believed by their signature alone, and the credit comes."""

import asyncio
import json

import pytest

from fabric import wiring
from fabric.api.app import create_app
from fabric.billing import webhooks
from fabric.core.settings import load_settings
from tests.fakestripe import money_in
from tests.fakestripe.app import KEY
from tests.fakestripe.delivery import SECRET, SECRET_THIN, Delivery, deliver, plan_all, sign
from tests.fixtures.api import client_of, register, started
from tests.fixtures.stripe import USD

WALLET = "/api/v1/wallet"


@pytest.fixture
def settings(app_url, tmp_path, fake_stripe):
    return load_settings(
        home=tmp_path, log_level="critical", database={"app_url": app_url, "pool_size": 5},
        storage={"public_url": "http://127.0.0.1:9", "signing_key": "k" * 43}, auth={"jwt_key": "j" * 43},
        billing={
            "stripe_key": KEY, "stripe_webhook_secrets": f"{SECRET},{SECRET_THIN}", "stripe_api_url": fake_stripe.url,
            "stripe_return_url": "https://fabric.test",
        },
    )  # fmt: skip


@pytest.fixture
async def app(settings):
    async with started(create_app(lambda: wiring.build(settings))) as app:
        yield app


@pytest.fixture
async def top_up(api, alice):
    async def send(amount="20", key="k", **more):
        body = {"amount_usd": amount} | more
        return await api.post(f"{WALLET}/top-ups", json=body, headers=alice.headers | {"Idempotency-Key": key})

    return send


@pytest.fixture
def post(api):
    async def send(path, body, signature):
        return (await api.post(path, content=body, headers={"Stripe-Signature": signature})).status_code

    return send


async def available(api, person):
    return (await api.get(WALLET, headers=person.headers)).json()["available"]["usd_nanos"]


async def test_a_top_up_gives_a_page_and_webhooks_bring_the_credit(app, api, alice, top_up, post, fake_stripe, services):
    answer = await top_up()
    assert answer.status_code == 201
    told = answer.json()
    assert (told["status"], told["livemode"]) == ("pending", False)
    assert told["url"].startswith("https://checkout.")
    assert await available(api, alice) == 0
    money_in.pay(fake_stripe.world, told["payment_id"])
    assert set(await deliver(fake_stripe.world, plan_all(fake_stripe.world), post)) == {200}
    await webhooks.handle_events(services.database, services.cards)
    assert await available(api, alice) == 20 * USD
    state = (await api.get(f"{WALLET}/top-ups/{told['payment_id']}", headers=alice.headers)).json()
    assert state["status"] == "credited"


async def test_the_same_request_again_is_the_same_page_also_at_once(top_up, fake_stripe):
    first = await top_up()
    answers = await asyncio.gather(*(top_up() for _ in range(5)))
    assert {answer.json()["payment_id"] for answer in answers if answer.status_code == 201} == {first.json()["payment_id"]}
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(fake_stripe.world.all("checkout.session")) == 1
    assert (await top_up("21")).json()["code"] == "idempotency_mismatch"


async def test_asking_where_a_top_up_is_credits_it_where_no_webhook_can_come(api, alice, bob, top_up, fake_stripe):
    payment = (await top_up()).json()["payment_id"]
    path = f"{WALLET}/top-ups/{payment}"
    assert (await api.get(path, headers=alice.headers)).json()["status"] == "pending"
    money_in.pay(fake_stripe.world, payment)
    assert (await api.get(path, headers=bob.headers)).status_code == 404
    assert (await api.get(path, headers=alice.headers)).json()["status"] == "credited"
    assert await available(api, alice) == 20 * USD


async def test_forged_unsigned_and_enormous_webhooks_are_refused(api, top_up, post, fake_stripe, owner_connection):
    money_in.pay(fake_stripe.world, (await top_up()).json()["payment_id"])
    assert await deliver(fake_stripe.world, [Delivery(0, "forged"), Delivery(0, "altered")], post) == [400, 400]
    assert (await api.post("/webhooks/stripe", content=b"{}")).status_code == 400
    assert (await api.post("/webhooks/stripe/v2", content=b"{}")).json()["code"] == "malformed"
    assert (await api.post("/webhooks/stripe", content=b"x" * 300_000)).status_code == 413
    assert await (await owner_connection.execute("SELECT 1 FROM stripe_events")).fetchall() == []


async def test_thin_events_have_a_path_of_their_own(api, fake_stripe, services, post):
    fake_stripe.world.told_thinly("v2.core.account.created", "acct_x", "v2.core.account", "/v2/core/accounts/acct_x")
    assert await deliver(fake_stripe.world, plan_all(fake_stripe.world), post) == [200]
    body = json.dumps(fake_stripe.world.events[0]).encode()
    assert await post("/webhooks/stripe", body, sign(body, SECRET_THIN, fake_stripe.world.now())) == 400


@pytest.mark.parametrize("amount", ["0.49", "20.001"])
async def test_amounts_that_no_card_can_pay_are_refused(top_up, amount):
    answer = await top_up(amount)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_stripe_away_is_said_and_may_be_tried_again(top_up, fake_stripe):
    fake_stripe.server.faults.add("POST /v1/checkout/sessions", "429", 5)
    answer = await top_up()
    assert (answer.status_code, answer.json()["code"]) == (503, "payments_unavailable")


async def test_automatic_top_ups_are_off_until_they_are_set(api, alice):
    path = f"{WALLET}/auto-top-up"
    assert (await api.get(path, headers=alice.headers)).json()["enabled"] is False
    body = {"enabled": True, "threshold_usd": "5", "amount_usd": "10", "day_max_usd": "30"}
    written = (await api.put(path, json=body, headers=alice.headers)).json()
    assert (written["enabled"], written["has_method"], written["day_max"]["usd"]) == (True, False, "30.000000000")
    assert (await api.get(path, headers=alice.headers)).json() == written
    assert (await api.put(path, json=body | {"day_max_usd": "9"}, headers=alice.headers)).status_code == 422


async def test_the_page_people_come_back_to_needs_nobody(api, fake_stripe):
    answer = await api.get("/topped-up?session_id=cs_test_1")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert fake_stripe.world.calls == []


async def test_without_a_key_nobody_sends_webhooks(app_url, tmp_path):
    plain = load_settings(
        home=tmp_path, database={"app_url": app_url, "pool_size": 2}, auth={"jwt_key": "j" * 43},
        storage={"public_url": "http://127.0.0.1:9", "signing_key": "k" * 43},
    )  # fmt: skip
    async with started(create_app(lambda: wiring.build(plain))) as app, client_of(app) as api:
        assert (await api.post("/webhooks/stripe", content=b"{}")).status_code == 404
        alice = await register(api)
        answer = await api.post(f"{WALLET}/top-ups", json={"amount_usd": "5.000000001"}, headers=alice.headers)
        assert (answer.json()["status"], answer.json()["url"]) == ("credited", None)
