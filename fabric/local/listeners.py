"""Every port on which the processes of a fabric listen, who can reach it, and what it says to a caller without a credential.

Ray and HAProxy open ports of their own choice, so nothing is believed: each listener is read from the kernel and knocked at.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import httpx
import psutil

from fabric.local.parts import process_title
from fabric.local.processes import Mark

KNOCK_TIMEOUT_S = 2.0
TITLE_LENGTH = 48
HTTP_PATHS = ("/", "/metrics", "/stats")  # HAProxy's own pages are among them
REFUSALS = frozenset({400, 401, 403, 404, 405, 503})

CLOSED = {
    grpc.StatusCode.UNAUTHENTICATED: "without the token",
    grpc.StatusCode.PERMISSION_DENIED: "to a machine that never entered",
}
"""How Ray's servers and the gate turn a stranger away."""

# One harmless method of each of Ray's services: a server that checks tokens answers UNAUTHENTICATED before it looks further.
GRPC_METHODS = (
    "/ray.rpc.NodeInfoGcsService/CheckAlive",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.ObjectManagerService/Pull",
    "/ray.rpc.CoreWorkerService/NumPendingTasks",
    "/ray.rpc.ReporterService/HealthCheck",
    "/ray.rpc.events.EventAggregatorService/AddEvents",
    "/ray.serve.ASGIService/HandleRequest",
)


@dataclass(frozen=True)
class Listener:
    """One listening socket of ours."""

    part: str
    process: str
    address: str
    port: int

    @property
    def exposure(self) -> str:
        """`loopback`, `all interfaces`, or the one address that it is bound to."""
        address = ipaddress.ip_address(self.address.split("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if address.is_unspecified:
            return "all interfaces"
        return "loopback" if address.is_loopback else str(address)

    @property
    def is_of_control(self) -> bool:
        """Whether a part of the control plane listens, not a local machine on offer."""
        return not self.part.startswith("provider-")

    @property
    def dial(self) -> str:
        """host:port at which this machine reaches it."""
        if self.exposure == "all interfaces":
            return f"127.0.0.1:{self.port}"
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Knock:
    """What a listener said to a caller without a credential."""

    is_closed: bool
    said: str


def find_listeners(families: Mapping[str, Sequence[Mark]]) -> list[Listener]:
    """The TCP listeners of these processes, grouped by part; of one port on many loopback addresses only the first address."""
    found: set[Listener] = set()
    for part, marks in families.items():
        for mark in marks:
            try:
                connections = psutil.Process(mark.pid).net_connections(kind="tcp")
            except psutil.Error:
                continue
            title = short_title(process_title(mark.pid))
            found |= {Listener(part, title, c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN}
    in_order = sorted(found, key=lambda one: (one.part, one.port, one.address))
    apart = {(one.part, one.process, one.port, one.exposure): one for one in reversed(in_order)}
    return sorted(apart.values(), key=lambda one: (one.part, one.port, one.address))


def short_title(title: str) -> str:
    """The part of a command line by which people know a process."""
    words = title.split()
    if not words:
        return "?"
    if "-m" in words[:4]:
        return words[words.index("-m") + 1]
    return words[0].rsplit("/", 1)[-1][:TITLE_LENGTH]


def knock_at_all(listeners: Iterable[Listener]) -> dict[Listener, Knock]:
    """Knock at all of them at once."""
    listeners = list(listeners)
    with ThreadPoolExecutor(max_workers=8) as pool:
        return dict(zip(listeners, pool.map(knock, listeners), strict=True))


def knock(listener: Listener) -> Knock:
    """Say hello without a credential, in HTTP and then in gRPC."""
    open_path, status = "", 0
    try:
        for path in HTTP_PATHS:
            status = httpx.get(f"http://{listener.dial}{path}", timeout=KNOCK_TIMEOUT_S, trust_env=False).status_code
            if status not in REFUSALS:
                open_path = path
                break
    except httpx.HTTPError:
        return _knock_in_grpc(listener)
    return Knock(False, f"HTTP {status} to anybody at {open_path}") if open_path else Knock(True, f"HTTP {status} to strangers")


def _knock_in_grpc(listener: Listener) -> Knock:
    statuses = []
    with grpc.insecure_channel(listener.dial) as channel:
        for method in GRPC_METHODS:
            try:
                channel.unary_unary(method)(b"", timeout=KNOCK_TIMEOUT_S)
            except grpc.RpcError as error:
                statuses.append(error.code())
                if error.code() in {grpc.StatusCode.UNAVAILABLE, *CLOSED}:
                    break
            else:
                return Knock(False, f"gRPC answers {method} to anybody")
    for status in statuses:
        if status in CLOSED:
            return Knock(True, f"gRPC {status.name} {CLOSED[status]}")
    names = ", ".join(sorted({status.name for status in statuses}))
    return Knock(False, f"unknown protocol ({names})")
