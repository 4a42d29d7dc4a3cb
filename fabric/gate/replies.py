"""Pure: what a provider's machine answered to a call of the control side, to what the control side gets to see.

Ray's processes believe such answers: a lease may name anybody's worker, a task's reply may carry objects under ids that belong to
other calls (pickles among them), and an id of the wrong length ends whoever reads it. So nothing is passed on as it came: each reply
is written anew from the fields that the control side needs, after they were checked against the call and the machine's grant.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from ray.core.generated import common_pb2, core_worker_pb2, node_manager_pb2

from fabric.gate import methods
from fabric.gate.check import ID_BYTES

ANSWER_BYTES_MAX = 8 * 1024 * 1024
"""Of one actor's answer: what rides inside one call of Ray."""
REPLY_BYTES_MAX = ANSWER_BYTES_MAX + 64 * 1024
SMALL_REPLY_BYTES_MAX = 64 * 1024
TASK_ID_BYTES = 24
FIRST_RETURN = (1).to_bytes(4, "little")
"""An object's id is its task's id and the number of the return value."""
RAW, REFUSED = b"RAW", b"REFUSED"
"""Kinds of objects: raw bytes; and ours, which no reader of Ray knows, for an answer that was not passed on."""
ERRORS_PASSED_ON = frozenset(
    common_pb2.ErrorType.Value(name)
    for name in ("WORKER_DIED", "ACTOR_DIED", "TASK_CANCELLED", "OUT_OF_MEMORY", "OUT_OF_DISK_ERROR")
)
"""Numbers that say why there is no answer. Others, such as `OBJECT_IN_PLASMA`, would make the reader look for one elsewhere."""
MAPPED_MAX = 64
TEXT = "refused by the gate"

LEASE, PUSH = methods.LEASE_WORKER, methods.PUSH_TASK


