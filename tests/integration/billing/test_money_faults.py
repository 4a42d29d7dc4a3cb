"""Faults of the database and of callers, as far as money goes: F5, F6, F7, F8, F9 and F29. Afterwards every audit is empty."""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from fabric import wiring
from fabric.api.app import create_app
from fabric.billing import ledger
from fabric.billing.ledger import Capture
from fabric.codecs.tensor import json_of_tensor
from fabric.core.errors import DatabaseUnavailable
from fabric.core.ids import JobId, ProviderId, SubtaskId, UserId
from fabric.core.settings import DispatchSettings, load_settings
from fabric.core.telemetry import configure_logging
from fabric.db.engine import Database
from fabric.db.migrate import ensure_application_role, migrate
from fabric.db.tables import attempts
from fabric.dispatch.settling import Settler
from fabric.dispatch.steps import Settle
from fabric.local.postgres import start_postgres
from tests.fixtures.api import client_of, register, started
from tests.fixtures.commit_proxy import before_postgres
from tests.fixtures.jobs import HOLD, Workbench, completion_of
from tests.fixtures.money import USD, Till
from tests.fixtures.postgres import start_again

WALLET, PAYOUTS = "/api/v1/wallet", "/api/v1/payouts"


async def leased(bench: Workbench):
    job = await bench.job(items=1)
    (lease,) = await bench.claim(job, await bench.provider())
    return job, lease


async def captures_of(bench: Workbench, job: JobId) -> list[int]:
    statement = text(
        "SELECT e.amount FROM ledger.transactions t JOIN ledger.entries e ON e.transaction_id = t.id "
        "JOIN ledger.accounts a ON a.id = e.account_id WHERE t.kind = 'capture' AND t.job_id = :job AND a.kind = 'job:*\\:hold'"
    )
    async with bench.database.reading() as reader:
        return [row.amount for row in await reader.execute(statement, {"job": job})]


async def test_f5_a_completion_told_32_times_at_once_is_captured_once(bench: Workbench):
    job, lease = await leased(bench)
    answers = await asyncio.gather(*(bench.settle([completion_of(lease)]) for _ in range(32)))
    assert sorted(answer.status for (answer,) in answers) == ["done"] + ["stale"] * 31
    assert len(await captures_of(bench, job)) == 1
    assert [row["outcome"] for row in await bench.rows(attempts, job)] == ["done"]


async def test_f6_the_same_subtask_with_another_amount_is_refused_and_an_error_in_the_log_says_so(bench: Workbench, capsys):
    # Given a subtask that was captured, whose lease somebody has brought back to life
    configure_logging("error")
    job, lease = await leased(bench)
    paid = Capture(lease.subtask_id, job, lease.provider_id, 1234, 1000)
    async with bench.database.transaction() as tx:
        assert (await ledger.capture(tx, [paid]))[0].status == "captured"
    # When the dispatcher settles it with another amount
    settled = asyncio.Event()
    settler = Settler(bench.database, DispatchSettings(), lambda _: settled.set())
    settler.add(Settle(lease.order_id, (completion_of(lease),), (), more_expected=False))
    running = asyncio.create_task(settler.run())
    await settled.wait()
    running.cancel()
    # Then nothing more was captured, and an operator is told
    assert await captures_of(bench, job) == [1234]
    said = capsys.readouterr().err
    assert "result_refused" in said and str(lease.subtask_id) in said
    assert [row["outcome"] for row in await bench.rows(attempts, job)] == ["failed"]


