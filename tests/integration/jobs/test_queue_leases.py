"""Claim, extend, give back, expire: one lease at a time."""

import pytest

from fabric.core.ids import OrderId
from fabric.db.tables import attempts, jobs, subtasks
from fabric.jobs import queue
from fabric.jobs.job import Claim
from tests.fixtures.jobs import ATTEMPTS_MAX, HOLD, LEASE_S, PROFILE, RATE, Workbench, completion_of

CAP_NANOS = RATE * 50_000 // 3_600_000_000


async def test_a_claim_leases_the_first_subtasks_in_input_order_and_starts_the_job(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=10, per_subtask=3)
    leased = await bench.claim(job, provider, 2, cap_us_per_item=50_000)
    assert [(lease.position, lease.item_start, lease.item_count, lease.fence) for lease in leased] == [(0, 0, 3, 1), (1, 3, 3, 1)]
    assert leased[0].cap_us == 150_000
    shown = await bench.shown(job)
    assert (shown.status, shown.subtasks_leased) == ("running", 2)
    assert shown.started_at is not None
    assert shown.reserved_nanos == sum(lease.cap_nanos for lease in leased) > 0
    assert await bench.event_types(job) == ["job.started"]


async def test_the_last_subtask_gets_the_items_that_are_left(bench: Workbench):
    job = await bench.job(items=10, per_subtask=4)
    assert [row["item_count"] for row in await bench.rows(subtasks, job)] == [4, 4, 2]


async def test_several_slots_and_jobs_are_served_by_one_claim(bench: Workbench):
    one, other = await bench.provider(), await bench.provider()
    first, second = await bench.job(items=5), await bench.job(items=5)
    wishes = [(first, one, 2), (second, one, 3), (first, other, 9)]
    claims = [Claim(OrderId.new(), job, provider, 0, count, RATE, 50_000, LEASE_S) for job, provider, count in wishes]
    async with bench.database.transaction() as tx:
        leased = await queue.claim(tx, claims)
    by_order = {claim.order_id: [lease.position for lease in leased if lease.order_id == claim.order_id] for claim in claims}
    assert [by_order[claim.order_id] for claim in claims] == [[0, 1], [0, 1, 2], [2, 3, 4]]
    assert {lease.provider_id for lease in leased if lease.job_id == second} == {one}


async def test_caps_of_outstanding_leases_never_exceed_the_hold(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=10, hold=3 * CAP_NANOS + 1)
    assert len(await bench.claim(job, provider, 10)) == 3
    assert await bench.claim(job, provider, 10) == []
    assert (await bench.shown(job)).reserved_nanos == 3 * CAP_NANOS


async def test_the_unused_part_of_a_cap_pays_further_subtasks(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=10, hold=CAP_NANOS)
    (leased,) = await bench.claim(job, provider, 10)
    await bench.settle([completion_of(leased, billed_us=1)])
    assert (await bench.shown(job)).captured_nanos == 1
    assert await bench.claim(job, provider, 1) == []
    assert len(await bench.claim(job, provider, 1, cap_us_per_item=49_000)) == 1


async def test_a_claim_on_a_job_that_has_ended_gets_nothing(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=1)
    await bench.run(job, provider)
    assert await bench.claim(job, provider, 1) == []


async def test_extending_keeps_a_lease_and_tells_which_orders_live(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=4)
    kept, settled = await bench.claim(job, provider, 2), await bench.claim(job, provider, 1)
    before = {row["position"]: row["lease_until"] for row in await bench.rows(subtasks, job)}
    await bench.settle([completion_of(settled[0])])
    orders = [kept[0].order_id, settled[0].order_id, OrderId.new()]
    async with bench.database.transaction() as tx:
        assert await queue.extend(tx, orders, 2 * LEASE_S) == {kept[0].order_id}
    async with bench.database.reading() as reader:
        assert await queue.live_orders(reader, orders) == {kept[0].order_id}
    after = {row["position"]: row["lease_until"] for row in await bench.rows(subtasks, job)}
    assert after[0] > before[0] and after[1] > before[1]


async def test_a_lease_that_ran_out_returns_its_subtask_to_the_queue(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=2)
    late, alive = await bench.claim(job, provider, 1), await bench.claim(job, provider, 1)
    await bench.overdue_leases(job)
    async with bench.database.transaction() as tx:
        await queue.extend(tx, [alive[0].order_id], LEASE_S)
    async with bench.database.transaction() as tx:
        assert await queue.expire(tx, attempts_max=ATTEMPTS_MAX) == {late[0].subtask_id}
    rows = await bench.rows(subtasks, job)
    assert [(row["status"], row["attempts"]) for row in rows] == [("waiting", 1), ("leased", 0)]
    assert (await bench.shown(job)).reserved_nanos == CAP_NANOS
    assert [row["outcome"] for row in await bench.rows(attempts, job)] == ["lost"]


async def test_a_lost_lease_costs_nothing_and_its_late_receipt_matches_nothing(bench: Workbench):
    # Given a subtask whose first machine fell silent and whose second one finished
    silent, quick = await bench.provider(), await bench.provider()
    job = await bench.job(items=1)
    (first,) = await bench.claim(job, silent)
    assert await bench.give_back([first], "lost") == 1
    await bench.overdue_back_off(job)
    (second,) = await bench.claim(job, quick)
    assert second.fence == first.fence + 1
    # When both send their receipts, the late one first
    answers = await bench.settle([completion_of(first), completion_of(second)])
    # Then only the second earns
    assert [answer.status for answer in answers] == ["stale", "done"]
    assert await bench.balance("provider:*:pending", silent) == 0
    assert await bench.balance("provider:*:pending", quick) > 0
    assert [(row["outcome"], row["provider_id"]) for row in await bench.rows(attempts, job)] == [
        ("lost", silent),
        ("done", quick),
    ]


