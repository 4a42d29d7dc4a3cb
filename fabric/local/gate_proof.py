"""Proves that the gate is in force: tries, with the cluster's own token, what must fail, and what must work.

An attempt proves something only if it was refused as forbidden; silence does not. It is made as a machine that never entered and as
each local machine, because on this host whoever reaches a machine's address at the gate is that machine.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from fabric.gate.config import LOOPBACK_NUMBERS, GateConfig, loopback_host
from fabric.gate.control import ask
from fabric.gate.methods import GET_CLUSTER_ID, KV_PUT, REGISTER_NODE, UNREGISTER_NODE
from fabric.local.home import Home

GET_NEXT_JOB_ID = "/ray.rpc.JobInfoGcsService/GetNextJobID"
ASK_TIMEOUT_S = 5.0
FORBIDDEN = grpc.StatusCode.PERMISSION_DENIED
NODE_ID_BYTES = 28


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something that no machine may do."""

    what: str
    path: str
    request: bytes
    undo: Callable[["Caller"], None] | None = None
    """Should it succeed: what to ask of the GCS itself."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What one caller was told."""

    who: str
    address: str
    holds: bool
    said: str
    needed: str = "PERMISSION_DENIED"


class Caller:
    """Somebody who knows the cluster's token and one address."""

    def __init__(self, address: str, token: str, cluster_id: str = "") -> None:
        """Nothing is sent yet."""
        self.address = address
        self._metadata = [("authorization", f"Bearer {token}"), *([("ray_cluster_id", cluster_id)] if cluster_id else [])]

    def call(self, path: str, request: bytes = b"") -> bytes | grpc.StatusCode:
        """The reply, or the status of a refusal."""
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(self.address, options=options) as channel:
            try:
                return bytes(channel.unary_unary(path)(request, timeout=ASK_TIMEOUT_S, metadata=self._metadata))
            except grpc.RpcError as error:
                status: grpc.StatusCode = error.code()
                return status


def prove(home: Home, token: str, outer_address: str | None) -> Iterator[Proof]:
    """Try everything, as everybody that this machine can be; `outer_address` is the gate's for machines elsewhere.

    Raises:
        OSError: no gate answers.
    """
    config = GateConfig.read(home.run / "gate.json")
    peers: Mapping[str, Mapping[str, Any]] = ask(home.run / "gate.sock", "status")["peers"]
    gcs = Caller(config.gcs_address, token)
    cluster_id = _cluster_id(gcs.call(GET_CLUSTER_ID))
    yield _prove_attempts_are_good(Caller(config.gcs_address, token, cluster_id))
    machines = {facts["peer"]: provider for provider, facts in peers.items()}
    places = [loopback_host(number) for number in LOOPBACK_NUMBERS]
    free = [place for place in places if place not in machines]
    strangers = [("a machine that never entered", f"{free[-1]}:{config.port}")] if free else []
    if outer_address is not None and outer_address.rpartition(":")[0].strip("[]") not in machines:
        strangers.append(("a machine that never entered, from outside", outer_address))
    for who, address in strangers:
        yield try_as(who, Caller(address, token, cluster_id), [*attempts(config), HELLO], gcs)
    for place in places:
        if place in machines:
            yield try_as(machines[place], Caller(f"{place}:{config.port}", token, cluster_id), attempts(config), gcs)


HELLO = Attempt("ask for the cluster's id", GET_CLUSTER_ID, b"")
"""What machines may do, and nobody else."""


def attempts(config: GateConfig) -> list[Attempt]:
    """What neither a machine nor anybody else may do."""
    from ray.core.generated import gcs_pb2, gcs_service_pb2

    node_id = os.urandom(NODE_ID_BYTES)
    node = gcs_pb2.GcsNodeInfo(
        node_id=node_id, node_manager_address=config.local_node_ip, node_manager_port=_unused_port(),
        object_manager_port=_unused_port(), node_name=config.local_node_ip, state=gcs_pb2.GcsNodeInfo.ALIVE,
        labels={"fabric.role": "control"},
    )  # fmt: skip
    write = gcs_service_pb2.InternalKVPutRequest(key=b"fabric-doctor", value=b"-", overwrite=True, namespace=b"fabric-doctor")
    gone = gcs_service_pb2.UnregisterNodeRequest(node_id=node_id)

    def unregister(gcs: Caller) -> None:
        gcs.call(UNREGISTER_NODE, gone.SerializeToString())

    return [
        Attempt("start a driver", GET_NEXT_JOB_ID, b""),
        Attempt("write the cluster's store", KV_PUT, write.SerializeToString()),
        Attempt(
            "register as fabric.role=control", REGISTER_NODE,
            gcs_service_pb2.RegisterNodeRequest(node_info=node).SerializeToString(), unregister,
        ),
    ]  # fmt: skip


def try_as(who: str, caller: Caller, tries: Sequence[Attempt], gcs: Caller) -> Proof:
    """Try each as this caller; what succeeds by mistake is undone at `gcs`."""
    refused, wrong = [], []
    for attempt in tries:
        said = caller.call(attempt.path, attempt.request)
        if said == FORBIDDEN:
            refused.append(attempt.what)
        elif isinstance(said, bytes):
            wrong.append(f"could {attempt.what}")
            if attempt.undo is not None:
                attempt.undo(gcs)
        else:
            wrong.append(f"{attempt.what}: {said.name}, which proves nothing")
    said_of_all = f"{who} may not {', '.join(refused)}" if not wrong else f"{who} {'; '.join(wrong)}"
    return Proof(who, caller.address, not wrong, said_of_all)


def _prove_attempts_are_good(gcs: Caller) -> Proof:
    """The same call that the gate refuses is answered by the GCS itself, so it is the gate that refuses."""
    said = gcs.call(GET_NEXT_JOB_ID)
    holds = isinstance(said, bytes)
    found = "the GCS itself does what the gate refuses" if holds else f"the GCS itself says {said.name}, so nothing is proved"  # type: ignore[union-attr]
    return Proof("a control process", gcs.address, holds, found, "an answer, else the refusals prove nothing")


def _cluster_id(said: bytes | grpc.StatusCode) -> str:
    from ray.core.generated import gcs_service_pb2

    if not isinstance(said, bytes):
        return ""
    return str(gcs_service_pb2.GetClusterIdReply.FromString(said).cluster_id.hex())


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
