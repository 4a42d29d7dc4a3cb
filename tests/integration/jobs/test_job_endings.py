"""Cancel, deadline, budget: how a job ends before its time."""

import pytest
from sqlalchemy import text

from fabric.core.errors import AlreadyFinished, NotFound
from fabric.core.ids import JobId
from fabric.db.engine import Database
from fabric.db.tables import attempts, jobs, subtasks
from fabric.jobs import finish, queue, store
from fabric.jobs.lifecycle import JOB_MOVES, SUBTASK_MOVES
from tests.fixtures.jobs import ATTEMPTS_MAX, HOLD, RATE, Workbench, completion_of

CAP_NANOS = RATE * 50_000 // 3_600_000_000


async def cancel(bench: Workbench, job: JobId, owner=None) -> None:
    await bench.database.retrying(lambda tx: finish.cancel_job(tx, owner or bench.owner, job))


async def test_a_cancelled_job_keeps_what_is_done_and_gives_the_rest_back_at_once(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=4)
    done, running = await bench.claim(job, provider, 1), await bench.claim(job, provider, 2)
    await bench.settle([completion_of(done[0])])
    await cancel(bench, job)
    shown = await bench.shown(job)
    assert (shown.status, shown.items_done, shown.reserved_nanos, shown.subtasks_leased) == ("cancelled", 1, 0, 0)
    assert shown.released_nanos == HOLD - shown.captured_nanos
    assert [row["status"] for row in await bench.rows(subtasks, job)] == ["done", "cancelled", "cancelled", "cancelled"]
    assert sorted(row["outcome"] for row in await bench.rows(attempts, job)) == ["cancelled", "cancelled", "done"]
    assert (await bench.event_types(job))[-1] == "job.cancelled"
    # Then a receipt that was on its way is worth nothing
    assert [answer.status for answer in await bench.settle([completion_of(lease) for lease in running])] == ["stale", "stale"]
    assert await bench.give_back(running, "cancelled", counts=False) == 0
    async with bench.database.reading() as reader:
        assert await queue.live_orders(reader, [running[0].order_id]) == set()


async def test_a_finished_job_cannot_be_cancelled(bench: Workbench):
    job = await bench.job(items=1)
    await bench.run(job, await bench.provider())
    with pytest.raises(AlreadyFinished):
        await cancel(bench, job)
    other = await bench.job(items=1)
    await cancel(bench, other)
    with pytest.raises(AlreadyFinished):
        await cancel(bench, other)


async def test_nobody_cancels_a_strangers_job(bench: Workbench):
    job = await bench.job(items=1)
    with pytest.raises(NotFound):
        await cancel(bench, job, await bench.user())
    with pytest.raises(NotFound):
        await cancel(bench, JobId.new())
    assert (await bench.shown(job)).status == "queued"


async def test_at_the_deadline_a_waiting_job_fails_and_its_hold_comes_back_in_full(bench: Workbench):
    before = await bench.balance("requestor:*:available", bench.owner)
    late, patient, endless = (
        await bench.job(items=1, deadline_s=-1),
        await bench.job(items=1, deadline_s=3600),
        await bench.job(items=1),
    )
    async with bench.database.transaction() as tx:
        assert await finish.expire_deadlines(tx) == [late]
    shown = await bench.shown(late)
    assert (shown.status, shown.error_code, shown.released_nanos) == ("failed", "deadline_exceeded", HOLD)
    assert {(await bench.shown(job)).status for job in (patient, endless)} == {"queued"}
    assert await bench.balance("requestor:*:available", bench.owner) == before - 2 * HOLD


async def test_a_job_that_ended_before_its_deadline_is_left_alone(bench: Workbench):
    job = await bench.job(items=1, deadline_s=-1)
    await bench.run(job, await bench.provider())
    async with bench.database.transaction() as tx:
        assert await finish.expire_deadlines(tx) == []
    assert (await bench.shown(job)).status == "succeeded"


