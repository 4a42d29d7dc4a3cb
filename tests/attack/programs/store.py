"""Attacks on what the GCS keeps and tells: its key-value store and its channels of news."""

import time
from typing import Any

import grpc
from ray.core.generated import gcs_service_pb2, pubsub_pb2

from tests.attack.programs import wire

LISTEN_S = 6.0
CONTROL_PLANE = "ControlPlanePubSubGcsService"
OBSERVABILITY = "ObservabilityPubSubService"


def read(key: str, namespace: str) -> tuple[bool, str, dict[str, Any]]:
    """Read a value of somebody else, by every method that reads values."""
    at = wire.session()
    wanted, within = key.encode(), namespace.encode()

    def get() -> str:
        request = gcs_service_pb2.InternalKVGetRequest(key=wanted, namespace=within)
        return gcs_service_pb2.InternalKVGetReply.FromString(wire.gcs(at, f"{wire.KV}/InternalKVGet", request)).value.decode()

    def get_many() -> str:
        request = gcs_service_pb2.InternalKVMultiGetRequest(keys=[wanted], namespace=within)
        reply = gcs_service_pb2.InternalKVMultiGetReply.FromString(wire.gcs(at, f"{wire.KV}/InternalKVMultiGet", request))
        return " ".join(entry.value.decode() for entry in reply.results)

    def names() -> str:
        request = gcs_service_pb2.InternalKVKeysRequest(prefix=wanted[:4], namespace=within)
        return str(gcs_service_pb2.InternalKVKeysReply.FromString(wire.gcs(at, f"{wire.KV}/InternalKVKeys", request)).results)

    found, said = [], []
    for name, way in (("InternalKVGet", get), ("InternalKVMultiGet", get_many), ("InternalKVKeys", names)):
        try:
            found.append(way())
            said.append(f"{name} answered")
        except grpc.RpcError as error:
            said.append(f"{name} {wire.refusal(error)}")
    return bool(found), "; ".join(said), {"found": found}


def write(key: str, namespace: str, value: str) -> tuple[bool, str]:
    """Overwrite a value of somebody else, then delete another."""
    at = wire.session()
    put = gcs_service_pb2.InternalKVPutRequest(
        key=key.encode(), namespace=namespace.encode(), value=value.encode(), overwrite=True
    )
    delete = gcs_service_pb2.InternalKVDelRequest(key=f"{key}-2".encode(), namespace=namespace.encode())
    refused = []
    for method, request in (("InternalKVPut", put), ("InternalKVDel", delete)):
        try:
            wire.gcs(at, f"{wire.KV}/{method}", request)
        except grpc.RpcError as error:
            refused.append(f"{method} {wire.refusal(error)}")
    return len(refused) < 2, "; ".join(refused) or "written and deleted"


def hoard(size: int) -> tuple[bool, str, dict[str, Any]]:
    """Store much under a key that every node may write: its agent's address."""
    at = wire.session()
    key = f"DASHBOARD_AGENT_ADDR_NODE_ID_PREFIX:{at.node_id}"
    value = b"[" + b" " * size + b"1, 2]"
    put = gcs_service_pb2.InternalKVPutRequest(key=key.encode(), namespace=b"dashboard", value=value, overwrite=True)
    try:
        wire.gcs(at, f"{wire.KV}/InternalKVPut", put, timeout_s=20)
    except grpc.RpcError as error:
        return False, wire.refusal(error), {"key": key}
    return True, "accepted", {"key": key}


def listen(channel: str, look_for: str) -> tuple[bool, str]:
    """Subscribe to a channel and wait for something that is not for this machine."""
    at = wire.session()
    number = getattr(pubsub_pb2, channel)
    said = []
    for service in (OBSERVABILITY, CONTROL_PLANE):
        subscriber = wire.random_id()
        command = pubsub_pb2.Command(channel_type=number, key_id=b"")
        command.subscribe_message.SetInParent()
        batch = gcs_service_pb2.GcsSubscriberCommandBatchRequest(subscriber_id=subscriber, commands=[command])
        heard = 0
        try:
            wire.gcs(at, f"{service}/GcsSubscriberCommandBatch", batch)
            heard, found = _poll(at, service, subscriber, look_for.encode())
        except grpc.RpcError as error:
            said.append(f"{service}: {wire.refusal(error)}")
            continue
        if found:
            return True, f"{service}: heard it among {heard} messages"
        said.append(f"{service}: {heard} messages, not the one looked for")
    return False, "; ".join(said)


def _poll(at: wire.Session, service: str, subscriber: bytes, look_for: bytes) -> tuple[int, bool]:
    deadline = time.monotonic() + LISTEN_S
    heard, last, publisher = 0, 0, b""
    while time.monotonic() < deadline:
        request = gcs_service_pb2.GcsSubscriberPollRequest(
            subscriber_id=subscriber, max_processed_sequence_id=last, publisher_id=publisher
        )
        try:
            raw = wire.gcs(at, f"{service}/GcsSubscriberPoll", request, timeout_s=max(0.5, deadline - time.monotonic()))
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                break
            raise
        reply = gcs_service_pb2.GcsSubscriberPollReply.FromString(raw)
        publisher = reply.publisher_id
        for message in reply.pub_messages:
            heard += 1
            last = max(last, message.sequence_id)
            if look_for in message.SerializeToString():
                return heard, True
    return heard, False
