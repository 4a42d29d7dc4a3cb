"""A joined machine with the cluster's token, and what it says that is not for it to say: all of it is refused, counted and without effect."""

import asyncio
import socket

import grpc
import pytest
from ray.core.generated import common_pb2, pubsub_pb2
from ray.core.generated import gcs_service_pb2 as gcs

from fabric.gate import methods
from fabric.gate.config import LOOPBACK_NUMBERS, loopback_host
from fabric.gate.haproxy import CONNECTIONS_PER_PEER_MAX, REQUESTS_PER_10_S_MAX, STREAMS_PER_CONNECTION_MAX
from tests.fixtures.boundary import ATTACKER_NODE, Boundary
from tests.fixtures.gate import eventually, until

pytestmark = pytest.mark.ray


def refused(boundary: Boundary, path: str, request, reason: str) -> str:
    """Call it; it must be refused for this reason, counted once, and the victim's node must live on. Returns the words."""
    name = methods.short_name(path).rpartition("/")[2]
    before = boundary.gate.refused().get(f"{name} {reason}", 0)
    error = boundary.attacker.refusal(path, request if isinstance(request, bytes) else request.SerializeToString())
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED, error
    assert boundary.gate.refused().get(f"{name} {reason}", 0) == before + 1
    assert boundary.victim_node in boundary.nodes()
    return error.details() or ""


CLOSED = [
    "JobInfoGcsService/GetNextJobID", "JobInfoGcsService/AddJob", "JobInfoGcsService/MarkJobFinished",
    "ActorInfoGcsService/RegisterActor", "ActorInfoGcsService/CreateActor", "ActorInfoGcsService/KillActorViaGcs",
    "ActorInfoGcsService/GetActorInfo", "ActorInfoGcsService/ListNamedActors", "ActorInfoGcsService/GetAllActorInfo",
    "ActorInfoGcsService/ReportActorOutOfScope", "NodeInfoGcsService/DrainNode", "InternalKVGcsService/InternalKVKeys",
    "InternalKVGcsService/InternalKVDel", "InternalKVGcsService/InternalKVMultiGet", "InternalKVGcsService/InternalKVExists",
    "PlacementGroupInfoGcsService/CreatePlacementGroup", "NodeResourceInfoGcsService/GetAllResourceUsage",
    "WorkerInfoGcsService/GetAllWorkerInfo", "WorkerInfoGcsService/UpdateWorkerDebuggerPort",
    "ControlPlanePubSubGcsService/GcsPublish", "ObservabilityPubSubService/ReportJobError",
    "ObservabilityPubSubService/GcsSubscriberPoll", "TaskInfoGcsService/GetTaskEvents", "RuntimeEnvGcsService/PinRuntimeEnvURI",
    "RayEventExportGcsService/AddEvents", "autoscaler.AutoscalerStateService/DrainNode", "NodeManagerService/RequestWorkerLease",
    "CoreWorkerService/PushTask", "NoSuchService/NoSuchMethod",
]  # fmt: skip


@pytest.mark.parametrize("method", CLOSED)
def test_a_method_that_no_node_needs_is_closed(boundary, method):
    counted = f"{methods.short_name(f'/ray.rpc.{method}').rpartition('/')[2]} method"
    before = boundary.gate.refused().get(counted, 0)
    error = boundary.attacker.refusal(f"/ray.rpc.{method}")
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    eventually(lambda: boundary.gate.refused().get(counted) == before + 1)  # HAProxy tells the gate a moment later
    assert f"/ray.rpc.{method}" in {one["method"] for one in boundary.gate.ask("refusals")["latest"]}


@pytest.mark.parametrize(
    ("namespace", "key"),
    [(b"fun", b"RemoteFunction:01000000:x"), (b"serve", b"SERVE_CONTROLLER"), (b"session", b"temp_dir"), (b"", b"session_name"),
     (b"job", b"01000000"), (b"fun", b"ActorClass:" + b"x" * 300)],
)  # fmt: skip
def test_other_keys_are_not_read(boundary, namespace, key):
    refused(boundary, methods.KV_GET, gcs.InternalKVGetRequest(namespace=namespace, key=key), "key")


@pytest.mark.parametrize(
    ("namespace", "key"),
    [(b"fun", b"ActorClass:01000000:x"), (b"session", b"session_name"), (b"cluster", b"CLUSTER_METADATA"),
     (b"dashboard", b"webui:url"), (b"", b"DASHBOARD_AGENT_ADDR_NODE_ID_PREFIX:x")],
)  # fmt: skip
def test_other_keys_are_not_written(boundary, namespace, key):
    request = gcs.InternalKVPutRequest(namespace=namespace, key=key, value=b"evil", overwrite=True)
    refused(boundary, methods.KV_PUT, request, "key")


