"""A job's bill: what is charged by machine, slot and rate, what costs nothing and why, and sums that are the ledger's."""

import asyncio
import csv
import io
from collections import defaultdict

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from fabric.billing import clawbacks
from fabric.cli import app as command
from fabric.client import Client
from fabric.core.ids import JobId, ProviderId, SubtaskId
from fabric.core.money import usd_text
from fabric.db.tables import subtasks
from fabric.jobs import queue
from tests.fixtures.desk import JOBS, Desk, problem
from tests.fixtures.jobs import ATTEMPTS_MAX, RATE, completion_of

LEDGER = text("""
    SELECT t.kind, a.kind AS account, a.owner_id, e.side, sum(e.amount) AS nanos
      FROM ledger.transactions t JOIN ledger.entries e ON e.transaction_id = t.id JOIN ledger.accounts a ON a.id = e.account_id
     WHERE t.job_id = :job GROUP BY t.kind, a.kind, a.owner_id, e.side
""")


async def ledger_of(desk: Desk, job: JobId) -> dict:
    """What the ledger says of a job: (kind of transaction, kind of account) -> {owner: nano-USD}."""
    found: dict = defaultdict(dict)
    async with desk.bench.database.reading() as reader:
        for row in await reader.execute(LEDGER, {"job": job}):
            found[row.kind, row.account][row.owner_id] = int(row.nanos)
    return found


@pytest.fixture
async def eventful(desk: Desk, alice) -> tuple[JobId, dict[str, ProviderId]]:
    """A finished job of ten subtasks on three machines at four rates, with a failed, a lost, a late and a cancelled attempt."""
    bench = desk.bench
    machines = {
        "cheap": desk.machine,
        "dear": await bench.provider(rate=3 * RATE, slots_count=2),
        "mine": await bench.provider(alice.id),
    }
    job = JobId.parse(await desk.submit(split={"items_per_subtask": 1}, own_machines=True, budget_usd="0.5"))

    async def lease(name: str, count: int, **changes):
        return await bench.claim(job, machines[name], count, **changes)

    good, bad = await lease("cheap", 2)
    await bench.settle([completion_of(good, billed_us=12_345)])
    await bench.give_back([bad], code="out_of_memory")
    silent, slow = await lease("dear", 2, rate_nanos_per_hour=3 * RATE)
    await bench.overdue_leases(job)
    async with bench.database.transaction() as tx:
        assert len(await queue.expire(tx, attempts_max=ATTEMPTS_MAX)) == 2
    answers = await bench.settle(
        [completion_of(slow), completion_of(good, billed_us=12_345)]
    )  # late; and one that is paid already
    assert [answer.status for answer in answers] == ["stale", "stale"]
    await bench.give_back(await lease("mine", 1, rate_nanos_per_hour=0), "cancelled", counts=False)
    await bench.settle([completion_of(leased) for leased in await lease("mine", 2, rate_nanos_per_hour=0)])
    await bench.overdue_back_off(job)
    await bench.settle(
        [completion_of(leased, billed_us=33_333) for leased in await lease("dear", 2, slot=1, rate_nanos_per_hour=3 * RATE)]
    )
    await bench.settle([completion_of(leased, billed_us=7) for leased in await lease("cheap", 2, rate_nanos_per_hour=2 * RATE)])
    await bench.run(job, machines["cheap"])
    assert silent.position != slow.position
    return job, machines


async def test_every_line_and_sum_is_the_ledgers(desk: Desk, eventful):
    job, machines = eventful
    bill = (await desk.get(f"{JOBS}/{job}/bill")).json()
    books = await ledger_of(desk, job)
    amounts: dict = defaultdict(int)
    net: dict = defaultdict(int)
    for line in bill["charged"]:
        amounts["gross"] += line["amount"]["usd_nanos"]
        amounts["commission"] += line["commission"]["usd_nanos"]
        net[ProviderId.parse(line["provider_id"]).int] += line["amount"]["usd_nanos"] - line["commission"]["usd_nanos"]
    assert net == {owner.int: nanos for owner, nanos in books["capture", "provider:*:pending"].items()}
    assert amounts["gross"] == bill["captured"]["usd_nanos"] == sum(books["capture", "job:*:hold"].values()) > 0
    assert amounts["commission"] == bill["commission"]["usd_nanos"] == sum(books["capture", "platform:commission"].values()) > 0
    assert bill["held"]["usd_nanos"] == sum(books["hold", "job:*:hold"].values()) == 500_000_000
    assert bill["released"]["usd_nanos"] == sum(books["release", "job:*:hold"].values())
    assert (bill["open"]["usd_nanos"], bill["cost"], bill["livemode"]) == (0, bill["captured"], False)
    rates = {(line["provider_id"], line["slot"], line["rate"]["usd_nanos"]) for line in bill["charged"]}
    assert rates == {
        (str(machines["cheap"]), 0, RATE), (str(machines["cheap"]), 0, 2 * RATE), (str(machines["dear"]), 1, 3 * RATE),
    }  # fmt: skip
    assert sum(line["subtasks"] for line in bill["charged"]) == 8
    assert bill["seconds"] == pytest.approx(sum(line["seconds"] for line in bill["charged"]))


