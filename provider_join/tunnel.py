"""Whether what this machine sends to an address leaves it through a tunnel, or in clear.

Ray's traffic is encrypted by the network or not at all. A tunnel is a WireGuard interface, or one whose packets a program takes
(wireguard-go, Tailscale, OpenVPN); where that cannot be found out, nothing is taken for one.
"""

import contextlib
import ipaddress
import socket
from pathlib import Path

import psutil

SYS = Path("/sys/class/net")
ARPHRD_NONE = 65534
"""The kernel's type of an interface whose packets have no header of a link."""
IFF_TUN = 0x1


def plain_way(address: str, sys: Path = SYS) -> str | None:
    """In words, the plain interface through which this machine reaches `address` (host:port); None: a tunnel, or it stays here."""
    host = address.rpartition(":")[0].strip("[]")
    here = _own_address(host)
    if here is None:
        return "an unknown way"
    if ipaddress.ip_address(here).is_loopback or _leads_to(host, here):
        return None
    for name, addresses in psutil.net_if_addrs().items():
        if here in {facts.address.partition("%")[0] for facts in addresses}:
            return None if is_tunnel(name, sys) else f"{name}, which is no tunnel"
    return f"{here}, an address of no interface"


def is_tunnel(name: str, sys: Path = SYS) -> bool:
    """Whether an interface of this machine is one."""
    kind, hardware, flags = (_read(sys / name / file) for file in ("uevent", "type", "tun_flags"))
    if "DEVTYPE=wireguard" in kind.splitlines():
        return True
    return hardware == str(ARPHRD_NONE) and flags != "" and bool(int(flags, 16) & IFF_TUN)


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text().strip()
    return ""


def _own_address(host: str) -> str | None:
    """This machine's address on the way there; nothing is sent."""
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(place)
            return str(probe.getsockname()[0]).partition("%")[0]
    except OSError:
        return None


def _leads_to(host: str, here: str) -> bool:
    """Whether the way there is none: it starts at the very address where it ends."""
    with contextlib.suppress(OSError):
        return here in {str(facts[4][0]) for facts in socket.getaddrinfo(host, None)}
    return False
