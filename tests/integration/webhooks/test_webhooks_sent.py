"""Webhooks that are sent: told in the transaction of what happened, signed, again after trouble, and never where they must not go."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
import uvicorn
from typer.testing import CliRunner

from fabric.cli import app
from fabric.client import AsyncClient
from fabric.core.ids import JobId, WebhookId
from fabric.core.settings import Settings, WebhookSettings
from fabric.jobs import finish, retention
from fabric.webhooks import outbox, store
from fabric.webhooks.sender import Sender
from tests.fixtures.api import serving
from tests.fixtures.certificates import Authority
from tests.fixtures.desk import Desk, problem
from tests.fixtures.receiver import Receiver

HOOKS = "/api/v1/webhooks"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The same, with trials on this machine."""
    return settings.model_copy(update={"webhooks": WebhookSettings(http_to_loopback=True, endpoints_max=3)})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Somebody who listens."""
    receiver = Receiver()
    async with serving(receiver.app()) as url:
        receiver.url = f"{url}/hook"
        yield receiver


async def hook(desk: Desk, receiver: Receiver, **more) -> str:
    answer = await desk.post({"url": receiver.url, **more}, HOOKS)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    receiver.secret = answer.json()["secret"]
    return str(answer.json()["id"])


async def turn(desk: Desk, settings: Settings) -> int:
    return await outbox.deliver(desk.bench.database, settings)


async def told(desk: Desk, webhook: str) -> list[dict]:
    return (await desk.get(f"{HOOKS}/{webhook}/deliveries")).json()["data"]


async def hurry(owner_connection) -> None:
    await owner_connection.execute("UPDATE webhook_deliveries SET next_try_at = now() WHERE next_try_at IS NOT NULL")


async def test_a_job_that_ends_is_told_once_and_signed(desk, settings, receiver):
    webhook = await hook(desk, receiver)
    done, stopped = await desk.submit(labels={"for": "ada"}), await desk.submit()
    await desk.work(done)
    await desk.post({}, f"/api/v1/jobs/{stopped}/cancel")
    assert await turn(desk, settings) == 2
    assert await turn(desk, settings) == 0
    by_type = {message["type"]: message for message in receiver.told}
    assert set(by_type) == {"job.succeeded", "job.cancelled"}
    # What is told is what the endpoint shows
    shown = (await desk.get(f"/api/v1/jobs/{done}")).json()
    data = by_type["job.succeeded"]["data"]
    assert {
        name: data[name] for name in ("id", "status", "labels", "finished_at", "results_expire_at", "error", "model_version_id")
    } == {
        name: shown[name] for name in ("id", "status", "labels", "finished_at", "results_expire_at", "error", "model_version_id")
    }
    assert data["cost"].items() <= shown["cost"].items()
    assert data["progress"].items() <= shown["progress"].items()
    rows = await told(desk, webhook)
    assert [(row["status"], row["response_status"], row["attempts"]) for row in rows] == [("delivered", 204, 1)] * 2
    assert sorted(row["id"] for row in rows) == sorted(receiver.ids)
    assert {row["job_id"] for row in rows} == {done, stopped}


async def test_what_was_rolled_back_or_is_not_wanted_is_not_told(desk, settings, receiver):
    await hook(desk, receiver, events=["job.failed"])
    job = JobId.parse(await desk.submit())
    with pytest.raises(ZeroDivisionError):
        async with desk.bench.database.transaction() as tx:
            assert await finish.fail_job(tx, job, "deadline_exceeded", "too late")
            raise ZeroDivisionError
    await desk.post({}, f"/api/v1/jobs/{job}/cancel")
    assert (await turn(desk, settings), receiver.told) == (0, [])
    other = JobId.parse(await desk.submit())
    async with desk.bench.database.transaction() as tx:
        await finish.fail_job(tx, other, "deadline_exceeded", "too late")
    assert await turn(desk, settings) == 1
    assert receiver.told[0]["data"]["error"] == {"code": "deadline_exceeded", "detail": "too late"}


async def test_results_that_will_go_are_told(desk, settings, receiver):
    await hook(desk, receiver, events=["job.results_expiring"])
    await desk.work(await desk.submit(results_days=1))
    assert await retention.expire_results(desk.bench.database, settings) == 1
    assert await turn(desk, settings) == 1
    assert receiver.told[0]["data"]["results_expire_at"].endswith("Z")


async def test_trouble_is_tried_again_under_the_same_id_and_given_up_in_the_end(desk, settings, receiver, owner_connection):
    webhook = await hook(desk, receiver)
    assert (await desk.post({}, f"{HOOKS}/{webhook}/ping")).status_code == 202
    receiver.answers = [500, 307]
    for attempt, answered in ((1, 500), (2, 307)):
        assert await turn(desk, settings) == 0
        assert await turn(desk, settings) == 0, "not before its time"
        (row,) = await told(desk, webhook)
        assert (row["status"], row["attempts"], row["response_status"]) == ("pending", attempt, answered)
        await hurry(owner_connection)
    await owner_connection.execute("UPDATE webhook_deliveries SET give_up_at = now()")
    receiver.answers = [503]
    await turn(desk, settings)
    (row,) = await told(desk, webhook)
    assert (row["status"], row["failure"], row["next_try_at"]) == ("given_up", "It answered 503.", None)
    assert (await desk.get(f"{HOOKS}/{webhook}")).json()["failing_since"] is not None
    # Sent again by hand it has the same id, and the webhook works again; nobody has followed the redirect
    again = await desk.post({}, f"{HOOKS}/{webhook}/deliveries/{row['id']}/redeliver")
    assert (again.status_code, again.json()["status"]) == (202, "pending")
    assert await turn(desk, settings) == 1
    assert (len(receiver.ids), set(receiver.ids), receiver.elsewhere) == (4, {row["id"]}, 0)
    assert (await desk.get(f"{HOOKS}/{webhook}")).json()["failing_since"] is None


@pytest.mark.parametrize("is_gone", [True, False])
async def test_what_is_gone_or_fails_for_days_is_switched_off(desk, settings, receiver, owner_connection, is_gone):
    webhook = await hook(desk, receiver)
    await desk.post({}, f"{HOOKS}/{webhook}/ping")
    if not is_gone:
        await owner_connection.execute("UPDATE webhook_deliveries SET give_up_at = now()")
        await owner_connection.execute("UPDATE webhooks SET failing_since = now() - interval '4 days'")
    receiver.answers = [410 if is_gone else 500]
    await turn(desk, settings)
    shown = (await desk.get(f"{HOOKS}/{webhook}")).json()
    assert (shown["enabled"], shown["switched_off_because"]) == (False, outbox.GONE if is_gone else outbox.FAILING)
    problem(await desk.post({}, f"{HOOKS}/{webhook}/ping"), 409, "conflict")
    await desk.work(await desk.submit())
    assert len(await told(desk, webhook)) == 1
    switched = await desk.api.patch(f"{HOOKS}/{webhook}", json={"enabled": True}, headers=desk.alice.headers)
    assert (switched.json()["enabled"], switched.json()["switched_off_because"]) == (True, None)


async def test_a_crash_after_sending_sends_once_more_and_two_loops_never_at_once(desk, settings, receiver, owner_connection):
    webhook = await hook(desk, receiver)
    for _ in range(6):
        await desk.post({}, f"{HOOKS}/{webhook}/ping")
    # Two clerks take different ones, and no more than their share of one webhook
    async with desk.bench.database.transaction() as one, desk.bench.database.transaction() as two:
        wish = {"each_max": 4, "limit": 100, "looked_at_max": 100}
        first = await store.take_due(one, 60, **wish)
        second = await store.take_due(two, 60, **wish)
    assert len(first) == 4
    assert not {due.id for due in first} & {due.id for due in second}
    await hurry(owner_connection)  # they crashed, and their leases ran out
    assert await turn(desk, settings) + await turn(desk, settings) == 6
    assert len(set(receiver.ids)) == 6


async def test_a_receiver_that_takes_its_time_holds_up_nobody_else(desk, settings, receiver):
    slow = Receiver()
    async with serving(slow.app()) as url:
        slow.url = f"{url}/hook"
        kept_waiting, other = await hook(desk, slow), await hook(desk, receiver)
        slow.answering.clear()
        for _ in range(outbox.EACH_MAX + 1):
            await desk.post({}, f"{HOOKS}/{kept_waiting}/ping")
        turning = asyncio.create_task(turn(desk, settings))
        await slow.reached.wait()
        # When the other one is told something while the first keeps everybody waiting
        await desk.post({}, f"{HOOKS}/{other}/ping")
        await receiver.reached.wait()
        # Then it hears at once, and no more than its share is tried with the slow one
        waiting = [row for row in await told(desk, kept_waiting) if row["attempts"] == 0]
        assert (turning.done(), len(waiting)) == (False, 1)
        slow.answering.set()
        assert await turning == outbox.EACH_MAX + 2
        assert len(set(slow.ids)) == outbox.EACH_MAX + 1


async def test_too_much_that_waits_is_given_up_and_can_be_sent_again(desk, settings, receiver, owner_connection):
    webhook = await hook(desk, receiver)
    await owner_connection.execute(
        "INSERT INTO webhook_deliveries (id, webhook_id, event, body, give_up_at) SELECT uuidv7(), %s, 'ping', '{}', now()"
        " FROM generate_series(1, %s)", [WebhookId.parse(webhook), store.PENDING_MAX],
    )  # fmt: skip
    problem(await desk.post({}, f"{HOOKS}/{webhook}/ping"), 409, "conflict")
    job = await desk.submit()
    await desk.work(job)
    (row,) = [row for row in await told(desk, webhook) if row["job_id"] == job]
    assert (row["status"], row["attempts"]) == ("given_up", 0)
    assert "others waited" in row["failure"]


async def test_private_addresses_are_refused_when_sending_too(desk, settings, receiver, owner_connection):
    webhook = await hook(desk, receiver)
    await desk.post({}, f"{HOOKS}/{webhook}/ping")
    strict = settings.model_copy(update={"webhooks": WebhookSettings()})
    await turn(desk, strict)
    await owner_connection.execute("UPDATE webhooks SET url = replace(replace(url, 'http:', 'https:'), '127.0.0.1', 'localhost')")
    await hurry(owner_connection)
    await turn(desk, strict)
    (row,) = await told(desk, webhook)
    assert (row["failure"], receiver.told) == ("Not sent: the name leads to no global address.", [])
    refused = await desk.post({"url": "https://10.1.2.3/"}, HOOKS)
    assert refused.status_code == 422


async def test_a_name_is_checked_against_its_certificate_although_its_address_is_connected_to(tmp_path):
    authority, receiver = Authority(tmp_path), Receiver(secret="whsec_" + "QUFB" * 8)
    issued = authority.issue("localhost")
    address = socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)[0][4][0]
    with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        config = uvicorn.Config(
            receiver.app(), lifespan="off", log_config=None, ssl_certfile=issued.certificate, ssl_keyfile=str(issued.key)
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve([listener]))
        port, shown = listener.getsockname()[1], f"[{address}]" if ":" in address else address
        trust = ssl.create_default_context(cafile=str(authority.ca_file))
        async with Sender(WebhookSettings(private_addresses=True), trust) as sender:
            taken = await sender.send(f"https://localhost:{port}/hook", receiver.secret, "msg_1", json.dumps({"n": 1}))
            other = await sender.send(f"https://{shown}:{port}/hook", receiver.secret, "msg_2", json.dumps({"n": 2}))
        server.should_exit = True
        await running
    assert (taken.failure, receiver.told) == (None, [{"n": 1}])
    assert other.failure
    assert "certificate" in other.failure.lower()


async def test_a_user_has_so_many_and_forgets_them_with_the_account(desk, receiver, owner_connection):
    webhook = await hook(desk, receiver, description="mine")
    for _ in range(2):
        await hook(desk, receiver)
    problem(await desk.post({"url": receiver.url}, HOOKS), 409, "conflict")
    stored = await (await owner_connection.execute("SELECT secret FROM webhooks")).fetchall()
    assert all(receiver.secret.encode() not in bytes(row[0]) for row in stored)
    listed = (await desk.get(HOOKS)).json()["data"]
    assert {row["description"] for row in listed} == {"mine", ""}
    assert not any("secret" in row for row in listed)
    assert (await desk.api.delete(f"{HOOKS}/{webhook}", headers=desk.alice.headers)).status_code == 204
    acts = [line["act"] for line in (await desk.get("/api/v1/auth/audit-log")).json()["data"]]
    assert (acts.count("webhook_created"), acts.count("webhook_deleted")) == (3, 1)


async def test_old_deliveries_are_forgotten(desk, settings, receiver, owner_connection):
    webhook = await hook(desk, receiver)
    for _ in range(2):
        await desk.post({}, f"{HOOKS}/{webhook}/ping")
    await turn(desk, settings)
    await owner_connection.execute(
        "UPDATE webhook_deliveries SET created_at = now() - interval '31 days' WHERE id = (SELECT id FROM webhook_deliveries LIMIT 1)"
    )
    assert await outbox.forget_old(desk.bench.database, 30) == 1
    assert len(await told(desk, webhook)) == 1


async def test_the_command_and_the_client_do_all_of_it(desk, live_url, settings, receiver, monkeypatch):
    token = desk.alice.headers["Authorization"].removeprefix("Bearer ")
    monkeypatch.setenv("FABRIC_URL", live_url)
    monkeypatch.setenv("FABRIC_API_KEY", token)

    async def command(*words: str):
        result = await asyncio.to_thread(CliRunner().invoke, app, ["webhooks", *words, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    made = await command("create", receiver.url, "--event", "job.failed", "--description", "mine")
    receiver.secret = made["secret"]
    assert (made["events"], made["description"]) == (["job.failed"], "mine")
    sent = await command("ping", made["id"])
    assert await turn(desk, settings) == 1
    (row,) = await command("deliveries", made["id"], "--redeliver", sent["id"])
    assert (row["id"], row["status"]) == (sent["id"], "pending")
    assert await turn(desk, settings) == 1
    assert receiver.ids == [sent["id"]] * 2
    assert not (await command("change", made["id"], "--off"))["enabled"]
    async with AsyncClient(live_url, token) as client:
        assert [row["id"] for row in await client.webhooks.list()] == [made["id"]]
        changed = await client.webhooks.change(made["id"], events=["job.cancelled"], enabled=True)
        assert (await client.webhooks.get(made["id"]))["events"] == changed["events"] == ["job.cancelled"]
    assert await command("delete", made["id"]) == {"deleted": made["id"]}
    assert await command("list") == []