# ── F7 ──


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fb-f7-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT], ids=["killed", "immediate shutdown"])
async def test_f7_postgres_dies_under_load_answers_are_503_and_nothing_acknowledged_is_lost(folder, how):
    # Given an endpoint on a server of its own that really writes to disk, and five people who top up again and again
    server = start_postgres(folder / "postgres", folder / "log")
    try:
        migrate(server.url)
        app_url = ensure_application_role(server.url)
        settings = load_settings(
            home=folder, log_level="critical", database={"app_url": app_url, "pool_size": 5},
            storage={"public_url": "http://127.0.0.1:9", "signing_key": "k" * 43}, auth={"jwt_key": "j" * 43},
        )  # fmt: skip
        async with started(create_app(lambda: wiring.build(settings))) as app, client_of(app) as api:
            people = [await register(api) for _ in range(5)]
            credited = dict.fromkeys(range(len(people)), 0)
            refused, back = asyncio.Event(), asyncio.Event()
            away = []

            async def keep_topping_up(n):
                for turn in range(400):
                    headers = people[n].headers | {"Idempotency-Key": f"{n}-{turn}"}
                    while True:  # a client's retry storm: the same key until there is an answer
                        answer = await api.post(f"{WALLET}/top-ups", json={"amount_usd": "1"}, headers=headers)
                        if answer.status_code == 201:
                            break
                        away.append((answer.status_code, answer.headers.get("Retry-After"), answer.json()["code"]))
                        refused.set()
                        await back.wait()
                    credited[n] += 1
                    if back.is_set() and turn and credited[n] % 5 == 0:
                        return

            # When it dies amid that, and comes back
            writers = [asyncio.create_task(keep_topping_up(n)) for n in range(len(people))]
            while min(credited.values()) < 3:
                await asyncio.sleep(0)
            server.process.send_signal(how)
            await asyncio.to_thread(server.process.wait)
            await refused.wait()
            server = await asyncio.to_thread(start_again, folder)
            back.set()
            await asyncio.gather(*writers)
            # Then everybody was told to come again, every acknowledged top-up counts once, and the books balance
            assert set(away) == {(503, "1", "database_unavailable")}
            for n, person in enumerate(people):
                wallet = (await api.get(WALLET, headers=person.headers)).json()
                assert wallet["available"]["usd_nanos"] == credited[n] * USD
            async with app.state.services.database.reading() as reader:
                assert await ledger.trial_balance(reader) == 0
                assert await ledger.audit(reader) == []
    finally:
        server.stop()


# ── F8 ──


@pytest.fixture
def sockets() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fb-f8-"))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("loss", ["before", "after"])
async def test_f8_a_connection_lost_at_commit_leaves_one_transaction_for_one_key(app_url, database, sockets, loss):
    user, job, machine, subtask = UserId.new(), JobId.new(), ProviderId.new(), SubtaskId.new()
    flows = [
        lambda tx: ledger.top_up(tx, user, 10 * USD, "pi_1"),
        lambda tx: ledger.place_hold(tx, user, job, 5 * USD),
        lambda tx: ledger.capture(tx, [Capture(subtask, job, machine, USD, 1000)]),
        lambda tx: ledger.release_hold(tx, user, job),
    ]
    async with before_postgres(app_url, sockets) as (url, proxy):
        unlucky = Database(url, pool_size=2)
        for flow in flows:
            # Given a flow whose commit gets no answer
            proxy.losses.append(loss)
            with pytest.raises(DatabaseUnavailable):
                await unlucky.retrying(flow)
            # When it is asked for again with the same key
            again = await unlucky.retrying(flow)
            # Then it is done, and a third time is the same
            third = await unlucky.retrying(flow)
            if isinstance(again, list):
                assert (again[0].status, third[0].status) == ("duplicate" if loss == "after" else "captured", "duplicate")
            else:
                assert third == again
        assert proxy.lost == [loss] * len(flows)
        await unlucky.close()
    async with database.reading() as reader:
        kinds = (await reader.execute(text("SELECT kind FROM ledger.transactions ORDER BY created_at"))).scalars().all()
    assert kinds == ["topup", "hold", "capture", "release"]


async def test_f8_the_dispatcher_settles_again_what_it_does_not_know_to_be_committed(bench: Workbench, app_url, sockets):
    job, lease = await leased(bench)
    async with before_postgres(app_url, sockets) as (url, proxy):
        unlucky = Database(url, pool_size=2)
        proxy.losses.append("after")
        with pytest.raises(DatabaseUnavailable):
            await Workbench(unlucky).settle([completion_of(lease)])
        (answer,) = await Workbench(unlucky).settle([completion_of(lease)])
        await unlucky.close()
    assert answer.status == "stale"  # it was written by the first
    assert len(await captures_of(bench, job)) == 1


# ── F9 ──