def test_what_may_be_written_is_written_nowhere(boundary):
    key = b"DASHBOARD_AGENT_ADDR_IP_PREFIX:127.0.0.1"
    request = gcs.InternalKVPutRequest(namespace=b"dashboard", key=key, value=b"evil", overwrite=True)
    assert boundary.attacker.call(methods.KV_PUT, request.SerializeToString())
    asked = gcs.InternalKVGetRequest(namespace=b"dashboard", key=key)
    found = gcs.InternalKVGetReply.FromString(boundary.inside(methods.KV_GET, asked.SerializeToString()))
    assert found.value != b"evil"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": {"fabric.role": "control"}}, "labels"),
        ({"labels": {}}, "labels"),
        ({"labels": {"extra": "x"}, "keep": True}, "labels"),
        ({"labels": {"ray.io/node-group": "x"}, "keep": True}, "labels"),
        ({"labels": {"ray.io/node-id": "b8" * 28}, "keep": True}, "labels"),
        ({"resources_total": {"fabric_cpu": 10}}, "resources"),
        ({"resources_total": {"CPU": 1}}, "resources"),
        ({"resources_total": {"fabric_cuda": 1}}, "resources"),
        ({"resources_total": {"node:__internal_head__": 1}}, "resources"),
        ({"resources_total": {"node:127.0.0.2": 1}}, "resources"),
        ({"resources_total": {"memory": float("inf")}}, "resources"),
        ({"resources_total": {"memory": float("nan")}}, "resources"),
        ({"node_manager_address": "10.1.2.3"}, "address"),
        ({"node_manager_address": "localhost"}, "address"),
        ({"node_name": "fabric-control"}, "address"),
        ({"node_manager_port": 70000}, "address"),
        ({"is_head_node": True}, "head"),
        ({"node_id": b"short"}, "node_id"),
    ],
)
def test_a_node_registers_within_its_grant_or_not_at_all(boundary, changes, reason):
    changes = dict(changes)
    if changes.pop("keep", False):
        changes["labels"] = {**boundary.attacker.labels, **changes["labels"]}
    before = boundary.nodes().keys()
    refused(boundary, methods.REGISTER_NODE, boundary.registration(**changes), reason)
    assert boundary.nodes().keys() <= before


def test_a_node_registers_with_nobody_elses_id_or_port(boundary):
    head, victim = boundary.head_node(), boundary.nodes()[boundary.victim_node]
    refused(boundary, methods.REGISTER_NODE, boundary.registration(node_id=boundary.victim_node), "node_id")
    for taken in (victim.node_manager_port, head.node_manager_port, head.object_manager_port):
        refused(boundary, methods.REGISTER_NODE, boundary.registration(node_manager_port=taken), "ports")
    gcs_port = int(boundary.head.address.rpartition(":")[2])
    refused(boundary, methods.REGISTER_NODE, boundary.registration(node_manager_port=gcs_port), "ports")


def test_a_head_cannot_be_replaced(boundary):
    head = boundary.head_node()
    answer = boundary.attacker.refusal(methods.REGISTER_NODE, boundary.registration(node_id=head.node_id).SerializeToString())
    assert answer.code() is grpc.StatusCode.PERMISSION_DENIED
    assert boundary.head_node().node_id == head.node_id


def test_nobody_else_is_reported_dead(boundary):
    for node_id in (boundary.victim_node, boundary.head_node().node_id):
        refused(boundary, methods.UNREGISTER_NODE, gcs.UnregisterNodeRequest(node_id=node_id), "node_id")
        refused(boundary, methods.CHECK_ALIVE, gcs.CheckAliveRequest(node_ids=[ATTACKER_NODE, node_id]), "node_id")
        failure = {"worker_address": {"node_id": node_id, "worker_id": b"w" * 28}}
        refused(boundary, methods.REPORT_WORKER_FAILURE, gcs.ReportWorkerFailureRequest(worker_failure=failure), "node_id")


