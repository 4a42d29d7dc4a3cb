"""/api/v1/providers as owners and machines meet it."""

import platform
from collections.abc import AsyncIterator
from importlib.metadata import version

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fabric import wiring
from fabric.api.app import create_app
from fabric.api.routes import auth, health, providers
from fabric.core.ids import ModelId
from tests.fixtures.api import Person, client_of, register, started
from tests.fixtures.machines import NODE

PATH = "/api/v1/providers"


@pytest.fixture
async def http(machine_settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(lambda: wiring.build(machine_settings), [auth.router, health.router, providers.router])
    async with started(app), client_of(app) as client:
        yield client


@pytest.fixture
async def owner(http) -> Person:
    return await register(http)


@pytest.fixture
async def stranger(http) -> Person:
    return await register(http)


def an_application(**changes) -> dict:
    slot = {
        "slot": 0, "resource": "fabric_cpu", "accelerator": "cpu", "device": "AMD EPYC", "execution_provider": "CPUExecutionProvider",
        "threads": 1, "memory_gib": 4.0, "benchmark_runs_per_s": 900.0,
    }  # fmt: skip
    return {
        "name": "attic", "region": "eu", "platform": "Linux", "agent_version": "0.1.0", "fabric_version": version("onnx-fabric"),
        "ray_version": version("ray"), "python_version": platform.python_version(), "price_usd_per_hour": "0.02",
        "capabilities": {
            "cpu": "AMD EPYC", "cpu_cores": 2, "memory_gib": 16.0, "onnxruntime_version": "1.23.0",
            "execution_providers": ["CPUExecutionProvider"], "slots": [slot],
        },
        **changes,
    }  # fmt: skip


async def a_token(http, owner, **body) -> dict:
    answer = await http.post(f"{PATH}/join-tokens", json={"label": "attic", **body}, headers=owner.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def enrolled(http, owner) -> dict:
    token = (await a_token(http, owner))["token"]
    answer = await http.post(f"{PATH}/enroll", json={**an_application(), "token": token})
    assert answer.status_code == 201, answer.text
    return answer.json()


def machine_headers(machine: dict) -> dict[str, str]:
    return {"Authorization": f"Bearer {machine['credential']}"}


async def test_devices_say_how_they_do_and_a_reading_that_cannot_be_is_refused(http, owner):
    machine = await enrolled(http, owner)
    cpu = {"device": "cpu", "name": "AMD EPYC", "utilisation_percent": 12.5, "memory_used_gib": 3.0, "memory_gib": 16.0}
    gpu = {"device": "cuda:0", "name": "RTX 4090", "utilisation_percent": 99.0, "temperature_c": 71.0, "power_w": 312.4}
    assert (await beat(http, machine, devices=[cpu, gpu])).status_code == 200
    shown = (await http.get(f"{PATH}/{machine['provider_id']}", headers=owner.headers)).json()
    unknown = {"utilisation_percent": None, "memory_used_gib": None, "memory_gib": None, "temperature_c": None, "power_w": None}
    assert shown["devices"] == [{**unknown, **cpu}, {**unknown, **gpu}]
    assert shown["slots"][0]["device_key"] == ""
    families = text_string_to_metric_families((await http.get("/metrics")).text)
    told = {(s.name, s.labels["device"]): s.value for f in families for s in f.samples if s.labels.get("provider") == shown["id"]}
    assert told["fabric_device_temperature_celsius", "cuda:0"] == 71.0
    assert told["fabric_device_power_watts", "cuda:0"] == 312.4
    assert told["fabric_device_memory_used_gib", "cpu"] == 3.0
    assert ("fabric_device_power_watts", "cpu") not in told
    for wrong in ({**cpu, "utilisation_percent": 101}, {**cpu, "device": "x y"}, {**cpu, "power_w": -1}):
        assert (await beat(http, machine, devices=[wrong])).status_code == 422
    assert (await beat(http, machine, devices=[cpu] * 65)).status_code == 422


async def test_prices_for_single_models_are_the_owners_and_only_for_models_that_there_are(http, owner, stranger):
    machine = await enrolled(http, owner)
    path = f"{PATH}/{machine['provider_id']}"
    heavy, other = str(ModelId.new()), str(ModelId.new())
    body = {
        "models": [{"model": heavy, "price_usd_per_hour": "0.9"}],
        "slots": [{"slot": 0, "models": [{"model": other, "price_usd_per_hour": "refuse"}]}],
    }
    changed = (await http.patch(path, json=body, headers=owner.headers)).json()
    shown = {entry["model_id"]: entry["price_per_hour"] for entry in changed["slots"][0]["models"]}
    assert shown == {heavy: {"usd_nanos": 900_000_000, "usd": "0.900000000"}, other: None}
    assert changed["slots"][0]["price_per_hour"]["usd"] == "0.020000000"
    back = {"models": [{"model": heavy, "price_usd_per_hour": "auto"}]}
    assert [e["model_id"] for e in (await http.patch(path, json=back, headers=owner.headers)).json()["slots"][0]["models"]] == [
        other
    ]
    for code, wrong in (
        (404, {"model": "no-such-model"}),
        (422, {"model": heavy, "price_usd_per_hour": "-1"}),
        (404, {"model": "mdl_x"}),
    ):
        refused = await http.patch(path, json={"models": [{"price_usd_per_hour": "1", **wrong}]}, headers=owner.headers)
        assert refused.status_code == code, refused.text
    strange = {"slots": [{"slot": 7, "models": [{"model": heavy, "price_usd_per_hour": "1"}]}]}
    assert (await http.patch(path, json=strange, headers=owner.headers)).status_code == 404
    assert (await http.patch(path, json=body, headers=stranger.headers)).status_code == 404


async def beat(http, machine, headers=None, **report) -> httpx.Response:
    body = {"ray_node_id": NODE, "state": "running", **report}
    return await http.post(f"{PATH}/{machine['provider_id']}/heartbeat", json=body, headers=headers or machine_headers(machine))


async def test_a_token_is_shown_once_listed_by_its_hint_and_revoked(http, owner):
    made = await a_token(http, owner, uses_max=3, expires_s=600)
    (listed,) = (await http.get(f"{PATH}/join-tokens", headers=owner.headers)).json()["data"]
    assert made["token"].startswith(listed["hint"])
    assert "token" not in listed
    assert (listed["uses"], listed["uses_max"]) == (0, 3)
    assert (await http.delete(f"{PATH}/join-tokens/{made['id']}", headers=owner.headers)).status_code == 204
    refused = await http.post(f"{PATH}/enroll", json={**an_application(), "token": made["token"]})
    assert refused.status_code == 401
    assert refused.json()["code"] == "unauthenticated"


async def test_a_machine_enrols_beats_and_is_listed_with_its_price(http, owner):
    machine = await enrolled(http, owner)
    assert machine["credential"].startswith("fpc_")
    assert machine["session"]["ray"]["token"]
    answer = (await beat(http, machine)).json()
    assert (answer["desired"], answer["orders_outstanding"]) == ("run", 0)
    assert answer["cluster"] == machine["session"]["cluster"]
    (listed,) = (await http.get(PATH, headers=owner.headers)).json()["data"]
    assert (listed["id"], listed["status"], listed["region"]) == (machine["provider_id"], "online", "eu")
    assert listed["slots"][0]["price_per_hour"] == {"usd_nanos": 20_000_000, "usd": "0.020000000"}
    assert machine["credential"] not in str(listed)


async def test_an_owner_who_names_no_price_asks_for_the_suggested_one(http, owner):
    token = (await a_token(http, owner))["token"]
    body = {**an_application(price_usd_per_hour=None), "token": token}
    machine = (await http.post(f"{PATH}/enroll", json=body)).json()
    shown = (await http.get(f"{PATH}/{machine['provider_id']}", headers=owner.headers)).json()
    assert shown["slots"][0]["price_per_hour"]["usd_nanos"] == 10_000_000  # a CPU core: 0.01 USD


async def test_a_machine_that_comes_back_gets_its_session(http, owner):
    machine = await enrolled(http, owner)
    path = f"{PATH}/{machine['provider_id']}/session"
    answer = await http.post(path, json=an_application(), headers=machine_headers(machine))
    assert answer.status_code == 200
    assert answer.json()["labels"] == machine["session"]["labels"]
    assert (await http.post(path, json=an_application(), headers=owner.headers)).status_code == 401


async def test_other_versions_are_answered_with_those_that_are_wanted(http, owner):
    token = (await a_token(http, owner))["token"]
    answer = await http.post(f"{PATH}/enroll", json={**an_application(ray_version="2.1.0"), "token": token})
    assert answer.status_code == 409
    assert answer.json()["wanted"]["ray_version"] == version("ray")
    assert "2.1.0" in answer.json()["detail"]


async def test_a_heartbeat_cannot_carry_a_bill_nor_a_made_up_node(http, owner):
    machine = await enrolled(http, owner)
    assert (await beat(http, machine, billed_us=10**9)).status_code == 422
    assert (await beat(http, machine, ray_node_id="../../etc")).status_code == 422
    assert (await beat(http, machine, state="rich")).status_code == 422


async def test_a_credential_speaks_for_its_own_machine_only(http, owner):
    first, second = await enrolled(http, owner), await enrolled(http, owner)
    assert (await beat(http, second, machine_headers(first))).status_code == 404
    drain = await http.post(f"{PATH}/{second['provider_id']}/drain", headers=machine_headers(first))
    assert drain.status_code == 404
    assert (await beat(http, first, {"Authorization": "Bearer fpc_invented"})).status_code == 401
    assert (await http.get(PATH, headers=machine_headers(first))).status_code == 401


async def test_price_name_and_pause_are_the_owners(http, owner):
    machine = await enrolled(http, owner)
    await beat(http, machine)
    path = f"{PATH}/{machine['provider_id']}"
    body = {"name": "cellar", "state": "paused", "slots": [{"slot": 0, "price_usd_per_hour": "0.5"}]}
    changed = (await http.patch(path, json=body, headers=owner.headers)).json()
    assert (changed["name"], changed["status"], changed["slots"][0]["price_per_hour"]["usd"]) == (
        "cellar",
        "paused",
        "0.500000000",
    )
    assert (await beat(http, machine)).json()["desired"] == "pause"
    changed = (await http.patch(path, json={"state": "online"}, headers=owner.headers)).json()
    assert changed["status"] == "online"
    for wrong in ({"state": "removed"}, {"price_usd_per_hour": "a lot"}, {"price_usd_per_hour": "-1"}, {"credential": "mine"}):
        assert (await http.patch(path, json=wrong, headers=owner.headers)).status_code == 422


async def test_owner_and_machine_may_drain_it(http, owner):
    for headers_of in (lambda _: owner.headers, machine_headers):
        machine = await enrolled(http, owner)
        await beat(http, machine)
        answer = await http.post(f"{PATH}/{machine['provider_id']}/drain", headers=headers_of(machine))
        assert answer.json()["desired"] == "leave"
        assert (await beat(http, machine)).json()["desired"] == "leave"


async def test_a_removed_machine_is_refused_from_then_on(http, owner):
    machine = await enrolled(http, owner)
    await beat(http, machine)
    assert (await http.delete(f"{PATH}/{machine['provider_id']}", headers=owner.headers)).status_code == 204
    assert (await beat(http, machine)).status_code == 401
    assert (await http.delete(f"{PATH}/{machine['provider_id']}", headers=owner.headers)).status_code == 404
    assert (await http.get(PATH, headers=owner.headers)).json()["data"] == []


async def test_somebody_elses_machines_and_tokens_do_not_exist(http, owner, stranger):
    machine, token = await enrolled(http, owner), await a_token(http, owner)
    path = f"{PATH}/{machine['provider_id']}"
    requests = [
        http.get(path, headers=stranger.headers), http.patch(path, json={"name": "x"}, headers=stranger.headers),
        http.delete(path, headers=stranger.headers), http.post(f"{path}/drain", headers=stranger.headers),
        http.delete(f"{PATH}/join-tokens/{token['id']}", headers=stranger.headers),
        http.get(f"{PATH}/prv_nonsense", headers=owner.headers),
    ]  # fmt: skip
    assert [(await request).status_code for request in requests] == [404] * len(requests)
    assert (await http.get(PATH, headers=stranger.headers)).json()["data"] == []
    assert (await http.get(f"{PATH}/join-tokens", headers=stranger.headers)).json()["data"] == []


async def test_nothing_is_shown_without_a_credential(http, owner):
    machine = await enrolled(http, owner)
    path = f"{PATH}/{machine['provider_id']}"
    for request in (http.get(PATH), http.get(path), http.post(f"{path}/drain"), http.post(f"{path}/heartbeat", json={})):
        assert (await request).status_code == 401


async def test_lists_are_pages(http, owner):
    machines = [(await enrolled(http, owner))["provider_id"] for _ in range(3)]
    first = (await http.get(PATH, params={"limit": 2}, headers=owner.headers)).json()
    rest = (await http.get(PATH, params={"limit": 2, "cursor": first["next_cursor"]}, headers=owner.headers)).json()
    assert [machine["id"] for machine in first["data"] + rest["data"]] == machines[::-1]
    assert rest["next_cursor"] is None
