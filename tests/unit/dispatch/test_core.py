"""The dispatcher's decisions as stories. `World` feeds the core and keeps what it commands."""

from itertools import count

import pytest

from fabric.actors.messages import Pong
from fabric.core.ids import OrderId
from fabric.dispatch import core
from fabric.dispatch import steps as s
from fabric.dispatch.snapshot import PlanRules
from fabric.dispatch.state import CoreRules, State
from tests.fixtures.dispatching import OUTPUTS, a_job, a_lease, a_receipt, a_result, a_slot, node_of

PONG = Pong((), (), 0.0)


class World:
    """A dispatcher that leads, with slots that are connected, and a clock that stands still until it is moved."""

    def __init__(self, *slots, **rules):
        numbers = count(1)
        self.rules = CoreRules(new_order_id=lambda: OrderId(int=next(numbers)), plan=PlanRules(order_target_s=0.2), **rules)
        self.state = State(self.rules)
        self.now = 100.0
        self.tell(s.Led())
        self.tell(s.UnknownReturned(is_done=True))
        self.offer(*slots)
        for slot in slots:
            self.tell(s.Connected(slot.id))

    def tell(self, event):
        self.state, commands = core.step(self.state, event, self.now)
        return commands

    def offer(self, *slots):
        return self.tell(s.SlotsSeen(tuple(slots), tuple(map(node_of, slots))))

    def after(self, seconds, *, step_s=0.25):
        """Time passes in ticks; every ping is answered."""
        commands = []
        for _ in range(int(seconds / step_s)):
            self.now += step_s
            told = self.tell(s.Tick())
            commands += told
            for ping in of(s.Ping, told):
                commands += self.tell(s.Ponged(ping.slot, PONG))
        return commands

    def lease_all(self, commands):
        """Answer the claims in `commands` with all that they ask for; returns what is sent."""
        (wanted,) = of(s.ClaimWork, commands)
        positions = count(1000 * len(self.state.orders))
        leases = [
            a_lease(next(positions), order=claim.order_id, job_id=claim.job_id, provider_id=claim.provider_id, slot=claim.slot)
            for claim in wanted.claims for _ in range(claim.count)
        ]  # fmt: skip
        return of(s.Send, self.tell(s.Claimed(wanted.claims, tuple(leases))))

    def busy(self, waiting=8):
        """A job of so many subtasks is under way on all slots; returns the orders."""
        return self.lease_all(self.tell(s.JobsSeen((a_job(waiting=waiting),))))

    def finish(self, sent):
        """The slot answers an order with good results."""
        receipt = a_receipt(*(a_result(lease) for lease in sent.leases), order=sent.order_id)
        return self.tell(s.Answered(sent.order_id, receipt, OUTPUTS))


def of(kind, commands):
    return [command for command in commands if isinstance(command, kind)]


def given_back(commands):
    return [back for settle in of(s.Settle, commands) for back in settle.given_back]


# ── leading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_leader_gives_back_the_leases_of_the_one_before_and_claims_nothing_until_that_is_done():
    world = World()
    world.tell(s.Deposed())
    begun = world.tell(s.Led())
    assert [command.known for command in of(s.ReturnUnknown, begun)] == [frozenset()]
    world.offer(a_slot())
    world.tell(s.Connected(a_slot().id))
    assert of(s.ClaimWork, world.tell(s.JobsSeen((a_job(),)))) == []
    assert of(s.ClaimWork, world.tell(s.UnknownReturned(is_done=True)))


def test_a_leader_that_was_without_its_lock_for_a_moment_goes_on_with_what_is_still_leased():
    world = World(a_slot())
    kept, gone = world.busy(waiting=100)
    commands = world.tell(s.Led())
    (renewal,), (returned,) = of(s.RenewLeases, commands), of(s.ReturnUnknown, commands)
    assert returned.known == renewal.order_ids == {kept.order_id, gone.order_id}
    given_up = world.tell(s.LeasesSeen(renewal.order_ids, frozenset({kept.order_id})))
    assert [cancel.order_ids for cancel in of(s.CancelOrders, given_up)] == [(gone.order_id,)]
    assert of(s.Settle, world.finish(kept))