def test_a_worker_of_somebody_else_is_neither_reported_dead_nor_claimed(boundary):
    boundary.head.ask("probe", node_id=boundary.victim_node.hex())  # its driver and its worker are known to the GCS
    others = [worker for worker in boundary.workers() if worker.worker_address.node_id != ATTACKER_NODE]
    assert any(worker.worker_type == common_pb2.DRIVER for worker in others)
    for worker in others[:5]:
        address = {"node_id": ATTACKER_NODE, "ip_address": "127.0.0.1", "port": 3, "worker_id": worker.worker_address.worker_id}
        failure = gcs.ReportWorkerFailureRequest(worker_failure={"worker_address": address})
        refused(boundary, methods.REPORT_WORKER_FAILURE, failure, "worker_id")
        claim = gcs.AddWorkerInfoRequest(worker_data={"worker_address": address, "is_alive": True})
        refused(boundary, methods.ADD_WORKER, claim, "worker_id")
    assert boundary.head.ask("probe", node_id=boundary.victim_node.hex())["node_id"] == boundary.victim_node.hex()


def test_no_driver_is_added(boundary):
    address = {"node_id": ATTACKER_NODE, "ip_address": "127.0.0.1", "port": 3, "worker_id": b"d" * 28}
    driver = gcs.AddWorkerInfoRequest(worker_data={"worker_address": address, "worker_type": common_pb2.DRIVER})
    refused(boundary, methods.ADD_WORKER, driver, "driver")


def test_a_failed_workers_pickle_does_not_reach_the_gcs(boundary):
    address = {"node_id": ATTACKER_NODE, "ip_address": "127.0.0.1", "port": 3, "worker_id": b"p" * 28}
    boundary.attacker.call(
        methods.ADD_WORKER, gcs.AddWorkerInfoRequest(worker_data={"worker_address": address}).SerializeToString()
    )
    pickled = {"worker_address": address, "creation_task_exception": {"serialized_exception": b"evil"}, "exit_detail": "gone"}
    boundary.attacker.call(
        methods.REPORT_WORKER_FAILURE, gcs.ReportWorkerFailureRequest(worker_failure=pickled).SerializeToString()
    )
    known = next(worker for worker in boundary.workers() if worker.worker_address.worker_id == b"p" * 28)
    assert known.exit_detail == "gone"
    assert not known.HasField("creation_task_exception")


@pytest.mark.parametrize("channel", ["RAY_LOG_CHANNEL", "RAY_ERROR_INFO_CHANNEL", "GCS_ACTOR_CHANNEL", "GCS_NODE_INFO_CHANNEL"])
def test_other_channels_are_not_heard(boundary, channel):
    commands = [{"channel_type": pubsub_pb2.ChannelType.Value(channel), "subscribe_message": {}}]
    request = gcs.GcsSubscriberCommandBatchRequest(subscriber_id=b"s" * 28, commands=commands)
    assert channel in refused(boundary, methods.SUBSCRIBE, request, "channel")


def test_nobody_elses_messages_are_taken(boundary):
    commands = [{"channel_type": pubsub_pb2.GCS_JOB_CHANNEL, "subscribe_message": {}}]
    subscribed = gcs.GcsSubscriberCommandBatchRequest(subscriber_id=b"v" * 28, commands=commands)
    boundary.victim.call(methods.SUBSCRIBE, subscribed.SerializeToString())
    refused(boundary, methods.POLL, gcs.GcsSubscriberPollRequest(subscriber_id=b"v" * 28), "subscriber")


async def test_the_resource_stream_is_opened_in_its_own_name_only(boundary):
    async with boundary.stream(boundary.victim_node) as call:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call.read()
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert boundary.gate.refused()["StartSync node_id"] >= 1


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"resources_total": {"fabric_cpu": 10}, "resources_available": {"fabric_cpu": 10}}, "resources"),
        ({"resources_available": {"fabric_cpu": 10}}, "resources"),
        ({"resources_total": {"node:__internal_head__": 1}}, "resources"),
        ({"labels": {"fabric.role": "control"}}, "labels"),
        ({"node_id": "victim"}, "relayed"),
    ],
)
async def test_the_resource_stream_says_nothing_beyond_the_grant(boundary, message, reason):
    message = dict(message)
    if message.pop("node_id", None):
        message["node_id"] = boundary.victim_node
    before = boundary.gate.refused().get(f"StartSync {reason}", 0)
    async with boundary.stream() as call:
        await call.write(boundary.view(**message))
        await until(lambda: boundary.gate.refused().get(f"StartSync {reason}", 0) == before + 1)
    reply = await asyncio.to_thread(boundary.inside, "/ray.rpc.NodeResourceInfoGcsService/GetAllTotalResources")
    totals = {one.node_id: dict(one.resources_total) for one in gcs.GetAllTotalResourcesReply.FromString(reply).resources_list}
    assert totals[boundary.victim_node]["fabric_cpu"] == 2
    assert totals.get(ATTACKER_NODE, {}).get("fabric_cpu", 0) <= 2