async def test_a_job_that_cannot_pay_another_subtask_ends_with_what_it_has(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=3, hold=CAP_NANOS + 1)
    (leased,) = await bench.claim(job, provider, 3)
    # While a lease is out, its cap may come back: the job is left alone
    async with bench.database.transaction() as tx:
        assert await finish.fail_exhausted_budgets(tx, {job: CAP_NANOS}) == []
    await bench.settle([completion_of(leased, gross_nanos=CAP_NANOS)])
    assert await bench.claim(job, provider, 1) == []
    async with bench.database.transaction() as tx:
        assert await finish.fail_exhausted_budgets(tx, {job: 1}) == []
        assert await finish.fail_exhausted_budgets(tx, {job: CAP_NANOS}) == [job]
    shown = await bench.shown(job)
    assert (shown.status, shown.error_code, shown.items_done, shown.released_nanos) == ("failed", "budget_exhausted", 1, 1)


async def test_a_job_failed_by_hand_says_why_and_only_once(bench: Workbench):
    job = await bench.job(items=1)
    async with bench.database.transaction() as tx:
        assert await finish.fail_job(tx, job, "model_refused", "No machine can load it.")
        assert not await finish.fail_job(tx, job, "other", "")
    shown = await bench.shown(job)
    assert (shown.error_code, shown.error_detail) == ("model_refused", "No machine can load it.")


async def test_waiting_reasons_are_told_when_they_change(bench: Workbench):
    job = await bench.job(items=1)
    for reason, changed in [
        ("no_capacity", True),
        ("no_capacity", False),
        ("price_below_market", True),
        (None, True),
        (None, False),
    ]:
        async with bench.database.transaction() as tx:
            assert (await store.set_waiting_reasons(tx, {job: reason}) == [job]) is changed
        assert (await bench.shown(job)).waiting_reason == reason
    assert await bench.event_types(job) == ["job.waiting"] * 3


async def test_states_move_only_as_the_table_says(bench: Workbench, owner_url: str):
    # Given a trigger that notes every move of every job and subtask
    owner = Database(owner_url)
    async with owner.transaction() as tx:
        await tx.execute(text("CREATE TABLE moves (kind text, was text, became text)"))
        await tx.execute(text(
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$ BEGIN "
            "INSERT INTO moves VALUES (TG_TABLE_NAME, OLD.status, NEW.status); RETURN NULL; END $$"
        ))  # fmt: skip
        for table in ("jobs", "subtasks"):
            await tx.execute(text(f"CREATE TRIGGER note AFTER UPDATE OF status ON {table} FOR EACH ROW EXECUTE FUNCTION note()"))
    # When jobs live and die in every way there is
    provider = await bench.provider()
    await bench.run(await bench.job(items=3), provider)
    for leases in (0, 1):
        cancelled, failed, late = await bench.job(items=2), await bench.job(items=2), await bench.job(items=2, deadline_s=-1)
        for job in (cancelled, failed, late):
            await bench.claim(job, provider, leases)
        await cancel(bench, cancelled)
        async with bench.database.transaction() as tx:
            await finish.fail_job(tx, failed, "x", "y")
        async with bench.database.transaction() as tx:
            await finish.expire_deadlines(tx)
    tried = await bench.job(items=2)
    for _ in range(ATTEMPTS_MAX):
        await bench.overdue_back_off(tried)
        await bench.give_back(await bench.claim(tried, provider, 1, avoided_too=True))
    # Then each move is in the table, and each of the table's moves was seen
    async with owner.reading() as reader:
        rows = (await reader.execute(text("SELECT DISTINCT kind, was, became FROM moves WHERE was <> became"))).all()
    await owner.close()
    for name, table in (("jobs", JOB_MOVES), ("subtasks", SUBTASK_MOVES)):
        seen = {(row.was, row.became) for row in rows if row.kind == name}
        assert seen == {(was, became) for was, becomes in table.items() for became in becomes}


async def test_a_large_job_is_cancelled_in_one_statement(bench: Workbench):
    job = await bench.job(items=5000)
    await cancel(bench, job)
    assert {row["status"] for row in await bench.rows(subtasks, job)} == {"cancelled"}
    assert (await bench.rows(jobs, job))[0]["status"] == "cancelled"
