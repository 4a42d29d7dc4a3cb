"""What a machine answers is written anew from checked fields; a property test throws everything else at it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.core.generated import common_pb2, core_worker_pb2, node_manager_pb2

from fabric.gate import methods, replies
from fabric.gate.replies import LEASE, PUSH, Machine

NODE, WORKER, TASK = b"n" * 28, b"w" * 28, b"t" * 24
OBJECT = TASK + b"\x01\x00\x00\x00"
MACHINE = Machine(NODE, "10.9.0.2")


def a_call(kind: int = common_pb2.ACTOR_TASK) -> bytes:
    return core_worker_pb2.PushTaskRequest(task_spec=common_pb2.TaskSpec(type=kind, task_id=TASK)).SerializeToString()


def an_answer(**changes: Any) -> Any:
    value = {"object_id": OBJECT, "metadata": b"RAW", "data": b"hello", "size": 5, **changes}
    return core_worker_pb2.PushTaskReply(return_objects=[common_pb2.ReturnObject(**value)])


def passed_on(reply: Any, request: bytes | None = None) -> tuple[Any, str]:
    answer = replies.rewrite(PUSH, request or a_call(), reply.SerializeToString(), MACHINE)
    return core_worker_pb2.PushTaskReply.FromString(answer.reply), answer.refused


def test_raw_bytes_pass():
    told, refused = passed_on(an_answer())
    assert [(v.object_id, v.metadata, v.data) for v in told.return_objects] == [(OBJECT, b"RAW", b"hello")]
    assert not refused


def test_the_number_of_a_system_error_passes_and_its_text_does_not():
    told, refused = passed_on(an_answer(metadata=b"1,junk", data=b"a pickle"))
    assert [(v.metadata, v.data) for v in told.return_objects] == [(b"1", b"")]
    assert not refused


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": b"PYTHON"}, {"metadata": b"XLANG"}, {"metadata": b"ACTOR_HANDLE"}, {"metadata": b""}, {"metadata": b"3"},
        {"metadata": b"4"}, {"metadata": b"999"}, {"metadata": b"-1"}, {"metadata": "²".encode()}, {"metadata": b"1" * 50},
        {"object_id": b"o" * 28}, {"object_id": b"short"}, {"object_id": TASK + b"\x02\x00\x00\x00"}, {"in_plasma": True},
        {"direct_transport_metadata": b"x"}, {"nested_inlined_refs": [common_pb2.ObjectReference(object_id=b"x")]},
        {"data": bytes(replies.ANSWER_BYTES_MAX + 1)},
    ],
)  # fmt: skip
def test_everything_else_becomes_a_value_that_no_reader_of_ray_knows(changes):
    told, refused = passed_on(an_answer(**changes))
    assert [(v.object_id, v.metadata, v.data) for v in told.return_objects] == [(OBJECT, replies.REFUSED, b"")]
    assert refused


def test_what_else_a_reply_may_say_is_dropped():
    honest = an_answer()
    honest.worker_exiting = honest.is_application_error = honest.was_cancelled_before_running = True
    honest.task_execution_error = honest.actor_repr_name = "text"
    told, refused = passed_on(honest)
    assert [field.name for field, _ in told.ListFields()] == ["return_objects"]
    assert not refused


def test_of_an_actors_creation_only_passes_whether_it_worked():
    said = core_worker_pb2.PushTaskReply(is_application_error=True, task_execution_error="forged")
    said.return_objects.add(object_id=b"any", metadata=b"3", data=b"a pickle")
    told, _ = passed_on(said, a_call(common_pb2.ACTOR_CREATION_TASK))
    assert told == core_worker_pb2.PushTaskReply(is_application_error=True, task_execution_error=replies.TEXT)
    said.is_application_error = False
    assert passed_on(said, a_call(common_pb2.ACTOR_CREATION_TASK))[0] == core_worker_pb2.PushTaskReply()


@given(st.binary(max_size=300))
def test_no_reply_whatever_makes_more_than_one_value_under_the_one_id(reply):
    told = core_worker_pb2.PushTaskReply.FromString(replies.rewrite(PUSH, a_call(), reply, MACHINE).reply)
    (value,) = told.return_objects
    assert value.object_id == OBJECT
    assert value.metadata in (b"RAW", replies.REFUSED) or int(value.metadata) in replies.ERRORS_PASSED_ON
    assert {f.name for f, _ in told.ListFields()} == {"return_objects"}


@given(st.sampled_from(sorted(methods.OUTWARD - {methods.CONNECT, PUSH, LEASE})), st.binary(max_size=200))
def test_no_reply_to_any_other_call_carries_bytes_of_the_machine(path, reply):
    assert len(replies.rewrite(path, b"", reply, MACHINE).reply) <= 2 + len(NODE) + 2


def a_lease(**worker: Any) -> Any:
    address = {"node_id": NODE, "ip_address": "10.9.0.2", "port": 5000, "worker_id": WORKER, **worker}
    return node_manager_pb2.RequestWorkerLeaseReply(worker_address=common_pb2.Address(**address), worker_pid=7)


def leased(reply: Any, machine: Machine = MACHINE) -> tuple[Any, str]:
    answer = replies.rewrite(LEASE, b"", reply.SerializeToString(), machine)
    return node_manager_pb2.RequestWorkerLeaseReply.FromString(answer.reply), answer.refused


def test_a_lease_of_its_own_worker_passes():
    honest = a_lease()
    honest.resources_data.node_id = b"dropped"
    assert leased(honest) == (a_lease(), "")


@pytest.mark.parametrize(
    "changes",
    [{"node_id": b"m" * 28}, {"ip_address": "127.0.0.1"}, {"ip_address": "10.9.0.3"}, {"worker_id": b"short"}, {"port": 0},
     {"port": 70000}, {"node_id": b"short"}],
)  # fmt: skip
def test_a_lease_of_anybody_elses_is_a_no(changes):
    told, refused = leased(a_lease(**changes))
    assert told.canceled
    assert not told.HasField("worker_address")
    assert "not a worker of its own" in refused


def test_a_machine_without_a_node_leases_nothing():
    assert leased(a_lease(node_id=b""), Machine(b"", "10.9.0.2"))[1]


def test_a_lease_that_sends_elsewhere_is_a_no():
    spill = node_manager_pb2.RequestWorkerLeaseReply(retry_at_raylet_address=common_pb2.Address(node_id=b"h" * 28))
    assert leased(spill)[0].canceled
    both = a_lease()
    both.retry_at_raylet_address.node_id = b"h" * 28
    assert leased(both)[0].canceled


def wanted(selector: dict[str, list[str]], resources: dict[str, float], kind: int = common_pb2.ACTOR_CREATION_TASK) -> bytes:
    spec = common_pb2.LeaseSpec(type=kind, required_resources=resources)
    for key, values in selector.items():
        spec.label_selector.label_constraints.add(label_key=key, label_values=values, operator=common_pb2.LABEL_OPERATOR_IN)
    return node_manager_pb2.RequestWorkerLeaseRequest(lease_spec=spec).SerializeToString()


def test_a_machine_is_asked_for_workers_only_for_what_is_pinned_to_it():
    own, slot = {"ray.io/node-id": [NODE.hex()]}, {"fabric_cpu": 1.0}
    assert replies.not_for(LEASE, wanted(own, slot), MACHINE) is None
    for other in (
        wanted({}, {}), wanted(own, {}), wanted({"fabric.role": ["control"]}, slot), wanted({"ray.io/node-id": ["ab" * 28]}, slot),
        wanted({"ray.io/node-id": [NODE.hex(), "ab" * 28]}, slot), wanted(own, slot, common_pb2.NORMAL_TASK),
    ):  # fmt: skip
        answer = replies.not_for(LEASE, other, MACHINE)
        assert answer is not None
        assert node_manager_pb2.RequestWorkerLeaseReply.FromString(answer.reply).rejected
    assert replies.not_for(LEASE, wanted({"ray.io/node-id": [""]}, slot), Machine(b"", "10.9.0.2")) is not None


def test_each_call_of_the_control_side_has_a_rule():
    assert all(replies.is_known(path) for path in methods.OUTWARD - {methods.CONNECT})
    assert not replies.is_known("/ray.rpc.CoreWorkerService/PubsubLongPolling")
    assert not replies.is_known("/ray.rpc.ObjectManagerService/Push")
