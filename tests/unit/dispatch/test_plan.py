from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fabric.core.ids import ProviderId, UserId
from fabric.dispatch.plan import plan
from fabric.dispatch.snapshot import PlanRules, SlotView, Snapshot
from fabric.jobs.requirements import Format, Requirements
from fabric.providers.runtimes import Newest
from tests.fixtures.dispatching import MODEL, RATE, a_job, a_slot

RULES = PlanRules(order_target_s=0.7, orders_per_slot=2, subtasks_per_order_max=512)


def plan_for(jobs, *slots, measured=None, **changes):
    views = tuple(slot if isinstance(slot, SlotView) else SlotView(slot) for slot in slots)
    return plan(Snapshot(views, tuple(jobs), measured or {}, rules=replace(RULES, **changes)))


def counts(planned):
    return [a.count for a in planned.assignments]


def slots_of(planned):
    return Counter(a.slot for a in planned.assignments)


def test_an_order_of_a_known_model_runs_for_about_the_target_time():
    slot = a_slot()
    planned = plan_for([a_job(waiting=10_000)], slot, measured={(slot.id, MODEL): 10_000.0})
    assert counts(planned) == [70, 70]


def test_a_first_order_is_half_as_long_because_the_profile_comes_from_another_machine():
    assert counts(plan_for([a_job(waiting=10_000)], a_slot())) == [35, 35]


def test_an_order_never_has_more_subtasks_than_a_frame_may_carry():
    assert counts(plan_for([a_job(waiting=10_000, item_us=1.0)], a_slot())) == [512, 512]


def test_at_the_tail_the_rest_is_shared_out_so_that_no_slot_idles():
    planned = plan_for([a_job(waiting=12)], a_slot(1), a_slot(2))
    assert counts(planned) == [3, 3, 2, 1]
    assert set(slots_of(planned).values()) == {2}


def test_at_the_tail_a_fast_slot_gets_more_than_a_slow_one():
    fast, slow = a_slot(1, speed=4.0), a_slot(2, speed=1.0)
    planned = plan_for([a_job(waiting=20)], fast, slow, orders_per_slot=1)
    given = {a.slot: a.count for a in planned.assignments}
    assert given[fast.id] > 2 * given[slow.id]


def test_every_slot_gets_a_first_order_before_any_gets_a_second():
    planned = plan_for([a_job(waiting=3)], a_slot(1), a_slot(2), a_slot(3))
    assert set(slots_of(planned).values()) == {1}


def test_a_slot_with_two_orders_gets_no_third():
    assert plan_for([a_job()], SlotView(a_slot(), orders=2, busy_s=1.0)).assignments == ()


def test_a_job_never_runs_on_its_owners_machine_unless_it_says_so():
    mine = a_slot(owner_id=UserId(int=1))
    refused = plan_for([a_job()], mine)
    assert refused.assignments == ()
    assert set(refused.reasons.values()) == {"no_capacity"}
    assert {a.rate_nanos_per_hour for a in plan_for([a_job(own_machines=True)], mine).assignments} == {0}


def test_with_own_machines_other_machines_are_welcome_too_and_paid():
    mine, other = a_slot(1, owner_id=UserId(int=1)), a_slot(2)
    planned = plan_for([a_job(own_machines=True)], mine, other)
    assert {a.slot: a.rate_nanos_per_hour for a in planned.assignments} == {mine.id: 0, other.id: RATE}


def test_a_slot_above_the_price_limit_gets_nothing_and_the_job_says_why():
    planned = plan_for([a_job(rate_nanos_per_hour_max=RATE - 1)], a_slot())
    assert planned.assignments == ()
    assert set(planned.reasons.values()) == {"price_below_market"}


def test_requirements_choose_the_slots():
    cuda, cpu = a_slot(1, accelerator="cuda"), a_slot(2)
    wants_cuda = Requirements(accelerators=frozenset({"cuda"}))
    assert set(slots_of(plan_for([a_job(requirements=wants_cuda)], cuda, cpu))) == {cuda.id}


def test_a_model_goes_only_to_slots_that_have_the_memory_it_was_measured_to_take():
    small, large = a_slot(1, memory_gib=1.0), a_slot(2, memory_gib=4.0)
    assert set(slots_of(plan_for([a_job(memory_bytes=2 * 2**30)], small, large))) == {large.id}
    assert set(slots_of(plan_for([a_job(memory_bytes=2**30)], small, large))) == {small.id, large.id}


def test_a_job_whose_model_fits_no_slot_says_that_memory_is_what_it_waits_for():
    planned = plan_for([a_job(memory_bytes=8 * 2**30)], a_slot(1), a_slot(2))
    assert planned.assignments == ()
    assert set(planned.reasons.values()) == {"slot_memory"}
    wants_cuda = Requirements(accelerators=frozenset({"cuda"}))
    refused = plan_for([a_job(memory_bytes=8 * 2**30, requirements=wants_cuda)], a_slot(1), a_slot(2))
    assert set(refused.reasons.values()) == {"no_capacity"}


