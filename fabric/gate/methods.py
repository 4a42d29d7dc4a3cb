"""Data: the gRPC methods that a provider's node may call, and the rule of each; everything else is refused.

Observed on Ray 2.60: these carry the whole life of a node that joins, hosts actors and leaves. A driver needs others and gets
no further than its first call.
"""

from dataclasses import dataclass
from typing import Literal

KIB = 1024
SMALL_BYTES = 64 * KIB
LARGE_BYTES = 4 * 1024 * KIB

Rule = Literal["pass", "check", "swallow", "stream"]
"""pass: forwarded unread · check: its fields are checked and what was checked is forwarded · swallow: answered here, never
forwarded · stream: each message of the stream is checked."""

ENTER = "/fabric.gate.Gate/Enter"
START_SYNC = "/ray.rpc.syncer.RaySyncer/StartSync"


@dataclass(frozen=True, slots=True)
class Method:
    """How a method is treated, and how large a request may be."""

    rule: Rule
    request_bytes_max: int = SMALL_BYTES


def _gcs(service: str, method: str) -> str:
    return f"/ray.rpc.{service}/{method}"


GET_CLUSTER_ID = _gcs("NodeInfoGcsService", "GetClusterId")
GET_ALL_NODE_INFO = _gcs("NodeInfoGcsService", "GetAllNodeInfo")
GET_LIVENESS = _gcs("NodeInfoGcsService", "GetAllNodeAddressAndLiveness")
REGISTER_NODE = _gcs("NodeInfoGcsService", "RegisterNode")
UNREGISTER_NODE = _gcs("NodeInfoGcsService", "UnregisterNode")
CHECK_ALIVE = _gcs("NodeInfoGcsService", "CheckAlive")
KV_GET = _gcs("InternalKVGcsService", "InternalKVGet")
KV_PUT = _gcs("InternalKVGcsService", "InternalKVPut")
SUBSCRIBE = _gcs("ControlPlanePubSubGcsService", "GcsSubscriberCommandBatch")
POLL = _gcs("ControlPlanePubSubGcsService", "GcsSubscriberPoll")
GET_ALL_JOB_INFO = _gcs("JobInfoGcsService", "GetAllJobInfo")
ADD_WORKER = _gcs("WorkerInfoGcsService", "AddWorkerInfo")
GET_WORKER = _gcs("WorkerInfoGcsService", "GetWorkerInfo")
REPORT_WORKER_FAILURE = _gcs("WorkerInfoGcsService", "ReportWorkerFailure")
PUBLISH = _gcs("ObservabilityPubSubService", "GcsPublish")
ADD_TASK_EVENTS = _gcs("TaskInfoGcsService", "AddTaskEventData")

METHODS: dict[str, Method] = {
    GET_CLUSTER_ID: Method("pass"),
    GET_ALL_NODE_INFO: Method("check"),
    GET_LIVENESS: Method("check"),
    _gcs("InternalKVGcsService", "GetInternalConfig"): Method("pass"),
    REGISTER_NODE: Method("check"),
    UNREGISTER_NODE: Method("check"),
    CHECK_ALIVE: Method("check"),
    KV_GET: Method("check"),
    KV_PUT: Method("check"),
    SUBSCRIBE: Method("check"),
    POLL: Method("check"),
    GET_ALL_JOB_INFO: Method("check"),
    ADD_WORKER: Method("check"),
    REPORT_WORKER_FAILURE: Method("check"),
    PUBLISH: Method("swallow", LARGE_BYTES),
    ADD_TASK_EVENTS: Method("swallow", LARGE_BYTES),
    START_SYNC: Method("stream"),
}
"""By path. A machine that has not entered may call ENTER alone, which is not forwarded to anybody."""


LEASE_WORKER = "/ray.rpc.NodeManagerService/RequestWorkerLease"
PUSH_TASK = "/ray.rpc.CoreWorkerService/PushTask"
CHECK_HEALTH = "/grpc.health.v1.Health/Check"
GET_LOAD = "/ray.rpc.NodeManagerService/GetResourceLoad"
CONNECT = "CONNECT"

OUTWARD = frozenset({
    LEASE_WORKER, PUSH_TASK, CHECK_HEALTH, GET_LOAD, CONNECT, "/ray.rpc.CoreWorkerService/KillActor", "/ray.rpc.CoreWorkerService/CancelTask",
    *(
        f"/ray.rpc.NodeManagerService/{name}"
        for name in (
            "ReturnWorkerLease", "CancelWorkerLease", "ReleaseUnusedActorWorkers", "ReleaseUnusedBundles", "NotifyGCSRestart",
            "ShutdownRaylet", "KillLocalActor", "DrainRaylet", "IsLocalWorkerDead",
        )
    ),
})  # fmt: skip
"""What control processes ask of a machine's raylet and workers (`fabric.gate.replies` says what becomes of each answer)."""


def short_name(path: str) -> str:
    """`Service/Method` of a known method; `other` for what a stranger made up, so that counters stay few."""
    return path.rpartition(".")[2] if path in METHODS or path in OUTWARD or path == ENTER else "other"
