"""Pure: one decoded request and who sends it, to what is forwarded, answered here or refused, and why.

What is forwarded is written anew from the fields that were checked, so the GCS cannot read a request in another way than the
gate did. Facts that only the GCS knows (who owns a worker's id, which nodes live) are left as a `claim` for the caller to settle.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from ray.core.generated import common_pb2, gcs_service_pb2, pubsub_pb2

from fabric.gate import methods
from fabric.gate.claims import Claimed, NodeClaim, wrong_with
from fabric.gate.grants import Caller

ID_BYTES = 28
TEXT_CHARACTERS_MAX = 1000
KEY_BYTES_MAX = 200
COMMANDS_MAX = 1000
WORKER_FACTS_MAX = 32

READABLE_KEYS = frozenset({
    (b"session", b"session_name"), (b"dashboard", b"webui:url"), (b"dashboard", b"dashboard"), (b"cluster", b"CLUSTER_METADATA"),
    (b"tracing", b"tracing_startup_hook"),
})  # fmt: skip
READABLE_PREFIXES = ((b"fun", b"ActorClass:"),)
"""The class of an actor that was placed there: its key holds a digest that only its order tells."""
SWALLOWED_PREFIXES = ((b"dashboard", b"DASHBOARD_AGENT_ADDR_"), (b"usage_stats", b""))
"""What honest nodes write. Nobody reads it here, so nothing that a provider writes gets into the store."""
CHANNELS = frozenset({
    pubsub_pb2.GCS_JOB_CHANNEL, pubsub_pb2.GCS_WORKER_DELTA_CHANNEL, pubsub_pb2.GCS_NODE_ADDRESS_AND_LIVENESS_CHANNEL,
})  # fmt: skip
PORTS = (
    "node_manager_port", "object_manager_port", "metrics_export_port", "runtime_env_agent_port", "metrics_agent_port",
    "dashboard_agent_listen_port",
)  # fmt: skip
NODE_TEXTS = ("raylet_socket_name", "object_store_socket_name", "node_manager_hostname", "temp_dir", "session_dir")
NODE_FIELDS = frozenset({
    "node_id", "node_manager_address", "node_name", "start_time_ms", "resources_total", "labels", "state_snapshot", *PORTS, *NODE_TEXTS,
})  # fmt: skip
WORKER_FIELDS = frozenset({
    "is_alive", "worker_address", "worker_type", "worker_info", "exit_detail", "job_id", "timestamp", "exit_type", "pid",
    "start_time_ms", "end_time_ms", "worker_launch_time_ms", "worker_launched_time_ms", "memory_used_bytes_at_death",
})  # fmt: skip
"""Without `creation_task_exception`: that is a pickle, and drivers would read it."""


@dataclass(frozen=True, slots=True)
class WorkerClaim:
    """A worker id is said to be of this machine's node: the GCS must not know it as another's."""

    worker_id: bytes
    may_be_new: bool


@dataclass(frozen=True, slots=True)
class SubscriberClaim:
    """A subscriber's id is said to be this machine's: nobody else may have used it."""

    subscriber_id: bytes


@dataclass(frozen=True, slots=True)
class Left:
    """This machine's node ends: once the GCS agrees, it is bound no more."""

    node_id: str


Claim = NodeClaim | WorkerClaim | SubscriberClaim | Left


@dataclass(frozen=True, slots=True)
class Forwarded:
    """It goes to the GCS in these words, once its claim is settled."""

    request: bytes
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Swallowed:
    """It is answered by the gate and goes nowhere."""

    reply: bytes = b""


@dataclass(frozen=True, slots=True)
class Refused:
    """It is answered PERMISSION_DENIED, counted and logged."""

    reason: str
    """One word, for counters."""
    detail: str


Decision = Forwarded | Swallowed | Refused


def decide(path: str, request: bytes, caller: Caller) -> Decision:
    """What becomes of a request whose method is on the list and no stream."""
    method = methods.METHODS[path]
    if len(request) > method.request_bytes_max:
        return Refused("size", f"{len(request)} bytes where {method.request_bytes_max} are enough")
    if method.rule == "pass":
        return Forwarded(request)
    if method.rule == "swallow":
        return Swallowed()
    kind, check = _CHECKS[path]
    try:
        asked = kind.FromString(request)
    except DecodeError:
        return Refused("malformed", "the request cannot be read")
    return check(asked, caller)