def test_a_model_goes_only_to_machines_whose_runtime_takes_it_and_the_job_says_what_it_needs():
    old, new, unknown = a_slot(1, newest=Newest(23, 11)), a_slot(2, newest=Newest(26, 13)), a_slot(3)
    job = a_job(model_format=Format(opset=26, ir_version=11))
    assert set(slots_of(plan_for([job], old, new, unknown))) == {new.id, unknown.id}
    refused = plan_for([job], old)
    assert refused.assignments == ()
    assert set(refused.reasons.values()) == {"needs ONNX Runtime ≥ 1.25"}
    assert set(slots_of(plan_for([a_job(model_format=Format(17, 8))], old))) == {old.id}


def test_a_model_is_paid_what_its_owner_asks_for_it_and_not_run_where_it_is_refused():
    dear, refusing, plain = a_slot(1, model_rates={"mdl_1": 5 * RATE}), a_slot(2, model_rates={"mdl_1": None}), a_slot(3)
    planned = plan_for([a_job(model_id="mdl_1")], dear, refusing, plain)
    assert {a.slot: a.rate_nanos_per_hour for a in planned.assignments} == {dear.id: 5 * RATE, plain.id: RATE}
    assert set(slots_of(plan_for([a_job(model_id="mdl_2")], refusing))) == {refusing.id}
    reasons = [plan_for([a_job(model_id="mdl_1", rate_nanos_per_hour_max=RATE)], slot).reasons for slot in (dear, refusing)]
    assert [set(told.values()) for told in reasons] == [{"price_below_market"}, {"no_capacity"}]


def test_ones_own_machine_runs_ones_own_model_for_nothing_whatever_it_asks_of_others():
    mine = a_slot(1, owner_id=UserId(int=1), model_rates={"mdl_1": None})
    assert {a.rate_nanos_per_hour for a in plan_for([a_job(model_id="mdl_1", own_machines=True)], mine).assignments} == {0}


def test_a_retry_avoids_the_provider_that_failed_when_there_is_another_one():
    failed, other = a_slot(1), a_slot(2)
    job = a_job(waiting=1, avoiding={ProviderId(int=1): 1})
    assert [a.slot for a in plan_for([job], failed, other).assignments] == [other.id]


def test_a_retry_returns_to_the_provider_that_failed_when_it_is_the_only_one():
    (again,) = plan_for([a_job(waiting=1, avoiding={ProviderId(int=1): 1})], a_slot(1)).assignments
    assert again.avoided_too


def test_caps_of_what_is_leased_never_exceed_what_the_job_may_spend():
    rich = plan_for([a_job()], a_slot())
    cap = rich.assignments[0]
    poor = plan_for([a_job(spendable_nanos=cap.cap_us_per_item * RATE // 3_600_000_000 * 3)], a_slot())
    assert 0 < sum(counts(poor)) <= 3 < sum(counts(rich))


def test_a_job_without_money_waits_for_funds_and_says_what_the_next_subtask_would_cost():
    job = a_job(spendable_nanos=0)
    planned = plan_for([job], a_slot())
    assert planned.reasons == {job.id: "funds"}
    assert planned.caps_nanos_min[job.id] > 0


def test_a_higher_priority_goes_first():
    planned = plan_for([a_job(2, priority=5), a_job(1, priority=0)], a_slot(), orders_per_slot=1)
    assert [a.job_id for a in planned.assignments] == [a_job(2).id]


def test_a_second_owner_is_served_although_the_first_has_a_mountain_of_work():
    mountain, small = a_job(1, waiting=100_000, leased=500), a_job(2, waiting=1, owner_id=UserId(int=2))
    planned = plan_for([mountain, small], a_slot(), orders_per_slot=1)
    assert [a.job_id for a in planned.assignments] == [small.id]


def test_jobs_of_one_owner_are_served_in_the_order_of_submission():
    planned = plan_for([a_job(1, waiting=5), a_job(2, waiting=5)], a_slot(), orders_per_slot=1)
    assert [a.job_id for a in planned.assignments] == [a_job(1).id]


def test_a_failing_provider_gets_nothing_and_is_named_as_the_reason():
    planned = plan_for([a_job()], SlotView(a_slot(), is_failing=True))
    assert planned.assignments == ()
    assert set(planned.reasons.values()) == {"provider_failing"}


def test_a_job_whose_subtasks_all_back_off_says_that_providers_fail():
    assert set(plan_for([a_job(waiting=0, delayed=3)], a_slot()).reasons.values()) == {"provider_failing"}


def test_a_job_that_runs_waits_for_nothing():
    assert set(plan_for([a_job(waiting=5, leased=1)]).reasons.values()) == {None}


@given(
    waiting=st.lists(st.integers(0, 300), min_size=1, max_size=5), speeds=st.lists(st.floats(0.1, 10), min_size=1, max_size=6),
    spendable=st.integers(0, 10**7), item_us=st.floats(0.5, 10**6),
)  # fmt: skip
def test_no_plan_leases_more_than_there_is_or_more_than_a_slot_may_hold(waiting, speeds, spendable, item_us):
    jobs = [
        a_job(number + 1, waiting=count, spendable_nanos=spendable, item_us=item_us, owner_id=UserId(int=number))
        for number, count in enumerate(waiting)
    ]
    slots = [a_slot(number + 1, speed=speed) for number, speed in enumerate(speeds)]
    planned = plan_for(jobs, *slots)
    assert all(a.count > 0 for a in planned.assignments)
    for job in jobs:
        assert sum(a.count for a in planned.assignments if a.job_id == job.id) <= job.waiting
    assert all(orders <= 2 for orders in slots_of(planned).values())
