"""Everything about somebody as one zip, the end of an account while the books stay true, and who may read which acts."""

import io
import json
import zipfile

import psycopg
import pytest

from fabric.billing import ledger
from tests.fixtures.api import PASSWORD
from tests.fixtures.belongings import belongings

AUTH = "/api/v1/auth"


async def top_up(api, person):
    answer = await api.post("/api/v1/wallet/top-ups", json={"amount_usd": "5"}, headers=person.headers)
    assert answer.status_code == 201


async def delete(api, person, **more):
    return await api.post(f"{AUTH}/me/deletion", json={"current_password": PASSWORD} | more, headers=person.headers)


async def make_operator(owner_connection, person):
    await owner_connection.execute("UPDATE users SET role = 'operator' WHERE email = %s", [person.email])


async def acts(api, person, path=f"{AUTH}/audit-log", **params):
    answer = await api.get(path, params=params, headers=person.headers)
    assert answer.status_code == 200
    return answer.json()["data"]


async def test_an_export_holds_everything_and_no_secret(api, alice, bob, owner_connection):
    await belongings(owner_connection, alice.id)
    await belongings(owner_connection, bob.id)
    await top_up(api, alice)
    key = (await api.post("/api/v1/api-keys", json={"label": "notebook"}, headers=alice.headers)).json()["key"]
    answer = await api.get(f"{AUTH}/me/export", headers=alice.headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    held = {name.removesuffix(".json"): json.loads(archive.read(name)) for name in archive.namelist()}
    assert held["profile"][0]["email"] == alice.email
    assert {"notebook", "k"} <= {row["label"] for row in held["api_keys"]}
    assert held["manifest"]["rows"] == {name: len(rows) for name, rows in held.items() if name != "manifest"}
    assert all(
        held[name]
        for name in ("files", "models", "jobs", "machines", "ledger_entries", "audit_log", "sessions", "payments", "webhooks")
    )
    for entry in held["ledger_entries"]:
        assert isinstance(entry["amount_nanos"], int)
    whole = json.dumps(held)
    assert bob.email not in whole
    for secret in (key, PASSWORD, "argon2", alice.refresh_token, "hash"):
        assert secret not in whole


async def test_an_account_with_money_is_not_deleted_unless_it_is_given_up(api, alice, services):
    await top_up(api, alice)
    refused = await delete(api, alice)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert refused.json()["reasons"] == ["5.000000000 USD of credit are left; have them sent back, or give them up"]
    assert (await api.get(f"{AUTH}/me", headers=alice.headers)).status_code == 200
    assert (await delete(api, alice, give_up_credit=True)).status_code == 204
    async with services.database.reading() as reader:
        assert await ledger.trial_balance(reader) == 0
        assert not await ledger.audit(reader)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE jobs SET status = 'running', finished_at = NULL", "1 jobs are not finished"),
        ("UPDATE payouts SET status = 'transferring'", "1 payouts are on their way"),
    ],
)
async def test_an_account_with_something_under_way_is_not_deleted(api, alice, owner_connection, statement, reason):
    await belongings(owner_connection, alice.id)
    await owner_connection.execute(statement)
    refused = await delete(api, alice, give_up_credit=True)
    assert (refused.status_code, refused.json()["reasons"]) == (409, [reason])


async def test_deleting_needs_the_password(api, alice):
    assert (await delete(api, alice, current_password="wrong horse")).status_code == 403


