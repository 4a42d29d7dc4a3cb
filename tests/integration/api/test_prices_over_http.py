"""Operators decide on prices over HTTP, everybody sees what counts, jobs keep what they began with, and history stays."""

import asyncio
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from fabric.cli import app as command
from fabric.core import clock
from fabric.core.ids import JobId
from fabric.db.tables import subtasks
from fabric.marketplace.device_table import DEFAULT_TABLE
from tests.fixtures.desk import Desk, decide, problem

OPERATOR = "/api/v1/operator/prices"
PUBLIC = "/api/v1/marketplace/prices"


async def commissions_taken(desk: Desk, job: str) -> set[int]:
    async with desk.bench.database.reading() as reader:
        statement = text("SELECT commission_bps FROM ledger.transactions WHERE job_id = :job AND kind = 'capture'")
        return set((await reader.execute(statement, {"job": JobId.parse(job)})).scalars())


async def test_before_anybody_decides_everybody_sees_what_the_fabric_was_set_up_with(api):
    shown = (await api.get(PUBLIC)).json()
    assert (shown["commission_bps"], shown["commission_since"], shown["devices_since"]) == (1000, None, None)
    assert shown["devices"] == DEFAULT_TABLE.as_json()
    assert (shown["factors"], shown["factor_min"], shown["factor_max"]) == ([], 1.0, 3.0)


async def test_another_commission_is_taken_of_jobs_that_are_submitted_afterwards(api, desk: Desk, operator):
    before = await desk.submit(split={"items_per_subtask": 5})
    await desk.work(before, 1)
    assert (await decide(api, operator, commission_bps=2000))["commission_bps"] == 2000
    assert (await api.get(PUBLIC)).json()["commission_bps"] == 2000
    after = await desk.submit()
    for job in (before, after):
        await desk.work(job)
    assert [await commissions_taken(desk, job) for job in (before, after)] == [{1000}, {2000}]
    shown = [(await desk.get(f"/api/v1/jobs/{job}")).json() for job in (before, after)]
    assert [job["commission_bps"] for job in shown] == [1000, 2000]
    gross = [row["gross_nanos"] for row in await desk.bench.rows(subtasks, JobId.parse(after))]
    assert shown[1]["cost"]["commission"]["usd_nanos"] == sum(nanos * 2000 // 10_000 for nanos in gross) > 0


async def test_what_is_decided_for_later_counts_later_and_what_is_decided_for_before_counts_from_now(api, operator):
    tomorrow = (clock.now() + timedelta(days=1)).isoformat()
    shown = await decide(api, operator, commission_bps=500, effective_at=tomorrow)
    assert (shown["commission_bps"], [change["in_effect"] for change in shown["changes"]]) == (1000, [False])
    shown = await decide(api, operator, commission_bps=700, effective_at="2020-01-01T00:00:00Z")
    assert (shown["commission_bps"], shown["changes"][0]["effective_at"]) == (700, shown["changes"][0]["decided_at"])
    far = (clock.now() + timedelta(days=400)).isoformat()
    problem(
        await api.put(OPERATOR, json={"reason": "r", "commission_bps": 1, "effective_at": far}, headers=operator), 422, "invalid"
    )


async def test_another_table_is_shown_to_everybody_and_new_machines_are_advised_by_it(api, operator):
    table = DEFAULT_TABLE.as_json()
    table["devices"].append({"match": "RTX 5090", "usd_per_hour": "0.9", "watts": 575})
    shown = await decide(api, operator, devices=table, commission_bps=900)
    assert {change["kind"] for change in shown["changes"]} == {"commission", "devices"}
    public = (await api.get(PUBLIC)).json()
    assert public["devices"]["devices"][-1] == {"match": "rtx 5090", "usd_per_hour": "0.900000000", "watts": 575}
    assert "changes" not in public


async def test_every_decision_stays_with_who_when_and_why(api, bob, operator, owner_connection, app_url):
    for bps in (900, 800, 700):
        await decide(api, operator, commission_bps=bps, reason=f"to {bps}")
    first = (await api.get(f"{OPERATOR}/changes", params={"limit": 2}, headers=operator)).json()
    rest = (await api.get(f"{OPERATOR}/changes", params={"cursor": first["next_cursor"]}, headers=operator)).json()
    listed = first["data"] + rest["data"]
    assert [(c["commission_bps"], c["reason"], c["operator_id"]) for c in listed] == [
        (bps, f"to {bps}", str(bob.id)) for bps in (700, 800, 900)
    ]
    # The application may not touch them, and the database's owner cannot by mistake
    for statement in ("UPDATE price_changes SET reason = 'x'", "DELETE FROM price_changes", "TRUNCATE price_changes"):
        async with await psycopg.AsyncConnection.connect(app_url, autocommit=True) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement)
        with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
            await owner_connection.execute(statement)
    dated = await owner_connection.execute("SELECT bool_and(created_at > now() - interval '1 hour') FROM price_changes")
    assert await dated.fetchone() == (True,)


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"commission_bps": -1}, {"commission_bps": 5001}, {"commission_bps": 10.5}, {"commission_bps": 1, "reason": ""},
        {"commission_bps": 1, "effective_at": "2030-01-01T00:00:00"}, {"devices": {}},
        {"devices": DEFAULT_TABLE.as_json() | {"npu_usd_per_hour": "-1"}}, {"devices": DEFAULT_TABLE.as_json() | {"npu_usd_per_hour": "NaN"}},
        {"devices": DEFAULT_TABLE.as_json() | {"devices": [{"match": "other", "usd_per_hour": "1", "watts": 1}]}},
    ],
)  # fmt: skip
async def test_a_decision_that_makes_no_sense_changes_nothing(api, operator, changes):
    problem(await api.put(OPERATOR, json={"reason": "r"} | changes, headers=operator), 422, "invalid")
    assert (await api.get(OPERATOR, headers=operator)).json()["changes"] == []


