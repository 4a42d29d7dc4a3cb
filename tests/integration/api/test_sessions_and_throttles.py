"""Log-ins are listed and ended at once; guessing is limited for an account and an address, for all gateways together."""

from datetime import timedelta

import pyotp
import pytest

from fabric.core import clock
from fabric.identity import throttle
from tests.fixtures.api import PASSWORD

AUTH = "/api/v1/auth"


def bearer(credential):
    return {"Authorization": f"Bearer {credential}"}


async def status(api, headers):
    return (await api.get(f"{AUTH}/me", headers=headers)).status_code


async def test_log_ins_are_listed_with_device_and_address_and_ended_at_once(api, alice, bob):
    phone = (
        await api.post(f"{AUTH}/login", json={"email": alice.email, "password": PASSWORD}, headers={"User-Agent": "phone\x07"})
    ).json()
    listed = (await api.get(f"{AUTH}/sessions", headers=alice.headers)).json()["data"]
    assert (listed[0]["device"], listed[0]["address"], listed[0]["current"]) == ("phone", "127.0.0.1", False)
    assert [s["current"] for s in listed] == [False, True]
    # Nobody else can end it; once its owner does, its tokens are refused at the next request
    path = f"{AUTH}/sessions/{listed[0]['id']}"
    assert (await api.delete(path, headers=bob.headers)).status_code == 404
    assert await status(api, bearer(phone["access_token"])) == 200
    assert (await api.delete(path, headers=alice.headers)).status_code == 204
    assert await status(api, bearer(phone["access_token"])) == 401
    assert (await api.post(f"{AUTH}/refresh", json={"refresh_token": phone["refresh_token"]})).status_code == 401
    assert await status(api, alice.headers) == 200


async def test_logging_out_everywhere_leaves_api_keys_alone(api, alice):
    key = (await api.post("/api/v1/api-keys", json={"label": "x"}, headers=alice.headers)).json()["key"]
    assert (await api.delete(f"{AUTH}/sessions", headers=alice.headers)).json() == {"ended": 1}
    assert (await status(api, alice.headers), await status(api, bearer(key))) == (401, 200)


async def test_a_reused_refresh_token_ends_the_access_tokens_of_its_family_too(api, alice):
    renewed = (await api.post(f"{AUTH}/refresh", json={"refresh_token": alice.refresh_token})).json()
    await api.post(f"{AUTH}/refresh", json={"refresh_token": alice.refresh_token})
    assert await status(api, bearer(renewed["access_token"])) == 401


async def test_guesses_from_one_address_are_limited_and_do_not_lock_others_out(api, alice, services):
    for _ in range(throttle.LOG_IN_BY_PAIR.attempts):
        await throttle.take(services.database, throttle.LOG_IN_BY_PAIR, alice.email, "127.0.0.1")
    refused = await api.post(f"{AUTH}/login", json={"email": alice.email, "password": PASSWORD})
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) > 60
    await throttle.take(services.database, throttle.LOG_IN_BY_PAIR, alice.email, "10.1.1.1")


@pytest.fixture
async def factor(api, alice):
    """Alice with a second factor: the generator of its codes, and her recovery codes."""
    enrolled = await api.post(f"{AUTH}/second-factor", json={"current_password": PASSWORD}, headers=alice.headers)
    assert enrolled.status_code == 201
    totp = pyotp.parse_uri(enrolled.json()["otpauth_url"])
    assert totp.secret == enrolled.json()["secret"]
    assert totp.name == alice.email
    wrong = await api.post(f"{AUTH}/second-factor/confirm", json={"code": "000000"}, headers=alice.headers)
    assert wrong.status_code in {403, 200}
    with clock.frozen(clock.now()):
        confirmed = await api.post(f"{AUTH}/second-factor/confirm", json={"code": totp.at(clock.now())}, headers=alice.headers)
    assert confirmed.status_code == 200, confirmed.text
    return totp, confirmed.json()["recovery_codes"]


async def test_a_second_factor_is_asked_for_and_each_code_is_good_once(api, alice, factor):
    totp, _ = factor
    account = {"email": alice.email, "password": PASSWORD}
    asked = await api.post(f"{AUTH}/login", json=account)
    assert (asked.status_code, asked.json()["code"]) == (401, "second_factor_needed")
    with clock.frozen(clock.now() + timedelta(seconds=60)):
        code = totp.at(clock.now())
        wrong = await api.post(f"{AUTH}/login", json=account | {"code": str((int(code) + 1) % 10**6).zfill(6)})
        assert wrong.json()["code"] == "unauthenticated"
        assert (await api.post(f"{AUTH}/login", json=account | {"code": code})).status_code == 200
        assert (await api.post(f"{AUTH}/login", json=account | {"code": code})).status_code == 401, "a replay"
    # A wrong password is refused before any code is asked for
    assert (await api.post(f"{AUTH}/login", json=account | {"password": "wrong horse"})).json()["code"] == "unauthenticated"


async def test_recovery_codes_are_hashed_and_good_once_and_switch_it_off(api, alice, factor, owner_connection):
    codes = factor[1]
    account = {"email": alice.email, "password": PASSWORD}
    assert len(set(codes)) == 10
    kept = str(
        await (await owner_connection.execute("SELECT recovery_codes::text, users::text FROM recovery_codes, users")).fetchall()
    )
    assert codes[0] not in kept
    assert factor[0].secret not in kept
    assert (await api.post(f"{AUTH}/login", json=account | {"code": codes[0].upper()})).status_code == 200
    assert (await api.post(f"{AUTH}/login", json=account | {"code": codes[0]})).status_code == 401
    off = {"current_password": PASSWORD, "code": codes[1]}
    assert (await api.post(f"{AUTH}/second-factor/off", json=off | {"code": None}, headers=alice.headers)).status_code == 401
    assert (await api.post(f"{AUTH}/second-factor/off", json=off, headers=alice.headers)).status_code == 204
    assert (await api.post(f"{AUTH}/login", json=account)).status_code == 200


async def test_api_keys_are_not_asked_for_a_code_and_codes_are_not_guessed(api, alice, factor, services):
    key = (await api.post("/api/v1/api-keys", json={"label": "x"}, headers=alice.headers)).json()["key"]
    assert await status(api, bearer(key)) == 200
    for _ in range(throttle.SECOND_FACTOR.attempts):
        await throttle.take(services.database, throttle.SECOND_FACTOR, alice.id.hex)
    guess = await api.post(f"{AUTH}/login", json={"email": alice.email, "password": PASSWORD, "code": factor[0].now()})
    assert guess.status_code == 429


async def test_a_key_with_a_limit_of_its_own_is_slowed_down_and_others_are_not(api, alice):
    made = await api.post("/api/v1/api-keys", json={"label": "slow", "requests_per_minute": 2}, headers=alice.headers)
    assert made.json()["requests_per_minute"] == 2
    assert [await status(api, bearer(made.json()["key"])) for _ in range(3)] == [200, 200, 429]
    assert await status(api, alice.headers) == 200