def _register_node(asked: Any, caller: Caller) -> Decision:
    node = asked.node_info
    if len(node.node_id) != ID_BYTES:
        return Refused("node_id", "a node's id has 28 bytes")
    if node.is_head_node:
        return Refused("head", "it says that it is the head")
    if node.node_manager_address != caller.node_ip:
        return Refused("address", f"address {node.node_manager_address[:80]!r} where {caller.node_ip} was seen")
    if node.node_name not in ("", caller.node_ip):
        return Refused("address", f"name {node.node_name[:80]!r}, which is not its address")
    ports = [getattr(node, name) for name in PORTS]
    if not all(-1 <= port <= 65535 for port in ports) or not all(port > 0 for port in ports[:2]):
        return Refused("address", "a port out of range")
    if wrong := wrong_with(Claimed(dict(node.resources_total), dict(node.labels), node.node_id.hex()), caller):
        return Refused(*wrong)
    if too_long := next((name for name in NODE_TEXTS if len(getattr(node, name)) > TEXT_CHARACTERS_MAX), None):
        return Refused("size", f"{too_long} is too long")
    _keep(node, NODE_FIELDS)
    node.node_name = caller.node_ip
    claim = NodeClaim(node.node_id.hex(), caller.node_ip, frozenset(ports[:2]))
    return _forward(asked, claim)


def _unregister_node(asked: Any, caller: Caller) -> Decision:
    if refused := _not_own(asked.node_id, caller):
        return refused
    asked.node_death_info.reason_message = asked.node_death_info.reason_message[:TEXT_CHARACTERS_MAX]
    return _forward(asked, Left(asked.node_id.hex()))


def _check_alive(asked: Any, caller: Caller) -> Decision:
    refused = (_not_own(node_id, caller) for node_id in asked.node_ids)
    return next((r for r in refused if r is not None), None) or _forward(asked)


def _all_node_info(asked: Any, _: Caller) -> Decision:
    ids = [selector.node_id for selector in asked.node_selectors if selector.WhichOneof("node_selector") == "node_id"]
    return _selected_nodes(asked, ids)


def _liveness(asked: Any, _: Caller) -> Decision:
    return _selected_nodes(asked, asked.node_ids)


def _selected_nodes(asked: Any, node_ids: Sequence[bytes]) -> Decision:
    if any(len(node_id) != ID_BYTES for node_id in node_ids):
        return Refused("node_id", "a node's id has 28 bytes")  # the GCS ends itself over another length
    return _forward(asked)


def _kv_get(asked: Any, _: Caller) -> Decision:
    named = (asked.namespace, asked.key)
    if len(asked.key) > KEY_BYTES_MAX or not (named in READABLE_KEYS or _begins(named, READABLE_PREFIXES)):
        return Refused("key", f"reading {asked.key[:80]!r} in {asked.namespace[:40]!r}")
    return _forward(asked)


def _kv_put(asked: Any, _: Caller) -> Decision:
    if not _begins((asked.namespace, asked.key), SWALLOWED_PREFIXES):
        return Refused("key", f"writing {asked.key[:80]!r} in {asked.namespace[:40]!r}")
    return Swallowed(gcs_service_pb2.InternalKVPutReply(added=True).SerializeToString())


def _subscribe(asked: Any, _: Caller) -> Decision:
    if len(asked.subscriber_id) != ID_BYTES or len(asked.commands) > COMMANDS_MAX or len(asked.sender_id) > ID_BYTES:
        return Refused("malformed", "no subscriber's id, or too many commands")
    for command in asked.commands:
        if command.channel_type not in CHANNELS:
            return Refused("channel", f"subscribing to channel {_channel_name(command.channel_type)}")
        if command.WhichOneof("command_message_one_of") == "subscribe_message" and command.subscribe_message.ListFields():
            return Refused("channel", "subscribing to another process's objects")
    return _forward(asked, SubscriberClaim(asked.subscriber_id))


def _poll(asked: Any, _: Caller) -> Decision:
    if len(asked.subscriber_id) != ID_BYTES or len(asked.publisher_id) > ID_BYTES:
        return Refused("malformed", "no subscriber's id")
    return _forward(asked, SubscriberClaim(asked.subscriber_id))


