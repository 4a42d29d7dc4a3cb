"""fakestripe itself: what tests of money believe of it."""

import asyncio

import httpx
import pytest

from tests.fakestripe import money_in
from tests.fakestripe.app import KEY, FakeStripe
from tests.fakestripe.parameters import checked, read_form
from tests.fakestripe.refusals import Refused
from tests.fakestripe.routes import ROUTES

CUSTOMER = {"email": "a@example.com"}


@pytest.fixture
def server():
    return FakeStripe()


@pytest.fixture
async def ask(server):
    transport = httpx.ASGITransport(server)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://stripe", headers={"Authorization": f"Bearer {KEY}"}
    ) as client:

        async def send(path, body, key="k"):
            return await client.post(path, data=body, headers={"Idempotency-Key": key})

        yield send


async def test_the_same_key_and_request_get_the_same_answer(server, ask):
    first, second = await ask("/v1/customers", CUSTOMER), await ask("/v1/customers", CUSTOMER)
    assert first.json() == second.json()
    assert (first.headers.get("idempotent-replayed"), second.headers["idempotent-replayed"]) == (None, "true")
    assert len(server.world.all("customer")) == 1


@pytest.mark.parametrize("other", [("/v1/customers", {"email": "b@example.com"}), ("/v1/refunds", {"charge": "ch_1"})])
async def test_the_same_key_with_another_request_is_refused(server, ask, other):
    await ask("/v1/customers", CUSTOMER)
    answer = await ask(*other)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "idempotency_error")


async def test_the_same_key_at_the_same_time_is_a_conflict(server, ask):
    server.hold = asyncio.Event()
    first = asyncio.create_task(ask("/v1/customers", CUSTOMER))
    await server.held.wait()
    assert (await ask("/v1/customers", CUSTOMER)).status_code == 409
    server.hold.set()
    assert (await first).status_code == 200
    assert (await ask("/v1/customers", CUSTOMER)).status_code == 200
    assert len(server.world.all("customer")) == 1


async def test_an_answer_that_failed_after_it_began_is_repeated_and_one_that_did_not_begin_is_not(server, ask):
    server.faults.add("POST /v1/customers", "500_after")
    assert [(await ask("/v1/customers", CUSTOMER)).status_code for _ in range(2)] == [500, 500]
    server.faults.add("POST /v1/customers", "500_before")
    assert [(await ask("/v1/customers", CUSTOMER, "other")).status_code for _ in range(2)] == [500, 200]
    assert len(server.world.all("customer")) == 2


async def test_a_key_dies_after_a_day(server, ask):
    first = await ask("/v1/customers", CUSTOMER)
    server.world.offset_s = 24 * 3600 + 1
    assert (await ask("/v1/customers", CUSTOMER)).json()["id"] != first.json()["id"]


async def test_requests_are_held_against_the_sdks_types(ask):
    for body, code in [
        ({"currency": "usd", "destination": "x", "amont": 5}, "parameter_unknown"),
        ({"currency": "usd", "amount": 5}, "parameter_missing"),
        ({"currency": "usd", "destination": "x", "amount": "5.5"}, "parameter_invalid"),
    ]:
        answer = await ask("/v1/transfers", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path.pattern}")
def test_every_route_has_types_in_the_sdk(route):
    with pytest.raises(Refused, match="unknown"):
        checked(route.parameters, read_form("no_such_parameter=1"))


def test_balances_are_sums_of_balance_transactions(server):
    world = server.world
    session = money_in.create_session(world, {
        "mode": "payment", "success_url": "x", "line_items": [{"price_data": {"currency": "usd", "unit_amount": 2000}, "quantity": 1}],
    }, "")  # fmt: skip
    money_in.pay(world, session["id"])
    assert world.balance() == 2000 - money_in.fee_of(2000)
    opened = money_in.dispute(world, session["payment_intent"])
    assert world.balance() == -money_in.fee_of(2000) - money_in.DISPUTE_FEE_CENTS
    money_in.close_dispute(world, opened["id"], won=True, fee_back=500)
    assert world.balance() == 2000 - money_in.fee_of(2000) - money_in.DISPUTE_FEE_CENTS + 500
