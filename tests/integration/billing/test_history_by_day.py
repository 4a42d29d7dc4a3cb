"""What was spent and earned by day: the same sums as the ledger's, own work counted and unpaid."""

from datetime import date

import psycopg
import pytest

from fabric.billing import history
from fabric.core.ids import AttemptId
from fabric.jobs.idle import reasons
from fabric.jobs.idle_facts import read_idle_facts
from fabric.providers import store
from tests.fixtures.jobs import completion_of
from tests.fixtures.money import BILLING

DAY_MS = 86_400_000


@pytest.fixture
async def worked(bench):
    """Two subtasks done by the lender's machine; the first lies a day back."""
    machine, job = await bench.provider(), await bench.job(2)
    for _ in range(2):
        await bench.settle([completion_of(lease, billed_us=3_600_000_000) for lease in await bench.claim(job, machine)])
    return machine, job


async def a_day_back(owner_url, job):
    """The first attempt of a job, and the time that its id begins with, become yesterday's: so the job began then."""
    now_ms = AttemptId.new().int >> 80
    yesterday = AttemptId(int=(now_ms - DAY_MS) << 80)
    async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as connection:
        await connection.execute(
            "UPDATE attempts SET finished_at = finished_at - interval '1 day', id = %s "
            "WHERE id = (SELECT id FROM attempts WHERE job_id = %s ORDER BY id LIMIT 1)",
            [yesterday, job],
        )
        await connection.execute("UPDATE jobs SET started_at = started_at - interval '1 day' WHERE id = %s", [job])


async def test_days_and_sums_are_those_of_the_bill_and_of_the_ledger(bench, database, owner_url, worked):
    machine, job = worked
    await a_day_back(owner_url, job)
    charged = (await bench.shown(job)).captured_nanos
    async with database.reading() as reader:
        mine = await history.read_history(reader, bench.owner, 3)
        theirs = await history.read_history(reader, bench.lender, 3)
        alone = await history.read_earnings(reader, machine, 3)
    assert [day.spent_nanos for day in mine.days] == [0, charged // 2, charged // 2]
    assert mine.month == f"{mine.days[-1].day:%Y-%m}"
    earned = await bench.balance("provider:*:pending", machine)
    assert [day.earned_nanos for day in theirs.days] == [0, earned // 2, earned // 2]
    assert [(day.earned_nanos, day.billed_us, day.subtasks) for day in alone.days[1:]] == [(earned // 2, 3_600_000_000, 1)] * 2
    assert (alone.today_nanos, alone.total_nanos) == (earned // 2, earned)
    # The sums of the month are those of the days that are in it, even when fewer days were asked for
    in_month = sum(day.spent_nanos for day in mine.days if day.day.month == mine.days[-1].day.month)
    async with database.reading() as reader:
        assert (await history.read_history(reader, bench.owner, 1)).month_spent_nanos == in_month == mine.month_spent_nanos


async def test_a_job_of_one_day_counts_whole_as_soon_as_it_has_ended_and_by_its_parts_before(bench, database, worked):
    machine, job = worked
    open_job = await bench.job(2)
    (lease, *_) = await bench.claim(open_job, machine)
    await bench.settle([completion_of(lease)])
    charged = sum([(await bench.shown(one)).captured_nanos for one in (job, open_job)])
    async with database.reading() as reader:
        (today,) = (await history.read_history(reader, bench.owner, 1)).days
    assert (await bench.shown(open_job)).status == "running"
    assert today.spent_nanos == charged > 0


async def test_what_a_machine_does_for_its_owner_is_counted_and_earns_nothing(bench, database):
    machine = await bench.provider(bench.owner)
    job = await bench.job(1, own_machines=True)
    leased = await bench.claim(job, machine)
    await bench.settle([completion_of(lease, gross_nanos=0) for lease in leased])
    async with database.reading() as reader:
        (today,) = (await history.read_earnings(reader, machine, 1)).days
        assert (today.subtasks, today.earned_nanos, today.billed_us) == (1, 0, 10_000)
        facts = await read_idle_facts(reader, await store.provider(reader, bench.owner, machine), BILLING)
    assert (facts.done_own, facts.done_paid, facts.jobs_of_others) == (1, 0, 0)
    assert {"own_jobs", "demand"} <= {reason.id for reason in reasons(facts) if reason.status != "ok"}


async def test_the_facts_about_a_machine_are_of_its_last_day(bench, database, worked):
    machine, _ = worked
    job = await bench.job(1)
    await bench.give_back(await bench.claim(job, machine), code="out_of_memory")
    async with database.reading() as reader:
        facts = await read_idle_facts(reader, await store.provider(reader, bench.lender, machine), BILLING)
    assert (facts.done_paid, facts.missed, facts.error_code, facts.jobs_of_others) == (2, 1, "out_of_memory", 2)
    assert facts.maturing_nanos == await bench.balance("provider:*:pending", machine)


def test_days_go_on_over_the_ends_of_months():
    days = list(history.days_until(date(2026, 3, 1), 3))
    assert days == [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)]
