"""Pure but for one reader: which network interfaces are tunnels, and over which plain one an address would be reached in clear.

What Ray says to a machine is not encrypted by anybody but the network. A WireGuard interface is (by DEVTYPE), and so is what a program
behind a TUN device makes of it (wireguard-go, Tailscale, OpenVPN). PPP is not counted: most of it is a plain line to a provider.
"""

import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

SYS = Path("/sys/class/net")
EVERY_ADDRESS = frozenset({"0.0.0.0", "::", "*", ""})
ARPHRD_NONE = 65534
"""The kernel's type of an interface whose packets have no header of a link."""
IFF_TUN = 0x1
"""Set in the flags of a device whose packets are a program's; a TAP device (0x2) is a cable of virtual machines."""


@dataclass(frozen=True, slots=True)
class Interface:
    """What the kernel says about one."""

    name: str
    addresses: frozenset[str]
    kind: str = ""
    """Its DEVTYPE, such as `wireguard`; most have none."""
    hardware: int = 1
    tun_flags: int = 0


def is_tunnel(interface: Interface) -> bool:
    """Whether what goes over it is meant to be encrypted on the way."""
    return interface.kind == "wireguard" or (interface.hardware == ARPHRD_NONE and bool(interface.tun_flags & IFF_TUN))


def plain_way(host: str, interfaces: Sequence[Interface]) -> str | None:
    """In words, what of a listener on `host` is neither loopback nor a tunnel; None when nothing is."""
    if host in EVERY_ADDRESS:
        return "every interface"
    for address in sorted(_addresses(host) or {host}):
        if _is_loopback(address):
            continue
        owner = next((one for one in interfaces if address in one.addresses), None)
        if owner is None:
            return f"{address}, an address of no interface of this machine"
        if not is_tunnel(owner):
            return f"{address} on {owner.name}, which is no tunnel"
    return None


def interfaces(sys: Path = SYS) -> list[Interface]:
    """Those of this machine, as the kernel describes them; where it does not (no sysfs), none looks like a tunnel."""
    return [
        Interface(name, frozenset(facts.address.partition("%")[0] for facts in addresses), **_described(sys / name))
        for name, addresses in psutil.net_if_addrs().items()
    ]


def _described(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError):
        lines = dict(line.split("=", 1) for line in (folder / "uevent").read_text().splitlines() if "=" in line)
        found["kind"] = lines.get("DEVTYPE", "")
    with contextlib.suppress(OSError, ValueError):
        found["hardware"] = int((folder / "type").read_text())
    with contextlib.suppress(OSError, ValueError):
        found["tun_flags"] = int((folder / "tun_flags").read_text(), 16)
    return found


def _addresses(host: str) -> set[str]:
    try:
        return {str(facts[4][0]).partition("%")[0] for facts in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return set()


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
