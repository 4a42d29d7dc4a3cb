"""Attacks on Ray's own checks: ids of a wrong length and numbers out of range, in calls that every node may make."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import grpc
from ray.core.generated import common_pb2, gcs_pb2, gcs_service_pb2, pubsub_pb2

from tests.attack.programs import nodes, wire

SHORT = b"x"
HUGE = float(1 << 50)
WORKERS = "WorkerInfoGcsService"
NEWS = "ControlPlanePubSubGcsService"


def malformed() -> tuple[bool, str]:
    """Each allowed call with what Ray would never say; a single one that ends a server is enough."""
    at = wire.session()
    own = wire.own_node(at)
    gone, counts = "", Counter[str]()

    def count(name: str, word: str) -> None:
        nonlocal gone
        counts[word] += 1
        if word == "UNAVAILABLE":
            gone = gone or name

    for name, method, request in calls(own):
        count(name, _word(at, method, request))
    for name, claimed, batch in streams(own.node_id):
        count(name, nodes._stream(at, claimed, batch, 1.0).split(":")[0].split(",")[0])
    for name, method, request in selections():
        count(name, _word(at, method, request))
    evidence = f"{counts.total()} malformed calls: " + ", ".join(f"{count} {word}" for word, count in counts.items())
    return bool(gone), f"{evidence}; nobody answered any more from this one on: {gone}" if gone else evidence


def _word(at: wire.Session, method: str, request: Any) -> str:
    try:
        wire.gcs(at, method, request, timeout_s=2.0)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "answered"


def calls(own: Any) -> Iterator[tuple[str, str, Any]]:
    """What, to which method, in which words."""
    for field, value in (("node_id", SHORT), ("raylet_socket_name", b"\xff\xfe")):
        wrong = gcs_pb2.GcsNodeInfo.FromString(own.SerializeToString())
        if field == "node_id":
            wrong.node_id = value
        else:
            wrong.node_id = wire.random_id()
            wrong.labels["ray.io/node-id"] = "zz"
        yield f"RegisterNode ({field})", f"{wire.NODES}/RegisterNode", gcs_service_pb2.RegisterNodeRequest(node_info=wrong)
    yield "CheckAlive", f"{wire.NODES}/CheckAlive", gcs_service_pb2.CheckAliveRequest(node_ids=[SHORT])
    yield "UnregisterNode", f"{wire.NODES}/UnregisterNode", gcs_service_pb2.UnregisterNodeRequest(node_id=SHORT)
    for field in ("worker_id", "node_id", "job_id"):
        worker = gcs_pb2.WorkerTableData(is_alive=True, job_id=SHORT if field == "job_id" else b"\1\0\0\0")
        worker.worker_address.CopyFrom(
            common_pb2.Address(
                node_id=SHORT if field == "node_id" else own.node_id, ip_address=own.node_manager_address, port=own.node_manager_port,
                worker_id=SHORT if field == "worker_id" else wire.random_id(),
            )
        )  # fmt: skip
        yield f"AddWorkerInfo ({field})", f"{WORKERS}/AddWorkerInfo", gcs_service_pb2.AddWorkerInfoRequest(worker_data=worker)
        failure = gcs_service_pb2.ReportWorkerFailureRequest(worker_failure=worker)
        yield f"ReportWorkerFailure ({field})", f"{WORKERS}/ReportWorkerFailure", failure
    for field in ("subscriber_id", "key_id", "sender_id"):
        command = pubsub_pb2.Command(channel_type=pubsub_pb2.GCS_NODE_INFO_CHANNEL, key_id=SHORT if field == "key_id" else b"")
        command.subscribe_message.SetInParent()
        batch = gcs_service_pb2.GcsSubscriberCommandBatchRequest(
            subscriber_id=SHORT if field == "subscriber_id" else wire.random_id(), commands=[command],
            sender_id=SHORT if field == "sender_id" else b"",
        )  # fmt: skip
        yield f"GcsSubscriberCommandBatch ({field})", f"{NEWS}/GcsSubscriberCommandBatch", batch
    empty = gcs_service_pb2.GcsSubscriberCommandBatchRequest(
        subscriber_id=wire.random_id(), commands=[pubsub_pb2.Command(channel_type=4)]
    )
    yield "GcsSubscriberCommandBatch (no command)", f"{NEWS}/GcsSubscriberCommandBatch", empty
    for subscriber, publisher in ((SHORT, b""), (wire.random_id(), SHORT)):
        poll = gcs_service_pb2.GcsSubscriberPollRequest(
            subscriber_id=subscriber, publisher_id=publisher, max_processed_sequence_id=-1
        )
        yield "GcsSubscriberPoll", f"{NEWS}/GcsSubscriberPoll", poll
    for job in ("\0", "0", "zzzzzzzz", "0" * 9, "raysubmit_"):
        yield (
            f"GetAllJobInfo ({job!r})",
            "JobInfoGcsService/GetAllJobInfo",
            gcs_service_pb2.GetAllJobInfoRequest(job_or_submission_id=job),
        )
    yield "GetAllJobInfo (limit)", "JobInfoGcsService/GetAllJobInfo", gcs_service_pb2.GetAllJobInfoRequest(limit=-1)
    inner = nodes._field(1, nodes._field(1, nodes._field(1, SHORT)))
    yield "AddTaskEventData", "TaskInfoGcsService/AddTaskEventData", inner
    yield "GcsPublish", "ObservabilityPubSubService/GcsPublish", nodes._field(1, nodes._number(1, 99))
    for limit in (-1, 0):
        listing = gcs_service_pb2.GetAllNodeInfoRequest(limit=limit)
        yield f"GetAllNodeInfo (limit {limit})", f"{wire.NODES}/GetAllNodeInfo", listing
        listing = gcs_service_pb2.GetAllNodeAddressAndLivenessRequest(limit=limit)
        yield f"GetAllNodeAddressAndLiveness (limit {limit})", f"{wire.NODES}/GetAllNodeAddressAndLiveness", listing
    for service in ("InternalKVGcsService/GetInternalConfig", f"{wire.NODES}/GetClusterId"):
        yield service, service, b"\xff\xff"


def selections() -> Iterator[tuple[str, str, Any]]:
    """Listings of nodes that are selected by ids."""
    selected = gcs_service_pb2.GetAllNodeInfoRequest()
    selected.node_selectors.add(node_id=SHORT)
    yield "GetAllNodeInfo (node_id)", f"{wire.NODES}/GetAllNodeInfo", selected
    listing = gcs_service_pb2.GetAllNodeAddressAndLivenessRequest(node_ids=[SHORT])
    yield "GetAllNodeAddressAndLiveness (node_id)", f"{wire.NODES}/GetAllNodeAddressAndLiveness", listing


def streams(own: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """Resource streams: what, as whom, and their first batch."""
    for number, (claimed, about, view) in enumerate(
        (
            (SHORT, own, b""),
            (own, SHORT, b""),
            (own, own, b"\xff"),
            (own, own, nodes._pairs(2, {"memory": HUGE}) + nodes._pairs(1, {"memory": HUGE})),
            (own, own, nodes._pairs(2, {"fabric_cpu": -1.0}) + nodes._pairs(1, {"fabric_cpu": float("nan")})),
        )
    ):  # fmt: skip
        message = nodes._number(1, 1 << 62) + nodes._field(3, view) + nodes._field(4, about)
        yield f"StartSync {number}", claimed, nodes._field(1, message)
