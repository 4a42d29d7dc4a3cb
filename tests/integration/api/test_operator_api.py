"""What an operator may do over HTTP, and that nobody else may."""

import httpx
import pytest

from fabric.core.ids import ProviderId
from tests.fixtures.api import PASSWORD, Person
from tests.fixtures.machines import a_machine


@pytest.fixture
async def operator(api: httpx.AsyncClient, alice: Person, owner_connection) -> dict[str, str]:
    await owner_connection.execute("UPDATE users SET role = 'operator' WHERE email = %s", (alice.email,))
    answer = await api.post("/api/v1/auth/login", json={"email": alice.email, "password": PASSWORD})
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def ban(api, provider_id, headers, reason="returned rubbish") -> httpx.Response:
    return await api.post(f"/api/v1/operator/providers/{provider_id}/ban", json={"reason": reason}, headers=headers)


async def test_an_operator_bans_anybodys_machine(api, services, bob, operator):
    made = await a_machine(services.database, bob.id)
    machine = {"Authorization": f"Bearer {made.credential}"}
    path = f"/api/v1/providers/{made.provider_id}"
    beat = {"ray_node_id": None, "state": "starting"}
    assert (await api.post(f"{path}/heartbeat", json=beat, headers=machine)).status_code == 200
    assert (await ban(api, made.provider_id, operator)).status_code == 204
    assert (await api.post(f"{path}/heartbeat", json=beat, headers=machine)).status_code == 401
    assert (await api.get(path, headers=bob.headers)).status_code == 404
    assert (await ban(api, made.provider_id, operator)).status_code == 204


async def test_neither_its_owner_nor_the_machine_itself_nor_a_stranger_can(api, services, alice, bob):
    made = await a_machine(services.database, bob.id)
    for headers in (bob.headers, alice.headers):
        answer = await ban(api, made.provider_id, headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await ban(api, made.provider_id, {"Authorization": f"Bearer {made.credential}"})).status_code == 401
    assert (await api.get(f"/api/v1/providers/{made.provider_id}", headers=bob.headers)).status_code == 200


async def test_an_operators_key_can_too_when_it_reaches_providers(api, services, bob, operator):
    made = await a_machine(services.database, bob.id)
    statuses = {}
    for scope in ("jobs", "providers"):
        key = (await api.post("/api/v1/api-keys", json={"label": scope, "scopes": [scope]}, headers=operator)).json()["key"]
        statuses[scope] = (await ban(api, made.provider_id, {"Authorization": f"Bearer {key}"})).status_code
    assert statuses == {"jobs": 403, "providers": 204}


async def test_a_machine_that_is_not_there_is_not_found_and_a_ban_has_a_reason(api, operator):
    for provider_id in (ProviderId.new(), "prv_1", "somebody"):
        assert (await ban(api, provider_id, operator)).status_code == 404
    assert (await ban(api, ProviderId.new(), operator, reason="")).status_code == 422