async def test_giving_back_twice_is_nothing(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=1)
    leased = await bench.claim(job, provider)
    assert await bench.give_back(leased) == 1
    assert await bench.give_back(leased) == 0
    assert len(await bench.rows(attempts, job)) == 1


async def test_a_failed_subtask_backs_off_longer_each_time(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=1)
    waits = []
    for _ in range(ATTEMPTS_MAX - 1):
        leased = await bench.claim(job, provider, avoided_too=True)
        await bench.give_back(leased)
        (row,) = await bench.rows(subtasks, job)
        (tried, *_) = reversed(await bench.rows(attempts, job))
        waits.append(row["not_before"] - tried["finished_at"].timestamp() * 1000)
        assert await bench.claim(job, provider, avoided_too=True) == []
        open_job = await bench.open_job(job)
        assert open_job is not None and (open_job.waiting, open_job.delayed) == (0, 1)
        await bench.overdue_back_off(job)
    assert waits[1] > 3 * waits[0] > 0


async def test_a_retry_avoids_the_machine_that_failed_while_there_is_another(bench: Workbench):
    bad, good = await bench.provider(), await bench.provider()
    job = await bench.job(items=2)
    await bench.give_back(await bench.claim(job, bad, 1))
    await bench.overdue_back_off(job)
    open_job = await bench.open_job(job)
    assert open_job is not None and (open_job.waiting, dict(open_job.avoiding)) == (2, {bad: 1})
    assert [lease.position for lease in await bench.claim(job, bad, 2)] == [1]
    assert [lease.position for lease in await bench.claim(job, good, 2)] == [0]


async def test_a_retry_goes_to_the_same_machine_when_it_is_the_only_one(bench: Workbench):
    only = await bench.provider()
    job = await bench.job(items=1)
    await bench.give_back(await bench.claim(job, only))
    await bench.overdue_back_off(job)
    assert await bench.claim(job, only) == []
    assert len(await bench.claim(job, only, avoided_too=True)) == 1


async def test_a_lease_given_back_without_fault_counts_no_attempt(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=1)
    for _ in range(2 * ATTEMPTS_MAX):
        assert await bench.give_back(await bench.claim(job, provider), "cancelled", counts=False) == 1
    (row,) = await bench.rows(subtasks, job)
    assert (row["status"], row["attempts"], row["avoid_provider_id"]) == ("waiting", 0, None)


async def test_at_the_attempt_limit_the_job_fails_and_says_the_last_error(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=3)
    (done,) = await bench.claim(job, provider)
    await bench.settle([completion_of(done)])
    for n in range(ATTEMPTS_MAX):
        await bench.overdue_back_off(job)
        await bench.give_back(await bench.claim(job, provider, avoided_too=True), code=f"error-{n}")
    shown = await bench.shown(job)
    assert (shown.status, shown.error_code) == ("failed", "attempts_exhausted")
    assert shown.error_detail is not None and f"error-{ATTEMPTS_MAX - 1}" in shown.error_detail
    assert [row["status"] for row in await bench.rows(subtasks, job)] == ["done", "failed", "cancelled"]
    assert shown.released_nanos == HOLD - shown.captured_nanos
    assert (await bench.event_types(job))[-1] == "job.failed"
    assert await bench.claim(job, provider) == []


async def test_open_jobs_are_listed_most_urgent_first_with_what_a_planner_needs(bench: Workbench):
    provider = await bench.provider()
    calm = await bench.job(items=10, per_subtask=4)
    urgent = await bench.job(items=2, priority=10, requirements={"accelerator": ["cpu"]}, rate_nanos_per_hour_max=7)
    done = await bench.job(items=1)
    await bench.run(done, provider)
    leased = await bench.claim(calm, provider, 1)
    async with bench.database.reading() as reader:
        listed = await queue.open_jobs(reader)
    assert [job.id for job in listed] == [urgent, calm]
    assert listed[0].requirements.accelerators == {"cpu"} and listed[0].rate_nanos_per_hour_max == 7
    assert (listed[1].waiting, listed[1].leased, listed[1].delayed) == (2, 1, 0)
    assert listed[1].spendable_nanos == HOLD - leased[0].cap_nanos
    assert listed[1].items_per_subtask == pytest.approx(10 / 3)
    assert [job.memory_bytes for job in listed] == [PROFILE["memory_bytes"]] * 2


async def test_text_that_strangers_write_cannot_stop_the_queue(bench: Workbench):
    provider = await bench.provider()
    job = await bench.job(items=1)
    await bench.give_back(await bench.claim(job, provider), code="a\0b")
    (row,) = await bench.rows(attempts, job)
    assert row["error_code"] == "ab"


async def test_two_statuses_of_a_job_row_agree_with_its_subtasks_after_a_mixed_life(bench: Workbench):
    one, other = await bench.provider(), await bench.provider()
    job = await bench.job(items=30)
    await bench.give_back(await bench.claim(job, one, 5))
    await bench.give_back((await bench.claim(job, other, 5))[:2], "lost")
    leased = await bench.claim(job, other, 5)
    await bench.settle([completion_of(lease) for lease in leased[1:]])
    (row,) = await bench.rows(jobs, job)
    assert (row["subtasks_done"], row["subtasks_leased"]) == (4, 4)