async def test_nobody_but_an_operator_decides_or_reads_who_did(api, alice):
    for answer in (
        await api.put(OPERATOR, json={"reason": "r", "commission_bps": 0}, headers=alice.headers),
        await api.get(OPERATOR, headers=alice.headers),
        await api.get(f"{OPERATOR}/changes", headers=alice.headers),
    ):
        problem(answer, 403, "forbidden")


async def test_a_slot_follows_the_suggestion_or_its_owner(api, alice, bench):
    machine = await bench.provider(alice.id, slots_count=2)
    path = f"/api/v1/providers/{machine}"

    async def change(**changes):
        answer = await api.patch(path, json=changes, headers=alice.headers)
        return answer, [(slot["price"], slot["price_per_hour"]["usd"]) for slot in answer.json().get("slots", [])]

    _, slots = await change(slots=[{"slot": 1, "price_usd_per_hour": "auto"}])
    assert slots == [("own", "0.010000000"), ("auto", "0.010000000")]
    _, slots = await change(price_usd_per_hour="0.5")
    assert slots == [("own", "0.500000000")] * 2
    refused, _ = await change(price_usd_per_hour="0.00009")
    assert "between 0.0001 and" in problem(refused, 422, "invalid")["detail"]


async def test_an_operator_decides_from_the_terminal(api, operator, live_url, monkeypatch, tmp_path):
    monkeypatch.setenv("FABRIC_URL", live_url)
    monkeypatch.setenv("FABRIC_API_KEY", operator["Authorization"].removeprefix("Bearer "))
    monkeypatch.setenv("FABRIC_HOME", str(tmp_path / "nowhere"))
    words = ["operator", "set-prices", "--commission-bps", "1250", "--reason", "as agreed"]
    done = await asyncio.to_thread(CliRunner().invoke, command, words)
    assert (done.exit_code, "Commission 1250" in done.output, "as agreed" in done.output) == (0, True, True), done.output
    shown = await asyncio.to_thread(CliRunner().invoke, command, ["operator", "prices", "--json"])
    assert '"commission_bps": 1250' in shown.output