def _all_job_info(asked: Any, _: Caller) -> Decision:
    if len(asked.job_or_submission_id) > KEY_BYTES_MAX:
        return Refused("size", "a job's id is too long")
    asked.skip_submission_job_info_field = asked.skip_is_running_tasks_field = True  # else the GCS asks every driver
    return _forward(asked)


def _add_worker(asked: Any, caller: Caller) -> Decision:
    worker = asked.worker_data
    if refused := _wrong_worker(worker, caller):
        return refused
    if worker.worker_address.ip_address != caller.node_ip or not 0 < worker.worker_address.port <= 65535:
        return Refused("address", f"a worker at {worker.worker_address.ip_address[:80]!r}")
    _keep(worker, WORKER_FIELDS)
    return _forward(asked, WorkerClaim(worker.worker_address.worker_id, may_be_new=True))


def _report_worker_failure(asked: Any, caller: Caller) -> Decision:
    worker = asked.worker_failure
    if refused := _wrong_worker(worker, caller):
        return refused
    _keep(worker, WORKER_FIELDS)
    return _forward(asked, WorkerClaim(worker.worker_address.worker_id, may_be_new=False))


def _wrong_worker(worker: Any, caller: Caller) -> Refused | None:
    if refused := _not_own(worker.worker_address.node_id, caller):
        return refused
    if len(worker.worker_address.worker_id) != ID_BYTES:
        return Refused("worker_id", "a worker's id has 28 bytes")
    if worker.worker_type == common_pb2.DRIVER:
        return Refused("driver", "a driver on a provider's node")
    if len(worker.worker_info) > WORKER_FACTS_MAX or len(worker.exit_detail) > 16 * TEXT_CHARACTERS_MAX:
        return Refused("size", "too much said about a worker")
    return None


def _not_own(node_id: bytes, caller: Caller) -> Refused | None:
    if caller.node_id and node_id == caller.node_id:
        return None
    return Refused("node_id", f"about node {node_id.hex()[:56]}, which is not its own")


def _begins(named: tuple[bytes, bytes], prefixes: tuple[tuple[bytes, bytes], ...]) -> bool:
    return any(named[0] == namespace and named[1].startswith(prefix) for namespace, prefix in prefixes)


def _channel_name(number: int) -> str:
    known = pubsub_pb2.ChannelType.DESCRIPTOR.values_by_number.get(number)
    return known.name if known else str(number)


def _keep(message: Any, names: frozenset[str]) -> None:
    for field, _ in message.ListFields():
        if field.name not in names:
            message.ClearField(field.name)


def _forward(message: Any, claim: Claim | None = None) -> Forwarded:
    message.DiscardUnknownFields()
    return Forwarded(message.SerializeToString(deterministic=True), claim)


_CHECKS: dict[str, tuple[Any, Callable[[Any, Caller], Decision]]] = {
    methods.REGISTER_NODE: (gcs_service_pb2.RegisterNodeRequest, _register_node),
    methods.UNREGISTER_NODE: (gcs_service_pb2.UnregisterNodeRequest, _unregister_node),
    methods.CHECK_ALIVE: (gcs_service_pb2.CheckAliveRequest, _check_alive),
    methods.GET_ALL_NODE_INFO: (gcs_service_pb2.GetAllNodeInfoRequest, _all_node_info),
    methods.GET_LIVENESS: (gcs_service_pb2.GetAllNodeAddressAndLivenessRequest, _liveness),
    methods.KV_GET: (gcs_service_pb2.InternalKVGetRequest, _kv_get),
    methods.KV_PUT: (gcs_service_pb2.InternalKVPutRequest, _kv_put),
    methods.SUBSCRIBE: (gcs_service_pb2.GcsSubscriberCommandBatchRequest, _subscribe),
    methods.POLL: (gcs_service_pb2.GcsSubscriberPollRequest, _poll),
    methods.GET_ALL_JOB_INFO: (gcs_service_pb2.GetAllJobInfoRequest, _all_job_info),
    methods.ADD_WORKER: (gcs_service_pb2.AddWorkerInfoRequest, _add_worker),
    methods.REPORT_WORKER_FAILURE: (gcs_service_pb2.ReportWorkerFailureRequest, _report_worker_failure),
}
