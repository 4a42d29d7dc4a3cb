"""Under which addresses a fabric listens and is reached, and what must be said before it listens beyond this machine."""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from fabric.core.errors import Invalid
from fabric.core.settings import StorageSettings
from fabric.gate.config import LOOPBACK_NUMBERS
from fabric.gate.tunnels import Interface, plain_way

BOUNDARY = """\
Listening on {host} lets other machines join, and without the gate (--no-gate, FABRIC_RAY_GATE) a machine that joins can run code
on this one: Ray trusts every node that holds its token. Jobs and models cannot do that, machines can. Leave the gate on, or, if you
trust every machine that you will let join, say so with --trust-providers."""

IN_CLEAR = """\
Listening on {host} without TLS would send API keys, join tokens and signed URLs over the network in clear. Give a certificate with
--tls-cert FILE --tls-key FILE, or try --tls self-signed, which others trust by its fingerprint. If the network is encrypted already
(WireGuard), say so with --allow-plaintext."""
MACHINES_IN_CLEAR = """\
Machines would reach {what} at {way}. What Ray and a machine say to each other there is not encrypted: the cluster's token, with which
others could speak in that machine's place, the keys of machines, small inputs and results. Give the gate an address of a tunnel
(WireGuard, Tailscale) with --gate-host ADDRESS, or let in machines of this host only with --gate-host 127.0.0.1. If that network is
encrypted all the same, or all of that may be read by whoever is on it, say so with --allow-plaintext."""
ENDPOINT_IS_NOT_OUT = """\
--gate-host {gate} is beyond loopback and --host {host} is not: machines that reach the gate must reach the endpoint too."""
STORE_IN_CLEAR = """\
{variable} is {url}: what is stored there, and the signatures that open it, would cross the network in clear. Use https://, or say with
--allow-plaintext that the network is encrypted already."""


@dataclass(frozen=True)
class Addresses:
    """Where the endpoint listens, and the address that others are given."""

    host: str
    """What the endpoint binds."""
    advertised: str
    """How machines reach this one: requestors, and providers for objects and the gate."""
    is_gated: bool = True
    """Whether providers reach Ray through the gate only."""
    gate_host: str | None = None
    """Where the gate listens for machines elsewhere; None: for none."""

    @property
    def local(self) -> str:
        """How this machine itself reaches what listens on `host`."""
        return "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host

    @property
    def ray(self) -> str:
        """Where all of Ray's servers on the control node listen: behind the gate nobody else needs to reach them."""
        return "127.0.0.1" if self.is_gated or self.is_loopback else self.advertised

    @property
    def gate_advertised(self) -> str | None:
        """Under which address machines elsewhere are told of the gate."""
        return primary_address() if self.gate_host in {"0.0.0.0", "::"} else self.gate_host

    @property
    def is_loopback(self) -> bool:
        """Whether nothing but this machine can reach it."""
        return is_loopback(self.host)


def choose_addresses(host: str, *, trust_providers: bool, is_gated: bool = True, gate_host: str | None = None) -> Addresses:
    """Check where the endpoint shall listen, and the gate for machines elsewhere (`gate_host`; None: beside the endpoint).

    Raises:
        Invalid: beyond loopback with neither the gate nor trust in every machine that joins, or the gate without the endpoint.
    """
    outer_gate = host if gate_host is None else gate_host
    if is_loopback(outer_gate) or not is_gated:
        outer_gate = ""
    if is_loopback(host) and outer_gate:
        raise Invalid(ENDPOINT_IS_NOT_OUT.format(gate=outer_gate, host=host))
    if is_loopback(host):
        address = "127.0.0.1" if host == "localhost" else host
        return Addresses(address, address, is_gated)
    if not (is_gated or trust_providers):
        raise Invalid(BOUNDARY.format(host=host))
    return Addresses(host, primary_address() if host in {"0.0.0.0", "::"} else host, is_gated, outer_gate or None)


def check_machine_count(count: int, *, is_gated: bool) -> None:
    """Each machine of the control node needs a place of its own at the gate.

    Raises:
        Invalid: there are not so many.
    """
    if is_gated and count > len(LOOPBACK_NUMBERS):
        raise Invalid(
            f"At most {len(LOOPBACK_NUMBERS)} machines can join on the control node itself; --providers {count} is more."
        )


def host_and_port(host: str, port: int) -> str:
    """Both in one word; an IPv6 address gets its brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_encryption(addresses: Addresses, *, is_encrypted: bool, allow_plaintext: bool) -> None:
    """Credentials leave this machine encrypted, or somebody has said that they need not be.

    Raises:
        Invalid: others would reach the endpoint without TLS.
    """
    if not (addresses.is_loopback or is_encrypted or allow_plaintext):
        raise Invalid(IN_CLEAR.format(host=addresses.host))


def check_machines_encryption(addresses: Addresses, interfaces: Sequence[Interface], *, allow_plaintext: bool) -> None:
    """What Ray says to machines elsewhere goes through a tunnel, or somebody has said that it need not.

    Raises:
        Invalid: the gate (without one, Ray itself) would listen on a plain interface.
    """
    way = machines_way(addresses, interfaces)
    if way and not allow_plaintext:
        raise Invalid(MACHINES_IN_CLEAR.format(what="the gate" if addresses.is_gated else "Ray", way=way))


def machines_way(addresses: Addresses, interfaces: Sequence[Interface]) -> str | None:
    """In words, over what plain interface machines elsewhere would speak with Ray; None: they cannot, or through a tunnel."""
    reached = addresses.gate_host if addresses.is_gated else addresses.ray
    return plain_way(reached, interfaces) if reached else None


def check_store_encryption(settings: StorageSettings, *, allow_plaintext: bool) -> None:
    """The same for object storage that is not behind the endpoint.

    Raises:
        Invalid: a store beyond loopback is reached without TLS.
    """
    for variable, url in (
        ("FABRIC_STORAGE_PUBLIC_URL", settings.public_url),
        ("FABRIC_STORAGE_ENDPOINT_URL", settings.endpoint_url),
    ):
        parts = urlsplit(url or "")
        if parts.scheme == "http" and not is_loopback(parts.hostname or "") and not allow_plaintext:
            raise Invalid(STORE_IN_CLEAR.format(variable=variable, url=url))


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
