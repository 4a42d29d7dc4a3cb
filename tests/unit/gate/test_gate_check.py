"""What becomes of a request, as values: forwarded in the gate's own words, answered here, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.core.generated import gcs_service_pb2 as gcs
from ray.core.generated import pubsub_pb2

from fabric.core.ids import ProviderId
from fabric.gate import methods
from fabric.gate.check import Forwarded, Left, Refused, SubscriberClaim, Swallowed, WorkerClaim, decide
from fabric.gate.claims import Node, NodeClaim, conflict_of
from fabric.gate.grants import Caller, Grant
from fabric.gate.sync import BATCH, VIEW, check_batch

NODE = b"n" * 28
LABELS = {"fabric.role": "provider", "fabric.provider-id": "prv_1"}
GRANT = Grant(ProviderId.new(), b"", None, "10.9.0.2", NODE.hex(), LABELS, {"fabric_cpu": 2}, is_banned=False)
CALLER = Caller(GRANT, "10.9.0.2")


def registration(**changes):
    node = {
        "node_id": NODE, "node_manager_address": "10.9.0.2", "node_manager_port": 7001, "object_manager_port": 7002,
        "resources_total": {"fabric_cpu": 2, "node:10.9.0.2": 1, "memory": 1e9, "object_store_memory": 1e8},
        "labels": {**LABELS, "ray.io/node-id": NODE.hex()}, **changes,
    }  # fmt: skip
    return gcs.RegisterNodeRequest(node_info=node)


def register(**changes):
    return decide(methods.REGISTER_NODE, registration(**changes).SerializeToString(), CALLER)


def test_a_node_within_its_grant_is_forwarded_with_what_it_claims():
    decision = register()
    assert isinstance(decision, Forwarded)
    assert decision.claim == NodeClaim(NODE.hex(), "10.9.0.2", frozenset({7001, 7002}))
    assert gcs.RegisterNodeRequest.FromString(decision.request) == registration(node_name="10.9.0.2")


def test_fewer_resources_than_granted_are_fine():
    assert isinstance(register(resources_total={"fabric_cpu": 1}), Forwarded)


def test_what_was_not_checked_is_not_forwarded():
    padded = registration(instance_id="i-1", end_time_ms=5, death_info={"reason_message": "dead"}).SerializeToString()
    decision = decide(methods.REGISTER_NODE, padded + b"\xfa\x3e\x04evil", CALLER)
    assert gcs.RegisterNodeRequest.FromString(decision.request) == registration(node_name="10.9.0.2")
    assert b"evil" not in decision.request


def test_the_last_of_two_values_is_what_is_checked_and_what_is_forwarded():
    twice = registration().SerializeToString() + gcs.RegisterNodeRequest(node_info={"is_head_node": True}).SerializeToString()
    assert decide(methods.REGISTER_NODE, twice, CALLER).reason == "head"


@pytest.mark.parametrize("name", ["CPU", "GPU", "fabric_cuda", "node:10.9.0.3", "node:__internal_head__", "", "fabric_cpu "])
def test_no_resource_but_those_granted(name):
    assert register(resources_total={name: 1}).reason == "resources"


@given(st.floats(allow_nan=True, allow_infinity=True).filter(lambda amount: not 0 <= amount <= 2))
def test_no_amount_but_what_was_granted(amount):
    assert register(resources_total={"fabric_cpu": amount}).reason == "resources"


@given(st.dictionaries(st.sampled_from([*LABELS, "ray.io/node-id", "ray.io/x", "role"]), st.text(max_size=70), max_size=4))
def test_no_labels_but_those_granted(labels):
    assert register(labels=labels).reason == "labels"


def test_a_label_that_ray_measures_is_fine():
    assert isinstance(register(labels={**LABELS, "ray.io/accelerator-type": "A100"}), Forwarded)
    assert register(labels={**LABELS, "ray.io/accelerator-type": "A" * 64}).reason == "labels"


def test_before_its_node_is_bound_a_machine_speaks_of_none():
    nobody = Caller(Grant(ProviderId.new(), b"", None, "10.9.0.2", None, LABELS, {}, is_banned=False), "10.9.0.2")
    for path, request in (
        (methods.UNREGISTER_NODE, gcs.UnregisterNodeRequest()),
        (methods.CHECK_ALIVE, gcs.CheckAliveRequest(node_ids=[b""])),
        (methods.ADD_WORKER, gcs.AddWorkerInfoRequest()),
    ):
        assert decide(path, request.SerializeToString(), nobody).reason == "node_id"
    assert check_batch(batch(b""), nobody).forwarded is None


def test_its_own_end_is_its_own_to_tell():
    request = gcs.UnregisterNodeRequest(node_id=NODE, node_death_info={"reason_message": "x" * 5000})
    decision = decide(methods.UNREGISTER_NODE, request.SerializeToString(), CALLER)
    assert decision.claim == Left(NODE.hex())
    assert len(decision.request) < 1100


def test_a_workers_claim_says_whether_it_may_be_new():
    address = {"node_id": NODE, "ip_address": "10.9.0.2", "port": 7100, "worker_id": b"w" * 28}
    added = decide(
        methods.ADD_WORKER, gcs.AddWorkerInfoRequest(worker_data={"worker_address": address}).SerializeToString(), CALLER
    )
    assert added.claim == WorkerClaim(b"w" * 28, may_be_new=True)
    failed = gcs.ReportWorkerFailureRequest(worker_failure={"worker_address": address})
    assert decide(methods.REPORT_WORKER_FAILURE, failed.SerializeToString(), CALLER).claim == WorkerClaim(
        b"w" * 28, may_be_new=False
    )
    elsewhere = gcs.AddWorkerInfoRequest(worker_data={"worker_address": {**address, "ip_address": "10.9.0.3"}})
    assert decide(methods.ADD_WORKER, elsewhere.SerializeToString(), CALLER).reason == "address"


def test_the_gcs_is_never_made_to_ask_every_driver():
    decision = decide(methods.GET_ALL_JOB_INFO, b"", CALLER)
    asked = gcs.GetAllJobInfoRequest.FromString(decision.request)
    assert asked.skip_is_running_tasks_field
    assert asked.skip_submission_job_info_field


def test_subscribing_is_bound_to_who_subscribed():
    commands = [
        {"channel_type": pubsub_pb2.GCS_JOB_CHANNEL, "subscribe_message": {}},
        {"channel_type": pubsub_pb2.GCS_JOB_CHANNEL},
    ]
    request = gcs.GcsSubscriberCommandBatchRequest(subscriber_id=b"s" * 28, commands=commands)
    assert decide(methods.SUBSCRIBE, request.SerializeToString(), CALLER).claim == SubscriberClaim(b"s" * 28)
    commands[0]["subscribe_message"] = {"worker_ref_removed_message": {}}
    request = gcs.GcsSubscriberCommandBatchRequest(subscriber_id=b"s" * 28, commands=commands)
    assert decide(methods.SUBSCRIBE, request.SerializeToString(), CALLER).reason == "channel"


@given(
    st.sampled_from(sorted(path for path, method in methods.METHODS.items() if method.rule == "check")), st.binary(max_size=200)
)
def test_whatever_bytes_come_there_is_a_decision(path, request):
    assert isinstance(decide(path, request, CALLER), Forwarded | Refused | Swallowed)
    check_batch(request, CALLER)


def test_a_request_beyond_its_size_is_refused_unread():
    assert decide(methods.GET_CLUSTER_ID, bytes(methods.SMALL_BYTES + 1), CALLER).reason == "size"


def test_nodes_that_conflict_with_others():
    other = Node("b" * 56, "10.9.0.2", frozenset({7001, 7002}), is_alive=True)
    claim = NodeClaim("c" * 56, "10.9.0.2", frozenset({7002, 7009}))
    assert conflict_of(claim, None, [other], ())[0] == "ports"
    assert conflict_of(claim, other.node_id, [other], ()) is None  # its own node of before
    assert conflict_of(claim, None, [Node("b" * 56, "10.9.0.3", other.ports, is_alive=True)], ()) is None
    assert conflict_of(claim, None, [Node("b" * 56, "10.9.0.2", other.ports, is_alive=False)], ()) is None
    assert conflict_of(claim, None, [Node("c" * 56, "10.9.0.9", frozenset(), is_alive=False)], ())[0] == "node_id"
    assert conflict_of(claim, None, [], {7009})[0] == "ports"
    assert conflict_of(claim, "c" * 56, [Node("c" * 56, "10.9.0.2", claim.ports, is_alive=True)], ()) is None


def batch(node_id=NODE, message_type=0, **changes):
    facts = {"resources_total": {"fabric_cpu": 2}, "resources_available": {"fabric_cpu": 1}, "labels": LABELS, **changes}
    message = {"version": 3, "node_id": node_id, "message_type": message_type, "sync_message": VIEW(**facts).SerializeToString()}
    return BATCH(messages=[message]).SerializeToString()


def test_a_resource_view_within_the_grant_goes_on_as_it_is():
    synced = check_batch(batch(node_activity=["busy"], idle_duration_ms=5, is_draining=True), CALLER)
    assert synced.refused == []
    view = VIEW.FromString(BATCH.FromString(synced.forwarded).messages[0].sync_message)
    assert (dict(view.resources_available), list(view.node_activity), view.idle_duration_ms) == ({"fabric_cpu": 1}, ["busy"], 5)


def test_what_is_wrong_is_left_out_and_the_rest_goes_on():
    mixed = batch() + batch(b"o" * 28) + batch(resources_total={"fabric_cpu": 3})
    synced = check_batch(mixed, CALLER)
    assert [reason for reason, _ in synced.refused] == ["relayed", "resources"]
    assert len(BATCH.FromString(synced.forwarded).messages) == 1


def test_commands_to_other_nodes_are_left_out_without_blame():
    synced = check_batch(batch(message_type=1), CALLER)
    assert (synced.forwarded, synced.refused) == (None, [])


@pytest.mark.parametrize("amount", [3.0, -3.0, float("nan"), float("inf")])
def test_no_more_is_available_than_there_is(amount):
    assert check_batch(batch(resources_available={"fabric_cpu": amount}), CALLER).refused[0][0] == "resources"


def test_too_many_messages_at_once_are_refused():
    assert check_batch(batch() * 65, CALLER).refused[0][0] == "malformed"