@dataclass(frozen=True, slots=True)
class Machine:
    """Who was asked: what enrolment granted and the gate saw."""

    node_id: bytes
    """Empty while the gate has accepted none."""
    node_ip: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the control side gets; `refused` says why it is not what the machine said."""

    reply: bytes
    refused: str = ""


def not_for(path: str, request: bytes, machine: Machine) -> Answer | None:
    """What the control side gets without the machine being asked at all; None: ask it.

    The GCS asks any node it likes to place an actor that needs no resource, and believes a node that says "here". So a machine is
    asked for workers only for what is pinned to it, in which case the resources are its own slots'.
    """
    if path != LEASE:
        return None
    spec = node_manager_pb2.RequestWorkerLeaseRequest.FromString(request).lease_spec
    if spec.type == common_pb2.ACTOR_CREATION_TASK and spec.required_resources and _is_pinned(spec, machine.node_id.hex()):
        return None
    return Answer(node_manager_pb2.RequestWorkerLeaseReply(rejected=True).SerializeToString())  # the GCS asks another


def _is_pinned(spec: Any, node_id: str) -> bool:
    wanted = [c for c in spec.label_selector.label_constraints if c.label_key == "ray.io/node-id"]
    is_one = len(wanted) == 1 and wanted[0].operator == common_pb2.LABEL_OPERATOR_IN
    return bool(node_id) and is_one and list(wanted[0].label_values) == [node_id]


def is_known(path: str) -> bool:
    """Whether the control side may call this of a machine at all."""
    return path in _REWRITTEN or path in _PLAIN


def rewrite(path: str, request: bytes, reply: bytes, machine: Machine) -> Answer:
    """The answer to pass on. Whatever cannot be read is answered with what the call means by "no"."""
    try:
        if path in _PLAIN:
            return Answer(_plain(*_PLAIN[path], reply))
        return _REWRITTEN[path](request, reply, machine)
    except DecodeError:
        return refuse(path, request, "a reply that cannot be read")


def refuse(path: str, request: bytes, why: str) -> Answer:
    """What the control side gets instead of an answer that is not passed on."""
    if path == LEASE:
        kind = node_manager_pb2.RequestWorkerLeaseReply
        no = kind(canceled=True, failure_type=kind.SCHEDULING_CANCELLED_UNSCHEDULABLE, scheduling_failure_message=TEXT)
        return Answer(no.SerializeToString(), why)
    if path == PUSH:
        asked = core_worker_pb2.PushTaskRequest.FromString(request).task_spec
        if asked.type == common_pb2.ACTOR_TASK:
            return Answer(_returned(asked, REFUSED, b""), why)
        return Answer(
            core_worker_pb2.PushTaskReply(is_application_error=True, task_execution_error=TEXT).SerializeToString(), why
        )
    return Answer(b"", why)


def _lease(request: bytes, reply: bytes, machine: Machine) -> Answer:
    said = node_manager_pb2.RequestWorkerLeaseReply.FromString(reply)
    if said.canceled or said.rejected:
        no = node_manager_pb2.RequestWorkerLeaseReply(
            canceled=said.canceled, rejected=said.rejected, failure_type=said.failure_type, scheduling_failure_message="",
        )  # fmt: skip
        return Answer(no.SerializeToString())
    if said.HasField("retry_at_raylet_address"):
        return refuse(LEASE, request, f"a lease that sends to {_shown(said.retry_at_raylet_address)}")
    worker = said.worker_address
    is_own = bool(machine.node_id) and worker.node_id == machine.node_id and worker.ip_address == machine.node_ip
    if not is_own or len(worker.worker_id) != ID_BYTES or not 0 < worker.port <= 65535:
        return refuse(LEASE, request, f"a lease of {_shown(worker)}, which is not a worker of its own")
    if len(said.resource_mapping) > MAPPED_MAX or any(len(entry.resource_ids) > MAPPED_MAX for entry in said.resource_mapping):
        return refuse(LEASE, request, "a lease with too many resources")
    granted = node_manager_pb2.RequestWorkerLeaseReply(resource_mapping=said.resource_mapping, worker_pid=said.worker_pid)
    granted.worker_address.node_id, granted.worker_address.worker_id = worker.node_id, worker.worker_id
    granted.worker_address.ip_address, granted.worker_address.port = worker.ip_address, worker.port
    granted.DiscardUnknownFields()
    return Answer(granted.SerializeToString())


def _push(request: bytes, reply: bytes, _: Machine) -> Answer:
    asked = core_worker_pb2.PushTaskRequest.FromString(request).task_spec
    said = core_worker_pb2.PushTaskReply.FromString(reply)
    if asked.type != common_pb2.ACTOR_TASK:  # that an actor was made, or not: the reason would be a pickle
        if said.is_application_error:
            return Answer(core_worker_pb2.PushTaskReply(is_application_error=True, task_execution_error=TEXT).SerializeToString())
        return Answer(b"")
    if len(asked.task_id) != TASK_ID_BYTES or len(said.return_objects) != 1:
        return refuse(PUSH, request, f"{len(said.return_objects)} objects for one call")
    if said.dynamic_return_objects or said.streaming_generator_return_ids or said.borrowed_refs:
        return refuse(PUSH, request, "an answer with more than one value")
    value = said.return_objects[0]
    if value.object_id != asked.task_id + FIRST_RETURN:
        return refuse(PUSH, request, "an object under the id of another call")
    if value.in_plasma or value.nested_inlined_refs or value.direct_transport_metadata:
        return refuse(PUSH, request, f"an answer that refers to {value.size} bytes elsewhere")
    if value.metadata == RAW and len(value.data) <= ANSWER_BYTES_MAX:
        return Answer(_returned(asked, RAW, value.data))
    number = value.metadata.split(b",")[0]
    if number.isdigit() and len(number) < 4 and int(number) in ERRORS_PASSED_ON:
        return Answer(_returned(asked, number, b""))
    return refuse(PUSH, request, "an answer that is not raw bytes of a permitted size")


def _returned(asked: Any, metadata: bytes, data: bytes) -> bytes:
    reply = core_worker_pb2.PushTaskReply()
    value = reply.return_objects.add(object_id=asked.task_id + FIRST_RETURN, metadata=metadata, size=len(data) + len(metadata))
    if data:
        value.data = data
    return bytes(reply.SerializeToString())


def _health(_request: bytes, reply: bytes, _: Machine) -> Answer:
    return Answer(b"\x08\x01" if reply[:2] == b"\x08\x01" else b"\x08\x02")  # serving, or not


def _load(_request: bytes, _reply: bytes, machine: Machine) -> Answer:
    # What waits in its queues: the autoscaler's business, and there is none.
    load = node_manager_pb2.GetResourceLoadReply()
    load.resources.node_id = machine.node_id
    return Answer(load.SerializeToString())


def _plain(kind: Any, fields: tuple[str, ...], reply: bytes) -> bytes:
    if not fields:
        return b""
    said = kind.FromString(reply)
    return bytes(kind(**{name: getattr(said, name) for name in fields}).SerializeToString())


def _shown(address: Any) -> str:
    return f"{address.ip_address[:60]}:{address.port} of node {address.node_id.hex()[:56]}"


_REWRITTEN: dict[str, Callable[[bytes, bytes, Machine], Answer]] = {
    LEASE: _lease, PUSH: _push, methods.CHECK_HEALTH: _health, methods.GET_LOAD: _load,
}  # fmt: skip


def _raylet(name: str, *fields: str) -> tuple[str, tuple[Any, tuple[str, ...]]]:
    return f"/ray.rpc.NodeManagerService/{name}", (getattr(node_manager_pb2, f"{name}Reply"), fields)


def _worker(name: str, *fields: str) -> tuple[str, tuple[Any, tuple[str, ...]]]:
    return f"/ray.rpc.CoreWorkerService/{name}", (getattr(core_worker_pb2, f"{name}Reply"), fields)


_PLAIN = dict([
    _raylet("ReturnWorkerLease"), _raylet("CancelWorkerLease"), _raylet("ReleaseUnusedActorWorkers"), _raylet("ReleaseUnusedBundles"),
    _raylet("NotifyGCSRestart"), _raylet("ShutdownRaylet"), _raylet("KillLocalActor"), _raylet("DrainRaylet", "is_accepted"),
    _raylet("IsLocalWorkerDead", "is_dead"), _worker("KillActor"), _worker("CancelTask", "requested_task_running", "attempt_succeeded"),
])  # fmt: skip
"""Calls whose answers say nothing but that they were heard, or yes and no."""
