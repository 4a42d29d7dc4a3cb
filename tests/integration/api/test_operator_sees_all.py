"""What an operator sees of everybody, of the books and of the parts; the books are audited on demand."""

from functools import partial

import httpx
import psycopg
import pytest

from fabric import wiring
from fabric.api.app import create_app
from fabric.dispatch.leadership import LOCK_KEY
from fabric.gate.control import ask, serve
from fabric.gate.refusals import Refusals
from tests.fixtures.api import Person, client_of, started
from tests.fixtures.jobs import Workbench

PATH = "/api/v1/operator"


@pytest.fixture
async def operator(alice: Person, owner_connection) -> dict[str, str]:
    await owner_connection.execute("UPDATE users SET role = 'operator' WHERE email = %s", (alice.email,))
    return alice.headers


@pytest.fixture
async def bench(services, bob, api) -> Workbench:
    """Bob with credit, two jobs and a machine."""
    bench = Workbench(services.database, owner=bob.id)
    bench.version = await bench.model()
    await api.post("/api/v1/wallet/top-ups", json={"amount_usd": "20"}, headers=bob.headers)
    return bench


async def shown(api: httpx.AsyncClient, path: str, headers, **query):
    answer = await api.get(f"{PATH}/{path}", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_jobs_and_machines_of_everybody_are_listed_with_their_owners_and_found_by_them(api, alice, bob, bench, operator):
    first, second = await bench.job(3), await bench.job(1)
    machine = await bench.provider(bob.id)
    page = await shown(api, "jobs", operator, limit=1)
    assert [(job["id"], job["owner_email"], job["held"]["usd"]) for job in page["data"]] == [
        (str(second), bob.email, "1.000000000")
    ]
    rest = await shown(api, "jobs", operator, cursor=page["next_cursor"])
    assert [job["id"] for job in rest["data"]] == [str(first)]
    assert not {"request", "inputs"} & set(rest["data"][0])
    assert (await shown(api, "jobs", operator, user_id=str(alice.id)))["data"] == []
    assert (await shown(api, "jobs", operator, status="running"))["data"] == []
    await api.post(f"{PATH}/providers/{machine}/ban", json={"reason": "rubbish"}, headers=operator)
    (seen,) = (await shown(api, "providers", operator, user_id=str(bob.id)))["data"]
    assert (seen["id"], seen["status"], seen["banned"], seen["reason"]) == (str(machine), "removed", True, "rubbish")


async def test_users_are_found_by_a_part_of_their_address(api, alice, bob, operator):
    found = await shown(api, "users", operator, part=bob.email[2:9].upper())
    assert [user["email"] for user in found["data"]] == [bob.email]
    assert (await shown(api, "users", operator, part="%"))["data"] == []


async def test_the_books_are_shown_and_audited_and_play_money_has_nothing_to_be_compared_with(api, bench, operator):
    books = await shown(api, "ledger", operator)
    sums = {one["kind"]: one["balance"]["usd"] for one in books["kinds"]}
    assert (sums["platform:stripe"], sums["requestor:*:available"]) == ("20.000000000", "20.000000000")
    assert books["trial_balance"]["usd_nanos"] == 0
    audit = (await api.post(f"{PATH}/ledger/audit", headers=operator)).json()
    assert (audit["findings"], audit["trial_balance"]["usd_nanos"]) == ([], 0)
    assert audit["audits"] > 10
    refused = await api.post(f"{PATH}/ledger/reconciliation", headers=operator)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


async def test_each_part_says_whether_it_does_its_work(api, bench, operator, owner_url):
    async def parts():
        return {part["name"]: part["status"] for part in (await shown(api, "health", operator))["parts"]}

    # Given no dispatcher, and a lease that ran out long ago and that no loop gives back
    job, machine = await bench.job(1), await bench.provider(bench.owner)
    await bench.claim(job, machine)
    async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as connection:
        await connection.execute("UPDATE subtasks SET lease_until = now() - interval '1 h'")
        well = await parts()
        assert {name for name, status in well.items() if status == "problem"} == {"dispatcher", "background loops"}
        # And a webhook that nobody tells what it waits for, which one that is being tried does not count as
        await connection.execute(
            "INSERT INTO webhooks (id, user_id, url, events, secret) SELECT uuidv7(), id, 'https://x', '{}', '' FROM users"
        )
        await connection.execute(
            "INSERT INTO webhook_deliveries (id, webhook_id, event, body, next_try_at, give_up_at) "
            "SELECT uuidv7(), id, 'ping', '{}', now() - interval '1 h', now() FROM webhooks LIMIT 1"
        )
        seen = {part["name"]: part["seen"] for part in (await shown(api, "health", operator))["parts"]}
        assert (seen["webhooks"], seen["mail"]) == ("1 delivery waits", "nothing waits")
        assert seen["background loops"] == "1 lease overdue"
        await connection.execute(
            "INSERT INTO webhook_deliveries (id, webhook_id, event, body, next_try_at, give_up_at) "
            "SELECT uuidv7(), webhook_id, 'ping', '{}', now() + interval '1 min', now() FROM webhook_deliveries"
        )
        assert (await parts())["webhooks"] == "ok"
        # When a dispatcher leads
        await connection.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
        assert (await parts())["dispatcher"] == "ok"
        led = next(part for part in (await shown(api, "health", operator))["parts"] if part["name"] == "dispatcher")
        assert led["seen"] == "1 open job"


async def test_what_the_gate_refused_is_shown_newest_first_and_without_a_gate_that_is_said(
    api, settings, alice, operator, tmp_path
):
    assert (await shown(api, "gate", operator))["reached"] is False
    # Given a gate that refused two calls, and an endpoint beside it
    refusals, place = Refusals(), tmp_path / "gate.sock"
    for reason in ("method", "own"):
        refusals.refuse("/ray.rpc/KillActor", reason, "not on the list", peer="10.0.0.7:1", provider="prv_1")

    async def answer():
        return refusals.as_json()

    beside = create_app(lambda: wiring.build(settings), ask_gate=partial(ask, place))
    async with await serve(place, {"refusals": answer}), started(beside) as app, client_of(app) as client:
        seen = await shown(client, "gate", operator)
        assert (seen["refused_total"], [case["reason"] for case in seen["latest"]]) == (2, ["own", "method"])
        assert seen["latest"][0]["provider_id"] == "prv_1"
        place.unlink()
        assert (await shown(client, "gate", operator))["reached"] is False
