"""Sign-up, log-in, tokens and API keys over HTTP."""

from datetime import timedelta

import pytest

from fabric.api.routes.auth import LOGINS_PER_MINUTE
from fabric.core import clock
from fabric.identity import api_keys, expiry, users
from tests.fixtures.api import PASSWORD

AUTH = "/api/v1/auth"


async def make_key(api, person, **body):
    answer = await api.post("/api/v1/api-keys", json={"label": "notebook", **body}, headers=person.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def bearer(credential):
    return {"Authorization": f"Bearer {credential}"}


async def refused(api, credential, path=f"{AUTH}/me"):
    answer = await api.get(path, headers=bearer(credential))
    assert answer.status_code in {401, 403}
    return answer.status_code, answer.json()["code"]


async def test_somebody_registers_logs_in_and_is_recognised(api):
    account = {"email": "Ada@Example.com", "password": PASSWORD}
    registered = await api.post(f"{AUTH}/register", json=account)
    assert registered.status_code == 201
    assert registered.headers["cache-control"] == "no-store"
    logged_in = await api.post(f"{AUTH}/login", json={**account, "email": "ada@example.COM"})
    assert logged_in.json()["token_type"] == "bearer"
    assert logged_in.json()["expires_in"] == 900
    me = await api.get(f"{AUTH}/me", headers=bearer(logged_in.json()["access_token"]))
    assert me.json()["email"] == "Ada@Example.com"
    assert me.json()["role"] == "user"
    assert me.json()["id"].startswith("usr_")
    assert me.json()["created_at"].endswith("Z")


async def test_an_address_registers_once_however_it_is_capitalised(api, alice):
    again = await api.post(f"{AUTH}/register", json={"email": alice.email.upper(), "password": PASSWORD})
    assert (again.status_code, again.json()["code"]) == (409, "already_exists")


@pytest.mark.parametrize(
    "body",
    [
        {"email": "nobody", "password": PASSWORD},
        {"email": "a@b c", "password": PASSWORD},
        {"email": "a@example.com", "password": "short"},
        {"email": "a@example.com", "password": "é" * 600},
        {"email": "a@example.com"},
        {"email": "a@example.com", "password": PASSWORD, "role": "operator"},
    ],
    ids=["no address", "blank in it", "short password", "long password", "no password", "wants to be operator"],
)
async def test_an_account_that_cannot_be_made_is_refused(api, body):
    answer = await api.post(f"{AUTH}/register", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert PASSWORD not in answer.text


async def test_a_wrong_password_and_an_unknown_address_sound_the_same(api, alice):
    wrong = await api.post(f"{AUTH}/login", json={"email": alice.email, "password": "wrong horse"})
    unknown = await api.post(f"{AUTH}/login", json={"email": "nobody@example.com", "password": "wrong horse"})
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert wrong.json()["detail"] == unknown.json()["detail"]


async def test_guessing_a_password_is_slowed_down(api, app):
    guess = {"email": "victim@example.com", "password": "wrong horse"}
    for _ in range(LOGINS_PER_MINUTE):
        app.state.limiter.take("login:victim@example.com", per_minute=LOGINS_PER_MINUTE)
    answer = await api.post(f"{AUTH}/login", json={**guess, "email": "Victim@example.com"})
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 3


async def test_without_a_credential_or_with_a_wrong_one_nobody_is_known(api):
    for headers in ({}, bearer("nonsense"), {"Authorization": "Basic YTpi"}, bearer("")):
        answer = await api.get(f"{AUTH}/me", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_an_access_token_expires_and_says_so(api, alice):
    with clock.frozen(clock.now() + timedelta(seconds=901)):
        answer = await api.get(f"{AUTH}/me", headers=alice.headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "credential_expired")


async def test_a_refresh_token_is_exchanged_for_new_tokens(api, alice):
    renewed = (await api.post(f"{AUTH}/refresh", json={"refresh_token": alice.refresh_token})).json()
    assert renewed["refresh_token"] != alice.refresh_token
    me = await api.get(f"{AUTH}/me", headers=bearer(renewed["access_token"]))
    assert me.json()["email"] == alice.email


async def test_showing_a_used_refresh_token_again_ends_the_whole_log_in(api, alice):
    renewed = (await api.post(f"{AUTH}/refresh", json={"refresh_token": alice.refresh_token})).json()
    stolen = await api.post(f"{AUTH}/refresh", json={"refresh_token": alice.refresh_token})
    assert stolen.status_code == 401
    victim = await api.post(f"{AUTH}/refresh", json={"refresh_token": renewed["refresh_token"]})
    assert victim.status_code == 401


async def test_another_log_in_survives_the_theft_of_one(api, alice):
    other = (await api.post(f"{AUTH}/login", json={"email": alice.email, "password": PASSWORD})).json()
    for _ in range(2):
        await api.post(f"{AUTH}/refresh", json={"refresh_token": alice.refresh_token})
    assert (await api.post(f"{AUTH}/refresh", json={"refresh_token": other["refresh_token"]})).status_code == 200


async def test_after_logging_out_the_refresh_token_is_worthless(api, alice):
    assert (await api.post(f"{AUTH}/logout", json={"refresh_token": alice.refresh_token})).status_code == 204
    assert (await api.post(f"{AUTH}/refresh", json={"refresh_token": alice.refresh_token})).status_code == 401
    assert (await api.post(f"{AUTH}/logout", json={"refresh_token": "frt_unknown"})).status_code == 204


async def test_an_expired_refresh_token_is_refused(api, alice, owner_connection):
    await owner_connection.execute("UPDATE refresh_tokens SET expires_at = now() - interval '1 s'")
    answer = await api.post(f"{AUTH}/refresh", json={"refresh_token": alice.refresh_token})
    assert (answer.status_code, answer.json()["code"]) == (401, "credential_expired")


async def test_a_new_password_needs_the_old_one_and_ends_all_log_ins(api, alice):
    wrong = await api.patch(
        f"{AUTH}/me", json={"current_password": "wrong horse", "new_password": "x" * 9}, headers=alice.headers
    )
    assert (wrong.status_code, wrong.json()["code"]) == (403, "forbidden")
    change = {"current_password": PASSWORD, "new_password": "another horse battery"}
    assert (await api.patch(f"{AUTH}/me", json=change, headers=alice.headers)).status_code == 200
    assert (await api.post(f"{AUTH}/refresh", json={"refresh_token": alice.refresh_token})).status_code == 401
    assert (await api.get(f"{AUTH}/me", headers=alice.headers)).status_code == 401
    login = await api.post(f"{AUTH}/login", json={"email": alice.email, "password": "another horse battery"})
    assert login.status_code == 200


async def test_nobody_takes_over_the_address_of_somebody_else(api, alice, bob):
    change = {"current_password": PASSWORD, "email": bob.email.upper()}
    answer = await api.patch(f"{AUTH}/me", json=change, headers=alice.headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")


async def test_an_api_key_is_shown_once_and_works(api, alice):
    created = await make_key(api, alice, expires_s=3600)
    assert created["key"].startswith(created["hint"])
    assert created["scopes"] == ["files", "models", "jobs", "wallet", "providers"]
    me = await api.get(f"{AUTH}/me", headers=bearer(created["key"]))
    assert me.json()["email"] == alice.email
    listed = (await api.get("/api/v1/api-keys", headers=alice.headers)).json()["data"]
    assert [key["id"] for key in listed] == [created["id"]]
    assert created["key"] not in str(listed)
    assert listed[0]["last_used_at"] is not None
    assert (await api.get(f"/api/v1/api-keys/{created['id']}", headers=alice.headers)).json() == listed[0]


async def test_a_key_reaches_its_scopes_and_nothing_else(api, alice):
    key = (await make_key(api, alice, scopes=["jobs"]))["key"]
    assert await refused(api, key, "/api/v1/api-keys") == (403, "forbidden")
    assert (await api.get(f"{AUTH}/me", headers=bearer(key))).status_code == 200


async def test_a_key_cannot_make_a_stronger_key(api, alice):
    key = (await make_key(api, alice, scopes=["account", "jobs"]))["key"]
    stronger = await api.post("/api/v1/api-keys", json={"label": "x", "scopes": ["wallet"]}, headers=bearer(key))
    assert stronger.status_code == 403
    same = await api.post("/api/v1/api-keys", json={"label": "x"}, headers=bearer(key))
    assert same.json()["scopes"] == ["jobs"]


async def test_a_deleted_key_is_refused_at_once(api, alice, bob):
    created = await make_key(api, alice)
    foreign = await api.delete(f"/api/v1/api-keys/{created['id']}", headers=bob.headers)
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    assert (await api.delete(f"/api/v1/api-keys/{created['id']}", headers=alice.headers)).status_code == 204
    assert await refused(api, created["key"]) == (401, "unauthenticated")
    assert (await api.delete(f"/api/v1/api-keys/{created['id']}", headers=alice.headers)).status_code == 404
    assert (await api.get("/api/v1/api-keys", headers=alice.headers)).json() == {"data": [], "next_cursor": None}


async def test_an_expired_key_says_that_it_has_expired(api, alice, owner_connection):
    created = await make_key(api, alice, expires_s=60)
    await owner_connection.execute("UPDATE api_keys SET expires_at = now() - interval '1 s'")
    assert await refused(api, created["key"]) == (401, "credential_expired")


async def test_a_mistyped_and_an_unknown_key_are_refused(api, alice):
    key = (await make_key(api, alice))["key"]
    mistyped = key[:-1] + ("a" if key[-1] != "a" else "b")
    assert await refused(api, mistyped) == (401, "unauthenticated")
    assert await refused(api, api_keys.mint()) == (401, "unauthenticated")


async def test_keys_are_listed_in_pages_newest_first(api, alice):
    made = [(await make_key(api, alice, label=f"key {n}"))["id"] for n in range(5)]
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/api/v1/api-keys", params=params, headers=alice.headers)).json()
        seen += [key["id"] for key in page["data"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == made[::-1]
    for params in ({"limit": 0}, {"limit": 201}):
        assert (await api.get("/api/v1/api-keys", params=params, headers=alice.headers)).status_code == 422
    bad = await api.get("/api/v1/api-keys", params={"cursor": "%%%"}, headers=alice.headers)
    assert (bad.status_code, bad.json()["code"]) == (400, "malformed")


async def test_there_is_a_limit_to_the_keys_of_one_user(services, alice):
    async with services.database.transaction() as tx:
        for number in range(3):
            await api_keys.create(tx, alice.id, label=f"key {number}", scopes=["jobs"], live_max=3)
    with pytest.raises(api_keys.Conflict):
        async with services.database.transaction() as tx:
            await api_keys.create(tx, alice.id, label="one more", scopes=["jobs"], live_max=3)


async def test_a_user_can_be_made_sure_of_without_changing_their_password(services, api):
    first = await users.find_or_register(services.database, "you@localhost", PASSWORD)
    again = await users.find_or_register(services.database, "you@localhost", "something else entirely")
    assert again == first
    assert (await api.post(f"{AUTH}/login", json={"email": "you@localhost", "password": PASSWORD})).status_code == 200


async def test_old_refresh_tokens_and_answers_are_forgotten_and_young_ones_kept(services, alice, owner_connection):
    await owner_connection.execute(
        "INSERT INTO idempotency_keys (user_id, key, body_hash, response_status, created_at) "
        "SELECT id, k, '', 200, now() - a FROM users, (VALUES ('old', interval '49 h'), ('young', interval '25 h')) v (k, a)"
    )
    assert await expiry.forget_expired(services.database) == 1
    await owner_connection.execute("UPDATE refresh_tokens SET expires_at = now() - interval '8 days'")
    assert await expiry.forget_expired(services.database) == 1
    left = await (await owner_connection.execute("SELECT key FROM idempotency_keys")).fetchall()
    assert left == [("young",)]