async def test_after_the_end_nothing_says_who_it_was_and_the_books_stay(api, alice, bob, owner_connection):
    await belongings(owner_connection, alice.id)
    await top_up(api, alice)
    entries = "SELECT count(*) FROM ledger.entries"
    before = await (await owner_connection.execute(entries)).fetchone()
    key = (await api.post("/api/v1/api-keys", json={"label": "alices"}, headers=alice.headers)).json()["key"]
    assert (await delete(api, alice, give_up_credit=True)).status_code == 204
    # Nothing opens the account any more, and the address is free again
    for headers in (alice.headers, {"Authorization": f"Bearer {key}"}):
        assert (await api.get(f"{AUTH}/me", headers=headers)).status_code == 401
    assert (await api.post(f"{AUTH}/login", json={"email": alice.email, "password": PASSWORD})).status_code == 401
    # What is left of it is the number alone
    tables = [row[0] for row in await (await owner_connection.execute(
        "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname IN ('public', 'ledger')"
    )).fetchall()]  # fmt: skip
    for table in set(tables) - {"public.mails"}:  # the one that tells them is still to be sent
        rows = str(await (await owner_connection.execute(f"SELECT t::text FROM {table} t")).fetchall())
        assert alice.email not in rows, table
        assert "alices" not in rows, table
    assert (await (await owner_connection.execute("SELECT count(*) FROM webhooks")).fetchone()) == (0,)
    addresses = await (await owner_connection.execute("SELECT address FROM audit_log WHERE user_id = %s", [alice.id])).fetchall()
    assert set(addresses) == {(None,)}
    assert await (await owner_connection.execute(entries)).fetchone() == before
    assert (await api.post(f"{AUTH}/register", json={"email": alice.email, "password": PASSWORD})).status_code == 201
    assert (await api.get(f"{AUTH}/me", headers=bob.headers)).status_code == 200


async def test_an_operator_is_made_a_user_before_the_account_ends_and_the_last_one_stays(api, alice, bob, owner_connection):
    await make_operator(owner_connection, alice)
    assert (await delete(api, alice)).status_code == 403
    path = f"/api/v1/operator/users/{alice.id}"
    assert (await api.patch(path, json={"role": "user"}, headers=bob.headers)).status_code == 403
    assert (await api.patch(path, json={"role": "user"}, headers=alice.headers)).status_code == 422
    promoted = await api.patch(f"/api/v1/operator/users/{bob.id}", json={"role": "operator"}, headers=alice.headers)
    assert promoted.json()["role"] == "operator"
    assert (await api.patch(path, json={"role": "user"}, headers=bob.headers)).json()["role"] == "user"  # with the token he had
    assert (await delete(api, alice)).status_code == 204
    found = await acts(api, bob, "/api/v1/operator/audit-log", act="role_changed")
    assert [(line["user_id"], line["actor_id"]) for line in found] == [(str(alice.id), str(bob.id)), (str(bob.id), str(alice.id))]


async def test_everybody_reads_their_own_acts_and_operators_read_all(api, alice, bob, owner_connection):
    headers = alice.headers | {"X-Request-Id": "the-request"}
    made = (await api.post("/api/v1/api-keys", json={"label": "x"}, headers=headers)).json()
    line = (await acts(api, alice))[0]
    assert (line["act"], line["details"]["key"], line["address"], line["request_id"]) == (
        "api_key_created",
        made["id"],
        "127.0.0.1",
        "the-request",
    )
    assert made["key"] not in json.dumps(line)
    await api.post(f"{AUTH}/login", json={"email": alice.email, "password": "wrong horse"})
    assert [line["act"] for line in await acts(api, alice, limit=4)] == [
        "log_in_failed",
        "api_key_created",
        "logged_in",
        "registered",
    ]
    assert {line["user_id"] for line in await acts(api, bob)} == {str(bob.id)}
    assert (await api.get("/api/v1/operator/audit-log", headers=alice.headers)).status_code == 403
    await make_operator(owner_connection, bob)
    everybody = await acts(api, bob, "/api/v1/operator/audit-log")
    assert {line["user_id"] for line in everybody} == {str(alice.id), str(bob.id)}
    assert len(await acts(api, bob, "/api/v1/operator/audit-log", user_id=str(alice.id), act="registered")) == 1
    assert (await api.delete(f"/api/v1/operator/users/{alice.id}/sessions", headers=bob.headers)).json() == {"ended": 1}
    assert (await api.get(f"{AUTH}/me", headers=alice.headers)).status_code == 401


async def test_the_application_can_add_to_the_audit_log_and_nothing_else(alice, app_url):
    with psycopg.connect(app_url, autocommit=True) as connection:
        for statement in ("UPDATE audit_log SET act = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
        with pytest.raises(psycopg.errors.RaiseException, match="deleted account"):
            connection.execute("SELECT forget_in_audit_log(%s)", [alice.id])
