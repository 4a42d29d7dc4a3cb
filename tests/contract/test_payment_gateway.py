"""The promises of fabric.billing.gateway, by number, for every gateway."""

import pytest

from fabric.billing.fake_gateway import FakeGateway
from fabric.core.ids import UserId


@pytest.fixture(params=[FakeGateway])
def gateway(request):
    return request.param()


async def test_1_the_same_key_of_a_user_is_the_same_payment(gateway):
    user = UserId.new()
    assert await gateway.begin_payment(user, 5_000, "key") == await gateway.begin_payment(user, 5_000, "key")


async def test_1_other_keys_and_other_users_are_other_payments(gateway):
    user = UserId.new()
    payments = [
        await gateway.begin_payment(*given) for given in ((user, 5_000, "a"), (user, 5_000, "b"), (UserId.new(), 5_000, "a"))
    ]
    assert len({payment.id for payment in payments}) == 3


async def test_2_a_payment_is_of_whom_and_what_was_asked(gateway):
    user = UserId.new()
    payment = await gateway.begin_payment(user, 5_000, "key")
    assert (payment.user_id, payment.amount_nanos) == (user, 5_000)
    assert payment.status in {"pending", "paid"}
    assert payment.url is not None or payment.status == "paid"


async def test_3_a_payment_says_whether_it_is_real_money(gateway):
    assert (await gateway.begin_payment(UserId.new(), 5_000, "key")).livemode == gateway.livemode


async def test_3_play_money_is_never_real():
    assert FakeGateway().livemode is False