def test_an_address_from_which_nobody_entered_may_only_enter(boundary):
    stranger = f"127.64.0.32:{boundary.gate.config.port}"
    before = boundary.gate.refused().get("GetClusterId unbound", 0)
    with pytest.raises(grpc.RpcError) as error:
        boundary.attacker.call(methods.GET_CLUSTER_ID, address=stranger)
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    eventually(lambda: boundary.gate.refused().get("GetClusterId unbound") == before + 1)


def test_a_machine_cannot_say_that_it_is_another(boundary):
    victim_peer = boundary.victim.address.partition(":")[0]
    request = gcs.UnregisterNodeRequest(node_id=boundary.victim_node).SerializeToString()
    error = boundary.attacker.refusal(methods.UNREGISTER_NODE, request, **{"x-fabric-peer": victim_peer})
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert boundary.victim_node in boundary.nodes()


def test_without_the_token_nothing_is_looked_at(boundary):
    error = boundary.attacker.refusal(methods.GET_CLUSTER_ID, authorization="Bearer guessed")
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_packed_request_is_refused_unread(boundary):
    shown = (("authorization", f"Bearer {boundary.attacker.token}"),)
    packing = grpc.insecure_channel(boundary.attacker.address, compression=grpc.Compression.Gzip)
    with packing as channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(methods.GET_CLUSTER_ID)(b"\0" * 10_000, metadata=shown, timeout=20)
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    eventually(lambda: boundary.gate.refused().get("GetClusterId encoding", 0) >= 1)


@pytest.mark.parametrize(("path", "size"), [(methods.GET_CLUSTER_ID, 1 << 20), (methods.PUBLISH, 8 << 20)])
def test_a_request_that_is_too_large_is_refused(boundary, path, size):
    error = boundary.attacker.refusal(path, b"\0" * size)
    assert error.code() in {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_a_machine_with_too_many_connections_is_turned_away_and_no_other_notices(boundary):
    crowd = (loopback_host(LOOPBACK_NUMBERS[-1]), boundary.gate.config.port)  # an address that no other test calls from
    opened = [socket.create_connection(crowd) for _ in range(CONNECTIONS_PER_PEER_MAX + 100)]
    try:
        assert boundary.victim.call(methods.GET_CLUSTER_ID)
        assert boundary.attacker.call(methods.GET_CLUSTER_ID)
        assert boundary.gate.ask("status")["connections_rejected"] >= 50
    finally:
        for connection in opened:
            connection.close()


async def test_a_machine_that_calls_too_often_is_refused_and_no_other_notices(boundary):
    place = f"{loopback_host(LOOPBACK_NUMBERS[-2])}:{boundary.gate.config.port}"  # from which no other test calls
    codes: dict[str, int] = {}

    async def call_again_and_again(channel) -> None:
        ask = channel.unary_unary(methods.GET_CLUSTER_ID)
        while "UNAVAILABLE" not in codes and sum(codes.values()) < 20 * REQUESTS_PER_10_S_MAX:
            try:
                await ask(b"")
            except grpc.RpcError as error:
                codes[error.code().name] = codes.get(error.code().name, 0) + 1

    async with grpc.aio.insecure_channel(place) as channel:
        await asyncio.gather(*(call_again_and_again(channel) for _ in range(STREAMS_PER_CONNECTION_MAX)))
    # So many were answered, as the calls of a machine that never entered are; then it was too many, whatever they were
    assert codes["PERMISSION_DENIED"] >= REQUESTS_PER_10_S_MAX - STREAMS_PER_CONNECTION_MAX
    assert codes["UNAVAILABLE"] > 0
    await until(lambda: boundary.gate.refused().get("GetClusterId rate", 0) > 0)
    assert boundary.attacker.call(methods.GET_CLUSTER_ID)
    assert boundary.victim.call(methods.GET_CLUSTER_ID)


def test_what_it_publishes_is_heard_by_nobody_and_hurts_it_not(boundary):
    assert boundary.attacker.call(methods.PUBLISH, b"anything") == b""
    assert boundary.attacker.call(methods.ADD_TASK_EVENTS, b"anything") == b""


def test_a_request_that_cannot_be_read_is_refused(boundary):
    refused(boundary, methods.REGISTER_NODE, b"\xff\xff\xff", "malformed")
