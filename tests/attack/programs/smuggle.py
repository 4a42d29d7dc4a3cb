"""Attacks on the reading of calls: forbidden calls dressed so that one reader sees another call than the next."""

from collections.abc import Callable
from typing import Any

import grpc
from ray.core.generated import gcs_pb2, gcs_service_pb2

from tests.attack.programs import wire

PUT = "/ray.rpc.InternalKVGcsService/InternalKVPut"
REGISTER = "/ray.rpc.NodeInfoGcsService/RegisterNode"


def value(key: str, value: str, other: str) -> tuple[bool, str]:
    """Put a forbidden value by every disguise; `other` is somebody else's address."""
    at = wire.session()
    bad = gcs_service_pb2.InternalKVPutRequest(key=key.encode(), value=value.encode(), overwrite=True, namespace=b"canary")
    good = gcs_service_pb2.InternalKVPutRequest(
        key=b"DASHBOARD_AGENT_ADDR_IP_PREFIX:" + at.address.encode(), value=b"[1, 2]", overwrite=True, namespace=b"dashboard"
    )
    bad_bytes, good_bytes = bad.SerializeToString(), good.SerializeToString()
    padding = b"\x7a" + b"\x80\x80\x04" + b"\x00" * 65536  # an unknown field that fills buffers
    ways: list[tuple[str, Callable[[], Any]]] = [
        ("as it is", lambda: wire.call(at.gcs, PUT, bad_bytes, token=at.token)),
        ("compressed", lambda: wire.call(at.gcs, PUT, bad_bytes, token=at.token, compression=grpc.Compression.Gzip)),
        ("compressed (deflate)", lambda: wire.call(at.gcs, PUT, bad_bytes, token=at.token, compression=grpc.Compression.Deflate)),
        ("fields twice, the allowed first", lambda: wire.call(at.gcs, PUT, good_bytes + bad_bytes, token=at.token)),
        ("fields twice, the allowed last", lambda: wire.call(at.gcs, PUT, bad_bytes + good_bytes, token=at.token)),
        ("behind 64 KiB", lambda: wire.call(at.gcs, PUT, good_bytes + padding + bad_bytes, token=at.token)),
        ("two messages, the allowed first", lambda: _stream(at, PUT, [good_bytes, bad_bytes])),
        ("two messages, the allowed last", lambda: _stream(at, PUT, [bad_bytes, good_bytes])),
        ("as another's", lambda: _as_other(at, PUT, bad_bytes, other)),
    ]
    for path in ("/ray.rpc.InternalKVGcsService/./InternalKVPut", "//ray.rpc.InternalKVGcsService/InternalKVPut", f"{PUT}?", f"{PUT}/",
                 "/ray.rpc.InternalKVGcsService/%49nternalKVPut", "/ray.rpc.NodeInfoGcsService/GetClusterId/../../ray.rpc.InternalKVGcsService/InternalKVPut",
                 "http://gcs/ray.rpc.InternalKVGcsService/InternalKVPut", f"{PUT}#/ray.rpc.NodeInfoGcsService/GetClusterId"):  # fmt: skip
        ways.append((path, lambda p=path: _raw_path(at, p, bad_bytes)))
    return _all(ways)


def registration(other: str) -> tuple[bool, str, dict[str, Any]]:
    """Register as a control node by every disguise of the labels."""
    at = wire.session()
    own = wire.own_node(at)
    honest = gcs_pb2.GcsNodeInfo()
    honest.CopyFrom(own)
    honest.node_id = wire.random_id()
    honest.labels["ray.io/node-id"] = honest.node_id.hex()
    false = gcs_pb2.GcsNodeInfo()
    false.CopyFrom(honest)
    false.labels["fabric.role"] = "control"
    good = gcs_service_pb2.RegisterNodeRequest(node_info=honest).SerializeToString()
    bad = gcs_service_pb2.RegisterNodeRequest(node_info=false).SerializeToString()
    only = gcs_service_pb2.RegisterNodeRequest(
        node_info=gcs_pb2.GcsNodeInfo(labels={"fabric.role": "control"})
    ).SerializeToString()
    ways: list[tuple[str, Callable[[], Any]]] = [
        ("compressed", lambda: wire.call(at.gcs, REGISTER, bad, token=at.token, compression=grpc.Compression.Gzip)),
        ("label again in a second part", lambda: wire.call(at.gcs, REGISTER, good + only, token=at.token)),
        ("label in a first part", lambda: wire.call(at.gcs, REGISTER, only + good, token=at.token)),
        ("two messages", lambda: _stream(at, REGISTER, [good, bad])),
        ("as another's", lambda: _as_other(at, REGISTER, bad, other)),
    ]
    done, said = _all(ways)
    return done, said, {"node_id": honest.node_id.hex()}


def _all(ways: list[tuple[str, Callable[[], Any]]]) -> tuple[bool, str]:
    """Every way is tried: what was answered proves nothing, the effect does."""
    answered, refused = [], {}
    for name, way in ways:
        try:
            way()
            answered.append(name)
        except (grpc.RpcError, ValueError) as error:
            code = error.code().name if isinstance(error, grpc.RpcError) else "never sent"
            refused.setdefault(code, []).append(name)
    said = [f"{len(names)} {code}" for code, names in refused.items()]
    return bool(answered), f"{len(ways)} disguises: {'; '.join(said)}" + (
        f"; answered: {', '.join(answered)}" if answered else ""
    )


def _stream(at: wire.Session, path: str, messages: list[bytes]) -> bytes:
    with grpc.insecure_channel(at.gcs, options=wire.UNLIMITED) as channel:
        metadata = wire.credentials(at.token)
        return bytes(channel.stream_unary(path)(iter(messages), metadata=metadata, timeout=wire.CALL_S))


def _as_other(at: wire.Session, path: str, body: bytes, other: str) -> bytes:
    headers = [("x-fabric-peer", other), ("x-forwarded-for", other), ("forwarded", f"for={other}"), ("x-real-ip", other)]
    return wire.call(at.gcs, path, body, token=at.token, metadata=headers)


def _raw_path(at: wire.Session, path: str, body: bytes) -> bytes:
    with grpc.insecure_channel(at.gcs, options=wire.UNLIMITED) as channel:
        return bytes(channel.unary_unary(path)(body, metadata=wire.credentials(at.token), timeout=wire.CALL_S))
