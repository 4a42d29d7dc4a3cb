"""What the gate's process is told: addresses, folders and the cluster's token file; no secret among it.

The database's URL comes from the settings (FABRIC_HOME, or FABRIC_DATABASE_APP_URL), as for every other control process.
"""

import ipaddress
import json
from dataclasses import asdict, dataclass
from pathlib import Path

LOOPBACK_NUMBERS = range(1, 33)
"""The N of 127.64.0.N: identities of machines on the control node itself, whose source address says nothing."""


def loopback_host(number: int) -> str:
    """The address at which exactly one enrolled machine of this host reaches the gate."""
    return f"127.64.0.{number}"


def proxy_environment(outward_port: int) -> dict[str, str]:
    """What makes Ray's processes go through the gate for everything that is not on loopback."""
    return {
        "RAY_grpc_enable_http_proxy": "1",
        "grpc_proxy": f"http://127.0.0.1:{outward_port}",
        "no_grpc_proxy": "127.0.0.1,localhost",
    }


@dataclass(frozen=True)
class GateConfig:
    """One gate. `write` it, then run `python -m fabric.gate.run <path>`; it prints `ready` when it listens."""

    gcs_address: str
    """host:port of the GCS, on loopback."""
    token_file: str
    """Holds the cluster's token; read again when it changes."""
    folder: str
    """Of this gate alone, mode 0700: HAProxy's configuration and the sockets between the two."""
    control_socket: str
    """Answers `fabric.gate.control.ask`: FABRIC_HOME/run/gate.sock."""
    port: int
    """Listened on at 127.64.0.1 … 127.64.0.32, and at `host`."""
    host: str | None = None
    """The outer address; None: machines of this host only."""
    allow_plaintext: bool = False
    """Whether `host` may be an address of a plain interface: nothing that passes the gate is encrypted by it."""
    local_node_ip: str = "127.0.0.1"
    """What a machine of this host must register as its node's address."""
    outward_port: int | None = None
    """On loopback: through here control processes ask machines elsewhere; None: there are none."""
    reserved_ports: tuple[int, ...] = ()
    """Ports of control processes on this host: no node of this host may claim one as its own."""

    def write(self, path: Path) -> None:
        """Store for the gate's process."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "GateConfig":
        """What `write` stored; relative paths are those of its folder."""
        values = json.loads(path.read_text())
        paths = {name: str(path.parent / values[name]) for name in ("token_file", "folder", "control_socket")}
        return cls(**{**values, **paths, "reserved_ports": tuple(values.get("reserved_ports", ()))})

    def listen_addresses(self) -> list[str]:
        """Each host:port at which machines reach the gate."""
        hosts = [loopback_host(number) for number in LOOPBACK_NUMBERS]
        if self.host is not None:
            hosts.insert(0, self.host)
        return [f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}" for host in hosts]

    def node_ip(self, peer: str) -> str:
        """The address that a node must register when the gate sees its machine as `peer`."""
        return self.local_node_ip if ipaddress.ip_address(peer).is_loopback else peer