def test_who_does_not_lead_does_nothing():
    world = World(a_slot())
    assert of(s.Release, world.tell(s.Deposed()))
    assert world.tell(s.JobsSeen((a_job(),))) == []
    assert world.tell(s.Tick()) == []


def test_who_is_deposed_ends_its_actors_and_forgets_its_orders():
    world = World(a_slot())
    (sent, *_) = world.busy()
    assert [release.slot for release in of(s.Release, world.tell(s.Deposed()))] == [a_slot().id]
    world.tell(s.Led())
    assert world.finish(sent) == []


# ── slots ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_slot_is_connected_before_there_is_work_so_that_it_is_warm():
    world = World()
    assert [connect.spec.id for connect in of(s.Connect, world.offer(a_slot()))] == [a_slot().id]


def test_a_slot_is_used_only_when_the_cluster_sees_its_node_with_its_label():
    slot, impostor = a_slot(1), a_slot(2)
    world = World()
    commands = world.tell(s.SlotsSeen((slot,), (node_of(impostor),)))
    assert of(s.Connect, commands) == []


def test_a_paused_slot_finishes_what_it_has_and_is_then_released():
    world = World(a_slot())
    sent = world.busy(waiting=1)
    assert of(s.Release, world.offer(a_slot(status="paused"))) == []
    world.finish(sent[0])
    assert [release.slot for release in of(s.Release, world.after(0.25))] == [a_slot().id]


def test_a_machine_that_is_withdrawn_loses_its_orders_at_once():
    world = World(a_slot())
    sent = world.busy()
    commands = world.offer()
    assert of(s.Release, commands)
    assert len(given_back(commands)) == sum(len(order.leases) for order in sent)


def test_a_machine_that_comes_back_as_another_node_is_connected_anew():
    world = World(a_slot())
    world.busy()
    commands = world.offer(a_slot(node_id="node-again"))
    assert [connect.spec.node_id for connect in of(s.Connect, commands)] == ["node-again"]
    assert given_back(commands)


def test_a_slot_that_cannot_be_connected_is_tried_again_less_and_less_often():
    world = World()
    world.offer(a_slot())
    waits = []
    for _ in range(5):
        world.tell(s.SlotGone(a_slot().id, "no"))
        begun = world.now
        while not of(s.Connect, world.after(0.25)):
            pass
        waits.append(world.now - begun)
    assert waits == sorted(waits)
    assert waits[-1] > 4 * waits[0]


def test_a_silent_slot_is_lost_after_the_ping_timeout():
    world = World(a_slot(), ping_timeout_s=5.0)
    world.busy()
    commands = []
    for _ in range(30):
        world.now += 0.25
        commands += world.tell(s.Tick())
    assert of(s.Release, commands)
    assert given_back(commands)


def test_when_we_stood_still_ourselves_no_slot_is_blamed():
    world = World(a_slot(), ping_timeout_s=5.0)
    world.busy()
    world.after(1)
    world.now += 60
    assert of(s.Release, world.tell(s.Tick())) == []
    assert of(s.Release, world.after(2)) == []


def test_an_order_without_an_answer_is_lost_however_alive_its_slot_seems():
    world = World(a_slot(), order_timeout_s=10.0)
    world.busy()
    assert of(s.Release, world.after(9)) == []
    assert of(s.Release, world.after(4))


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_orders_are_kept_outstanding_for_each_slot():
    world = World(a_slot(1), a_slot(2))
    sent = world.busy(waiting=100)
    assert sorted(order.slot for order in sent) == [a_slot(1).id] * 2 + [a_slot(2).id] * 2


def test_when_an_order_is_answered_the_next_is_claimed_without_waiting_for_the_commit():
    world = World(a_slot())
    first, *_ = world.busy(waiting=1000)
    commands = world.finish(first)
    assert of(s.Settle, commands)
    assert of(s.ClaimWork, commands)


def test_the_only_order_is_settled_without_waiting_for_company():
    world = World(a_slot())
    (only,) = world.busy(waiting=1)
    assert [settle.more_expected for settle in of(s.Settle, world.finish(only))] == [False]


