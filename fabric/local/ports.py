"""The ports of one fabric: free ones, below the range that the kernel hands out, kept over restarts while they stay free.

Ports of the kernel's own range could be taken by any outgoing connection while a part restarts.
"""

import random
import socket
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

HTTP_DEFAULT = 8700
FIRST, LAST = 14_000, 31_900  # below Linux' ephemeral range (32768 …)
REPLICA_PORTS = 60


@dataclass(frozen=True)
class Ports:
    """Every port that we choose; the others are the kernel's choice and loopback only."""

    http: int
    serve: int
    """Ray Serve's own HAProxy, on loopback, behind the front."""
    objects: int
    gcs: int
    gate: int
    """What providers reach instead of the GCS."""
    outward: int
    """On loopback: through it control processes reach providers' machines."""
    haproxy_stats: int
    haproxy_metrics: int
    serve_fallback: int
    replicas_first: int
    """The first of 60 ports, one of which each HTTP replica takes."""

    def as_dict(self) -> dict[str, int]:
        """For run/ports.json."""
        return asdict(self)

    def all(self) -> list[int]:
        """Every single one of them."""
        chosen = self.as_dict()
        first = chosen.pop("replicas_first")
        return [*chosen.values(), *range(first, first + REPLICA_PORTS)]


class Reservations:
    """Ports that one fabric has chosen and does not listen on yet; another one that starts now must choose others.

    Each is an abstract socket name: like a port it belongs to the machine, it is no file, and it ends with its process.
    """

    def __init__(self) -> None:
        """Reserve nothing yet."""
        self._sockets: list[socket.socket] = []

    def take(self, port: int) -> bool:
        """Whether the port is now ours, as far as other fabrics are concerned."""
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(f"\0fabric-port-{port}")
        except OSError:
            name.close()
            return False
        self._sockets.append(name)
        return True

    def release(self) -> None:
        """Let go of all of them."""
        while self._sockets:
            self._sockets.pop().close()


def choose_ports(
    before: Mapping[str, Any], reservations: Reservations, *, host: str, http: int = 0, gate: int | None = None
) -> Ports:
    """Free ports: those of the last run where they are still free. `http` 0 takes 8700 or the next free port.

    Raises:
        OSError: the port that was asked for, HTTP's or the gate's, is taken.
    """
    if http and not is_free(http, host):
        raise OSError(f"port {http} on {host} is taken; choose another one with --port")
    if gate and not is_free(gate):
        raise OSError(f"port {gate} is taken; choose another one for the gate with FABRIC_RAY_GATE_PORT")
    taken: set[int] = set()

    def take(candidates: Iterable[int], count: int = 1, host: str = "") -> int:
        for first in candidates:
            block = range(first, first + count)
            is_usable = not taken.intersection(block) and all(is_free(port, host) for port in block)
            if is_usable and reservations.take(first):
                taken.update(block)
                return first
        raise OSError("no free port was found")

    def single(name: str) -> int:
        candidates = [int(before[name])] if name in before else []
        return take([*candidates, *random.sample(range(FIRST, LAST), 500)])

    http_candidates = [http] if http else [int(before.get("http", HTTP_DEFAULT)), *range(HTTP_DEFAULT, HTTP_DEFAULT + 200)]
    block = [int(before["replicas_first"])] if "replicas_first" in before else []
    return Ports(
        http=take(http_candidates, host=host),
        serve=single("serve"),
        objects=single("objects"),
        gcs=single("gcs"),
        gate=take([gate]) if gate else single("gate"),
        outward=single("outward"),
        haproxy_stats=single("haproxy_stats"),
        haproxy_metrics=single("haproxy_metrics"),
        serve_fallback=single("serve_fallback"),
        replicas_first=take([*block, *random.sample(range(FIRST, LAST - REPLICA_PORTS), 500)], REPLICA_PORTS),
    )


def is_free(port: int, host: str = "") -> bool:
    """Whether a server could listen on this port now, on `host` or (when empty) on every interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT of the last run does not matter
        try:
            probe.bind((host if host not in ("0.0.0.0", "::") else "", port))
            probe.listen(1)
        except OSError:
            return False
    return True
