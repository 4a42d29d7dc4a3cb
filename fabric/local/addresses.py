"""Under which addresses a fabric listens and is reached, and what must be said before it listens beyond this machine."""

import ipaddress
import socket
from dataclasses import dataclass

from fabric.core.errors import Invalid

BOUNDARY = """\
Listening on {host} lets other machines join, and a machine that joins becomes a node of one Ray cluster. Until the boundary
around that cluster is built, such a machine can run code on this one: Ray trusts every node that holds its token. Jobs and
models cannot do that, machines can. If you trust every machine that you will let join, say so with --trust-providers."""


@dataclass(frozen=True)
class Addresses:
    """Where the endpoint listens, and the address that others are given."""

    host: str
    """What the endpoint binds."""
    advertised: str
    """How machines reach this one: requestors, and providers for Ray and for objects."""

    @property
    def local(self) -> str:
        """How this machine itself reaches what listens on `host`."""
        return "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host

    @property
    def is_loopback(self) -> bool:
        """Whether nothing but this machine can reach it."""
        return is_loopback(self.host)


def choose_addresses(host: str, *, trust_providers: bool) -> Addresses:
    """Check where the endpoint shall listen.

    Raises:
        Invalid: beyond loopback without trust in every machine that joins, or no address of this machine.
    """
    if is_loopback(host):
        return Addresses("127.0.0.1" if host == "localhost" else host, "127.0.0.1")
    if not trust_providers:
        raise Invalid(BOUNDARY.format(host=host))
    return Addresses(host, primary_address() if host in {"0.0.0.0", "::"} else host)


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def primary_address() -> str:
    """This machine's address on the way to elsewhere; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