def test_orders_settle_in_company_while_others_are_under_way():
    world = World(a_slot())
    first, *_ = world.busy(waiting=100)
    assert [settle.more_expected for settle in of(s.Settle, world.finish(first))] == [True]


def test_a_late_or_second_answer_is_nothing():
    world = World(a_slot())
    first, *_ = world.busy()
    world.finish(first)
    assert of(s.Settle, world.finish(first)) == []


def test_a_lost_slot_gives_all_its_leases_back_at_once_but_only_the_order_at_its_head_counts():
    world = World(a_slot())
    head, behind = world.busy(waiting=100)
    lost = given_back(world.tell(s.OrderLost(head.order_id, "node died")))
    counted = {back.subtask_id for back in lost if back.counts}
    assert {back.outcome for back in lost} == {"lost"}
    assert counted == {lease.subtask_id for lease in head.leases}
    assert len(lost) == len(head.leases) + len(behind.leases)


def test_a_hostile_answer_is_a_failed_attempt_and_the_slot_gets_nothing_for_a_while():
    world = World(a_slot())
    head, *_ = world.busy(waiting=100)
    commands = world.tell(s.OrderHostile(head.order_id, "a pickle"))
    failed = [back for back in given_back(commands) if back.outcome == "failed"]
    assert {back.code for back in failed} == {"hostile_answer"}
    assert len(failed) == len(head.leases)
    assert of(s.Release, commands)
    assert of(s.Connect, world.after(1)) == []
    assert of(s.Connect, world.after(5))


def test_a_forged_receipt_flags_the_slot_and_pays_nothing():
    world = World(a_slot())
    head, *_ = world.busy()
    forged = a_receipt(*(a_result(lease, fence=99) for lease in head.leases), order=head.order_id)
    commands = world.tell(s.Answered(head.order_id, forged, OUTPUTS))
    assert [completion for settle in of(s.Settle, commands) for completion in settle.completions] == []
    assert of(s.Release, commands)


def test_a_slots_time_is_billed_once_however_its_orders_overlap():
    world = World(a_slot())
    first, second = world.busy(waiting=100)
    world.now += 0.1
    settles = []
    for sent in (first, second):  # both claim the whole tenth of a second
        results = [a_result(lease, run_us=100_000) for lease in sent.leases]
        settles += of(s.Settle, world.tell(s.Answered(sent.order_id, a_receipt(*results, order=sent.order_id), OUTPUTS)))
    assert sum(done.billed_us for settle in settles for done in settle.completions) <= 100_001


def test_the_pace_of_a_slot_is_learned_from_its_orders():
    world = World(a_slot())
    first, *_ = world.busy(waiting=10_000)
    world.now += 0.001 * len(first.leases) * 2  # one millisecond an item, two items a subtask
    commands = world.finish(first)
    (wanted,) = of(s.ClaimWork, commands)
    assert wanted.claims[0].count > 2 * len(first.leases)


def test_an_order_that_we_could_not_make_costs_nobody_an_attempt_and_pauses_claims():
    world = World(a_slot())
    first, *_ = world.busy(waiting=100)
    commands = world.tell(s.OrderUnsent(first.order_id, "storage is down"))
    assert {back.counts for back in given_back(commands)} == {False}
    assert of(s.ClaimWork, commands) == []
    assert of(s.ClaimWork, world.after(1))


def test_leases_without_room_in_the_order_go_back_and_fewer_are_asked_for_next_time():
    world = World(a_slot())
    first, *_ = world.busy(waiting=100)
    kept, left_out = first.leases[:2], first.leases[2:]
    assert [b.counts for b in given_back(world.tell(s.Trimmed(first.order_id, left_out)))] == [False] * len(left_out)
    receipt = a_receipt(*(a_result(lease) for lease in kept), order=first.order_id)
    commands = world.tell(s.Answered(first.order_id, receipt, OUTPUTS))
    assert {claim.count for wanted in of(s.ClaimWork, commands) for claim in wanted.claims} == {2}


def test_with_too_many_unsettled_results_nothing_more_is_leased():
    world = World(a_slot(), unsettled_subtasks_max=1)
    first, *_ = world.busy(waiting=100)
    commands = world.finish(first)
    assert of(s.ClaimWork, commands) == []
    assert of(s.ClaimWork, world.tell(s.Settled((first.order_id,))))


# ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_leases_of_running_orders_are_renewed_long_before_they_end():
    world = World(a_slot(), lease_s=20.0)
    sent = world.busy()
    renewed = of(s.RenewLeases, world.after(5.5))
    assert {order.order_id for order in sent} <= renewed[-1].order_ids


def test_results_that_wait_for_the_database_keep_their_leases():
    world = World(a_slot(), lease_s=20.0)
    (only,) = world.busy(waiting=1)
    world.finish(only)
    assert only.order_id in of(s.RenewLeases, world.after(5.5))[-1].order_ids


def test_an_order_whose_job_was_cancelled_is_given_up_and_its_answer_ignored():
    world = World(a_slot())
    (only,) = world.busy(waiting=1)
    (renewal,) = of(s.RenewLeases, world.tell(s.Woken("cancel")))
    commands = world.tell(s.LeasesSeen(renewal.order_ids, frozenset()))
    assert [cancel.order_ids for cancel in of(s.CancelOrders, commands)] == [(only.order_id,)]
    assert of(s.Settle, world.finish(only)) == []


def test_a_slot_that_does_not_give_up_an_order_is_lost():
    world = World(a_slot(), cancel_timeout_s=5.0)
    (only,) = world.busy(waiting=1)
    world.tell(s.LeasesSeen(frozenset({only.order_id}), frozenset()))
    commands = world.after(6)
    assert of(s.Release, commands)
    assert given_back(commands) == []


def test_a_claim_whose_commit_nobody_saw_is_given_back_before_anything_new_is_claimed():
    world = World(a_slot())
    (wanted,) = of(s.ClaimWork, world.tell(s.JobsSeen((a_job(),))))
    world.tell(s.Claimed(wanted.claims, None))
    commands = world.after(1)
    assert [command.known for command in of(s.ReturnUnknown, commands)] == [frozenset()]
    assert of(s.ClaimWork, commands) == []
    assert of(s.ClaimWork, world.tell(s.UnknownReturned(is_done=True)))


def test_a_claim_that_got_nothing_is_not_repeated_until_the_jobs_were_seen_again():
    world = World(a_slot())
    (wanted,) = of(s.ClaimWork, world.tell(s.JobsSeen((a_job(),))))
    assert of(s.ClaimWork, world.tell(s.Claimed(wanted.claims, ()))) == []
    assert of(s.ClaimWork, world.tell(s.JobsSeen((a_job(),))))


# ── saying why ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_job_that_waits_says_why_after_a_moment():
    world = World()
    world.tell(s.JobsSeen((a_job(),)))
    told = of(s.TellReasons, world.after(1))
    assert [command.reasons for command in told] == [{a_job().id: "no_capacity"}]


def test_a_reason_that_holds_no_more_is_taken_back():
    world = World(a_slot())
    waited = a_job(waiting=0, leased=1, waiting_reason="no_capacity")
    assert [told.reasons for told in of(s.TellReasons, world.tell(s.JobsSeen((waited,))))] == [{waited.id: None}]


def test_a_job_whose_model_is_being_loaded_says_so():
    world = World(a_slot(), model_loading_after_s=2.0)
    world.busy(waiting=1)
    told = of(s.TellReasons, world.after(4))
    assert [command.reasons for command in told] == [{a_job().id: "model_loading"}]


def test_a_job_that_can_pay_nothing_more_is_ended_after_a_grace_period():
    world = World(a_slot(), funds_grace_s=5.0)
    world.tell(s.JobsSeen((a_job(spendable_nanos=0),)))
    assert of(s.EndBroke, world.after(4)) == []
    (end,) = of(s.EndBroke, world.after(2))
    assert end.caps_nanos_min[a_job().id] > 0


@pytest.mark.parametrize("topic", ["jobs", "cancel"])
def test_news_during_a_look_means_a_second_look(topic):
    world = World()
    assert of(s.LookAtJobs, world.tell(s.Woken(topic))) == []  # the look of the new leader is still under way
    assert of(s.LookAtJobs, world.tell(s.JobsSeen(())))
