"""Facts about a machine, its market and the queue, to words about what stands between it and earnings."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fabric.core.ids import JobId, ModelVersionId, ProviderId, UserId
from fabric.jobs.idle import IdleFacts, reasons
from fabric.jobs.job import OpenJob
from fabric.jobs.requirements import ANYTHING, Format, Requirements
from fabric.marketplace.device_table import DEFAULT_TABLE
from fabric.marketplace.offers import REFERENCE_RUNS_PER_S, Offer
from fabric.providers.store import Provider, Slot

OWNER, OTHER = UserId.new(), UserId.new()
RATE = 10_000_000
NOW = datetime(2026, 7, 1, tzinfo=UTC)
SLOT = Slot(0, "fabric_cpu", "cpu", "EPYC", "CPUExecutionProvider", 1, 4.0, REFERENCE_RUNS_PER_S, RATE, True, False)
MACHINE = Provider(
    ProviderId.new(), OWNER, "attic", "online", {"isolation": "sandbox"}, {"fabric.region": "eu"}, None, "ab", "1", {}, NOW, NOW, (SLOT,)
)  # fmt: skip


def an_offer(rate, *, speed=1.0, owner=OTHER, accelerator="cpu"):
    return Offer(ProviderId.new(), owner, "machine", 0, accelerator, "EPYC", 1, 8.0, "eu", speed, rate, False)


def a_job(**facts):
    values = {
        "id": JobId.new(), "owner_id": OTHER, "model_version_id": ModelVersionId.new(), "status": "queued", "priority": 0, "waiting": 3,
        "leased": 0, "delayed": 0, "avoiding": {}, "item_us": 1.0, "rate_nanos_per_hour_max": None, "own_machines": False,
        "requirements": ANYTHING, "items_per_subtask": 1.0, "spendable_nanos": 10**9, "waiting_reason": None, "created_at": NOW,
        **facts,
    }  # fmt: skip
    return OpenJob(**values)


BUSY = IdleFacts(MACHINE, (an_offer(RATE), an_offer(2 * RATE)), DEFAULT_TABLE, (a_job(),), 5, 10, 0, 0, None, 0)


def looked_at(facts):
    return {reason.id: reason for reason in reasons(facts)}


def test_a_machine_that_does_everything_right_has_no_problem():
    assert {reason.status for reason in reasons(BUSY)} == {"ok"}


@pytest.mark.parametrize("status", ["offline", "enrolled", "paused", "draining"])
def test_a_machine_that_is_not_on_line_is_told_so_first(status):
    first = reasons(replace(BUSY, machine=replace(MACHINE, status=status)))[0]
    assert (first.id, first.status) == ("state", "problem")
    assert first.remedy


def test_a_machine_that_holds_back_by_itself_is_told_why_and_what_ends_it():
    holding = {"by": "schedule", "detail": "outside its hours until 22:00", "until": None}
    first = reasons(replace(BUSY, machine=replace(MACHINE, agent_state={"holding": holding})))[0]
    assert (first.id, first.status) == ("state", "problem")
    assert "until 22:00" in first.found
    assert "--hours" in first.remedy


@pytest.mark.parametrize(
    ("slot", "capabilities", "words"),
    [
        (SLOT, {"isolation": "sandbox", "opset_max": 20}, "newer than this machine's ONNX Runtime"),
        (replace(SLOT, model_rates={"mdl_1": None}), {"isolation": "sandbox"}, "that you refuse"),
    ],
)
def test_work_that_this_machine_cannot_or_will_not_run_is_told(slot, capabilities, words):
    machine = replace(MACHINE, slots=(slot,), capabilities=capabilities)
    job = a_job(model_format=Format(opset=22), model_id="mdl_1")
    assert words in looked_at(replace(BUSY, machine=machine, open_jobs=(job,)))["work"].found


@pytest.mark.parametrize(
    ("rate", "speed", "status"),
    [(RATE, 1.0, "ok"), (3 * RATE, 1.0, "problem"), (3 * RATE, 4.0, "ok"), (RATE * 18 // 10, 1.0, "hint"), (0, 1.0, "ok")],
)
def test_a_price_is_compared_for_the_same_work(rate, speed, status):
    slot = replace(SLOT, rate_nanos_per_hour=rate, benchmark_runs_per_s=speed * REFERENCE_RUNS_PER_S)
    assert looked_at(replace(BUSY, machine=replace(MACHINE, slots=(slot,))))["price"].status == status


def test_neither_ones_own_machines_nor_another_kind_of_device_are_the_market():
    facts = replace(BUSY, offers=(an_offer(1, owner=OWNER), an_offer(1, accelerator="cuda"), an_offer(0, owner=OWNER)))
    assert looked_at(facts)["price"].found == "nobody else offers such a device now"


def test_what_costs_nothing_elsewhere_is_cheaper_than_any_price():
    assert looked_at(replace(BUSY, offers=(an_offer(0),)))["price"].status == "problem"


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (a_job(owner_id=OWNER), "are yours"),
        (a_job(rate_nanos_per_hour_max=RATE - 1), "pay less"),
        (a_job(memory_bytes=5 * 1024**3), "more memory"),
        (a_job(requirements=Requirements(regions=frozenset({"us"}))), "another region"),
        (a_job(barred_owner_ids=frozenset({OWNER})), "other machines"),
    ],
)
def test_work_that_waits_and_cannot_come_says_what_it_misses(job, words):
    reason = looked_at(replace(BUSY, open_jobs=(job,)))["work"]
    assert reason.status == "hint"
    assert words in reason.found
    assert looked_at(replace(BUSY, open_jobs=(job, a_job())))["work"].status == "ok"


def test_slots_that_are_off_results_that_fail_and_a_market_without_work_are_problems():
    facts = replace(
        BUSY, machine=replace(MACHINE, slots=(replace(SLOT, enabled=False),)), jobs_of_others=0, missed=11, error_code="oom"
    )
    problems = {reason.id: reason.found for reason in reasons(facts) if reason.status == "problem"}
    assert set(problems) == {"slots", "demand", "results"}
    assert "such as oom" in problems["results"]


def test_hints_come_after_problems_and_before_what_is_as_it_should_be():
    facts = replace(BUSY, machine=replace(MACHINE, capabilities={}), jobs_of_others=0, done_own=2, maturing_nanos=5)
    found = reasons(facts)
    assert [reason.status for reason in found] == sorted((r.status for r in found), key=["problem", "hint", "ok"].index)
    assert {reason.id for reason in found if reason.status == "hint"} == {"isolation", "own_jobs", "maturing"}