async def test_attempts_that_cost_nothing_say_why(desk: Desk, eventful):
    job, machines = eventful
    bill = (await desk.get(f"{JOBS}/{job}/bill")).json()
    free = {(line["provider_id"], line["reason"]): line for line in bill["free"]}
    assert {key: line["subtasks"] for key, line in free.items()} == {
        (str(machines["cheap"]), "failed"): 1, (str(machines["dear"]), "lost"): 1, (str(machines["dear"]), "late"): 1,
        (str(machines["mine"]), "cancelled"): 1, (str(machines["mine"]), "own_machine"): 2,
    }  # fmt: skip
    assert all(line["amount"]["usd_nanos"] == line["commission"]["usd_nanos"] == 0 for line in bill["free"])
    assert free[str(machines["cheap"]), "failed"]["detail"].endswith("out_of_memory")
    assert str(desk.bench.lender) not in str(bill)
    assert "owner" not in str(bill).replace("own_machine", "")


async def test_a_result_that_is_taken_back_later_is_on_the_bill(desk: Desk, eventful):
    job, _ = eventful
    paid = next(row for row in await desk.bench.rows(subtasks, job) if row["gross_nanos"] > 0)
    async with desk.bench.database.transaction() as tx:
        await clawbacks.claw_back(tx, SubtaskId.of(paid["id"]), "wrong")
    bill = (await desk.get(f"{JOBS}/{job}/bill")).json()
    assert bill["clawed_back"]["usd_nanos"] == paid["gross_nanos"]
    assert bill["cost"]["usd_nanos"] == bill["captured"]["usd_nanos"] - paid["gross_nanos"]


async def test_a_bill_for_spreadsheets_has_the_same_lines_and_no_formula(desk: Desk, eventful):
    job, machines = eventful
    async with desk.bench.database.transaction() as tx:
        await tx.execute(text("UPDATE providers SET name = '=HYPERLINK(1)' WHERE id = :id"), {"id": machines["dear"]})
    answer = await desk.get(f"{JOBS}/{job}/bill", format="csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    captured = (await desk.get(f"{JOBS}/{job}/bill")).json()["captured"]["usd_nanos"]
    assert usd_text(captured) == next(row["amount_usd"] for row in rows if row["line"] == "captured")
    assert sum(round(float(row["amount_usd"]) * 1e9) for row in rows if row["line"] == "work") == captured
    assert {row["machine"] for row in rows if row["machine_id"] == str(machines["dear"])} == {"'=HYPERLINK(1)"}
    assert [row["line"] for row in rows[-6:]] == ["held", "captured", "released", "open", "clawed_back", "cost"]


async def test_a_running_job_has_a_bill_so_far_and_nobody_else_has_it(api, bob, desk: Desk):
    job = await desk.submit(split={"items_per_subtask": 1})
    await desk.work(job, 3)
    bill = (await desk.get(f"{JOBS}/{job}/bill")).json()
    assert (bill["status"], sum(line["subtasks"] for line in bill["charged"]), bill["released"]["usd_nanos"]) == ("running", 3, 0)
    assert bill["open"]["usd_nanos"] == bill["held"]["usd_nanos"] - bill["captured"]["usd_nanos"] > 0
    problem(await api.get(f"{JOBS}/{job}/bill", headers=bob.headers), 404, "not_found")
    problem(await desk.get(f"{JOBS}/{job}/bill", format="pdf"), 422, "invalid")


async def test_a_bill_is_read_in_a_notebook_and_at_the_terminal(desk: Desk, eventful, live_url, monkeypatch):
    job, _ = eventful
    key = desk.alice.headers["Authorization"].removeprefix("Bearer ")

    def in_a_notebook() -> tuple[dict, str]:
        with Client(live_url, key) as client:
            handle = client.job(str(job))
            return handle.bill(), handle.bill_csv()

    bill, as_csv = await asyncio.to_thread(in_a_notebook)
    assert bill == (await desk.get(f"{JOBS}/{job}/bill")).json()
    assert as_csv.startswith("line,machine,machine_id,slot")
    monkeypatch.setenv("FABRIC_URL", live_url)
    monkeypatch.setenv("FABRIC_API_KEY", key)
    printed = await asyncio.to_thread(CliRunner().invoke, command, ["jobs", "bill", str(job)])
    assert printed.exit_code == 0, printed.output
    assert f"{bill['cost']['usd']} USD  what the job has cost" in printed.output
    assert "out_of_memory" in printed.output
    assert "Play money" in printed.output
    for_a_sheet = await asyncio.to_thread(CliRunner().invoke, command, ["jobs", "bill", str(job), "--csv"])
    assert for_a_sheet.output.replace("\r", "") == as_csv.replace("\r", "")
