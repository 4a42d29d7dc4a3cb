"""Completions: exactly once or not at all, and no bad one keeps a neighbour from being paid."""

from dataclasses import replace

import pytest

from fabric.core.ids import OrderId, SubtaskId
from fabric.db.tables import attempts, subtasks
from tests.fixtures.jobs import HOLD, RATE, Workbench, completion_of


async def test_a_settled_subtask_is_done_recorded_and_paid_in_one_go(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=2)
    first, _ = await bench.claim(job, provider, 2)
    (answer,) = await bench.settle([completion_of(first, reported_us=12_000, observed_us=11_000, billed_us=10_000)])
    assert answer.status == "done"
    gross = RATE * 10_000 // 3_600_000_000
    row = (await bench.rows(subtasks, job))[0]
    assert (row["status"], row["output"], row["gross_nanos"], row["cap_nanos"]) == ("done", b"output of 0", gross, 0)
    (tried,) = await bench.rows(attempts, job)
    assert (tried["reported_us"], tried["observed_us"], tried["cap_us"], tried["billed_us"]) == (12_000, 11_000, 50_000, 10_000)
    assert (tried["gross_nanos"], tried["commission_nanos"]) == (gross, gross // 10)
    shown = await bench.shown(job)
    assert (shown.items_done, shown.subtasks_done, shown.captured_nanos, shown.status) == (1, 1, gross, "running")
    assert await bench.event_types(job) == ["job.started", "job.progress"]


async def test_the_last_completion_ends_the_job_and_gives_the_rest_of_the_hold_back(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=5, per_subtask=2)
    await bench.run(job, provider)
    shown = await bench.shown(job)
    assert (shown.status, shown.items_done, shown.reserved_nanos) == ("succeeded", 5, 0)
    assert shown.finished_at is not None
    assert shown.released_nanos == HOLD - shown.captured_nanos
    assert (await bench.event_types(job))[-2:] == ["job.progress", "job.succeeded"]
    assert await bench.open_job(job) is None


async def test_a_receipt_with_an_old_fence_matches_nothing(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=1)
    (leased,) = await bench.claim(job, provider)
    wrong = [
        completion_of(leased, fence=leased.fence - 1),
        completion_of(leased, fence=leased.fence + 1),
        completion_of(leased, provider_id=await bench.provider()),
        completion_of(leased, job_id=await bench.job(items=1)),
        completion_of(leased, subtask_id=SubtaskId.new()),
    ]
    assert {answer.status for answer in await bench.settle(wrong)} == {"stale"}
    assert (await bench.shown(job)).captured_nanos == 0


async def test_of_the_same_completion_twice_in_one_batch_one_counts(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=2)
    (leased, _) = await bench.claim(job, provider, 2)
    good = completion_of(leased)
    answers = await bench.settle([replace(good, fence=0), good, good, replace(good, gross_nanos=1)])
    assert [answer.status for answer in answers] == ["stale", "done", "stale", "stale"]
    assert (await bench.shown(job)).captured_nanos == good.gross_nanos


async def test_no_bill_exceeds_the_cap_of_its_lease(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=1)
    (leased,) = await bench.claim(job, provider)
    await bench.settle([completion_of(leased, gross_nanos=HOLD)])
    assert (await bench.shown(job)).captured_nanos == leased.cap_nanos


async def test_on_an_own_machine_a_subtask_costs_and_earns_nothing(bench: Workbench):
    mine = await bench.provider(bench.owner)
    job = await bench.job(items=3, own_machines=True, hold=0)
    leased = await bench.claim(job, mine, 3, rate_nanos_per_hour=0)
    answers = await bench.settle([completion_of(lease) for lease in leased])
    assert {answer.status for answer in answers} == {"done"}
    shown = await bench.shown(job)
    assert (shown.status, shown.captured_nanos, shown.released_nanos) == ("succeeded", 0, 0)
    assert {row["billed_us"] for row in await bench.rows(attempts, job)} == {10_000}


async def test_items_that_failed_are_counted_and_the_rest_is_delivered_and_charged(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=4, per_subtask=4)
    (leased,) = await bench.claim(job, provider)
    errors = ((2, "corrupt_image", "not a PNG\0"),)
    await bench.settle([completion_of(leased, item_errors=errors)])
    shown = await bench.shown(job)
    assert (shown.status, shown.items_done, shown.items_failed) == ("succeeded", 3, 1)
    assert shown.captured_nanos > 0
    assert (await bench.rows(subtasks, job))[0]["item_errors"] == [[2, "corrupt_image", "not a PNG"]]


@pytest.mark.parametrize("bad", [{"output_key": "a\0b"}, {"reported_us": 2**70}])
async def test_a_result_that_cannot_be_written_goes_back_alone(bench: Workbench, bad):
    provider = await bench.provider()
    job = await bench.job(items=7)
    leased = await bench.claim(job, provider, 7)
    completions = [completion_of(lease) for lease in leased]
    completions[3] = replace(completions[3], **bad)
    statuses = [answer.status for answer in await bench.settle(completions)]
    assert statuses == ["done", "done", "done", "refused", "done", "done", "done"]
    rows = await bench.rows(subtasks, job)
    assert [row["status"] for row in rows] == ["done"] * 3 + ["waiting"] + ["done"] * 3
    assert [row["error_code"] for row in rows][3] == "result_refused"


async def test_a_capture_that_the_ledger_refuses_does_not_abort_its_neighbours(bench: Workbench):
    # Given a job whose commission rate got lost for one completion: the ledger refuses such a capture
    provider = await bench.provider()
    job = await bench.job(items=3)
    leased = await bench.claim(job, provider, 3)
    completions = [completion_of(lease) for lease in leased]
    completions[1] = replace(completions[1], commission_bps=20_000)
    # When all three are settled together
    answers = await bench.settle(completions)
    # Then the two good ones are paid and the bad one waits for another try
    assert [answer.status for answer in answers] == ["done", "refused", "done"]
    assert answers[1].detail
    assert [row["status"] for row in await bench.rows(subtasks, job)] == ["done", "waiting", "done"]


async def test_one_batch_settles_many_jobs_and_ends_those_that_are_complete(bench: Workbench):
    provider = await bench.provider()
    done, half = await bench.job(items=2), await bench.job(items=4)
    stranger = await bench.user(credit=HOLD)
    foreign = await bench.job(items=1, owner=stranger)
    leased = [
        *await bench.claim(half, provider, 2),
        *await bench.claim(done, provider, 2),
        *await bench.claim(foreign, provider, 1),
    ]
    await bench.settle([completion_of(lease) for lease in leased])
    statuses = [(await bench.shown(job)).status for job in (done, half)]
    assert statuses == ["succeeded", "running"]
    assert (await bench.shown(foreign, stranger)).status == "succeeded"
    assert (await bench.event_types(half)).count("job.progress") == 1


async def test_settling_nothing_is_nothing(bench: Workbench):
    assert await bench.settle([]) == []
    assert await bench.claim(await bench.job(items=1), await bench.provider(), 0) == []


async def test_a_job_of_tiny_bills_still_pays_at_least_one_nano_dollar_each(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=3)
    leased = await bench.claim(job, provider, 3, order_id=OrderId.new())
    await bench.settle([completion_of(lease, billed_us=1) for lease in leased])
    assert (await bench.shown(job)).captured_nanos == 3