async def test_f9_crossed_captures_never_wait_for_each_other_in_a_circle(database):
    # Given two jobs and two machines, and writers who name them in opposite orders
    user, jobs, machines = UserId.new(), [JobId.new() for _ in range(2)], [ProviderId.new() for _ in range(2)]
    async with database.transaction() as tx:
        await ledger.top_up(tx, user, 4 * USD, "pi_1")
        for job in jobs:
            await ledger.place_hold(tx, user, job, USD)

    async def write(forwards):
        order = [0, 1] if forwards else [1, 0]
        async with database.transaction() as tx:  # not retried: the one order of locks is enough
            return await ledger.capture(tx, [Capture(SubtaskId.new(), jobs[n], machines[1 - n], 1000, 1000) for n in order])

    answers = await asyncio.gather(*(write(n % 2 == 0) for n in range(40)))
    assert {answer.status for pair in answers for answer in pair} == {"captured"}


async def test_f9_a_deadlock_and_a_serialisation_failure_are_tried_again(database):
    # Given two acts that lock two wallets in opposite orders, each after the other has its first
    users = [UserId.new(), UserId.new()]
    for user in users:
        async with database.transaction() as tx:
            await ledger.top_up(tx, user, USD, user.hex)
    first_locks, tries = asyncio.Barrier(2), [0, 0]

    async def cross(n):
        async def act(tx):
            tries[n] += 1
            lock = text("SELECT 1 FROM wallets WHERE user_id = CAST(:user AS uuid) FOR UPDATE")
            await tx.execute(lock, {"user": users[n]})
            if tries[n] == 1:
                await first_locks.wait()
            await tx.execute(lock, {"user": users[1 - n]})
            return await ledger.top_up(tx, users[n], USD, f"more:{n}")

        return await database.retrying(act)

    async with database.transaction() as tx:
        for user in users:
            await tx.execute(text("INSERT INTO wallets (user_id) VALUES (CAST(:user AS uuid))"), {"user": user})
    # When they meet
    made = await asyncio.gather(cross(0), cross(1))
    # Then one was tried again, and both are written once
    assert sum(tries) == 3 and len(set(made)) == 2


# ── F29 ──


async def test_f29_a_retry_storm_makes_one_top_up_one_refund_and_one_payout_for_each_key(api, alice, services):
    till = Till(services.database)
    machine = await till.machine(alice.id, "box")
    await till.earn(machine, 70 * USD)
    await till.mature(machine, alice.id)
    await till.onboard(alice.id)

    async def storm(path, body, key):
        headers = alice.headers | {"Idempotency-Key": key}
        answers = await asyncio.gather(*(api.post(path, json=body, headers=headers) for _ in range(16)))
        assert {answer.status_code for answer in answers} <= {201, 409}
        made = {answer.text for answer in answers if answer.status_code == 201}
        assert len(made) == 1
        again = await api.post(path, json=body, headers=headers)
        assert {again.text} == made

    await storm(f"{WALLET}/top-ups", {"amount_usd": "9"}, "one")
    await storm(f"{WALLET}/refunds", {"amount_usd": "2"}, "two")
    await storm(PAYOUTS, {"amount_usd": "30"}, "three")
    wallet = (await api.get(WALLET, headers=alice.headers)).json()
    assert wallet["available"]["usd_nanos"] == 7 * USD
    assert await till.balance("provider:*:in_transit", alice.id) == 30 * USD


async def test_f29_a_double_click_submits_one_job_with_one_hold(api, alice, bench: Workbench):
    async with bench.database.transaction() as tx:
        await ledger.top_up(tx, alice.id, 2 * HOLD, "topup:alice", {})
    await bench.model(alice.id)
    await bench.provider()
    body = {
        "model": "m",
        "inputs": [{"name": "x", "tensor": json_of_tensor("x", np.zeros((1, 2), np.float32))}],
        "budget_usd": "1",
    }
    headers = alice.headers | {"Idempotency-Key": "click"}
    answers = await asyncio.gather(*(api.post("/api/v1/jobs", json=body, headers=headers) for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {201, 409}, [answer.text for answer in answers]
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert await bench.balance("requestor:*:available", alice.id) == 2 * HOLD - USD
