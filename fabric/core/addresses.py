"""Networks named in settings, and who a caller is behind proxies that are believed."""

import ipaddress
from collections.abc import Sequence

from fabric.core.errors import Invalid

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
HOPS_MAX = 20


def networks(text: str) -> tuple[Network, ...]:
    """Addresses or networks, separated by commas.

    Raises:
        Invalid: one is none.
    """
    found = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(ipaddress.ip_network(word, strict=False))
        except ValueError:
            raise Invalid(f"{word!r} is no address or network") from None
    return tuple(found)


def is_within(address: str, trusted: Sequence[Network]) -> bool:
    """Whether the address is in one of the networks."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed.version == network.version and parsed in network for network in trusted)


def caller_address(peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str | None:
    """Who calls: `peer`, unless that is a trusted proxy; then whom it names, and so on towards the caller.

    Args:
        peer: Who the connection came from.
        forwarded_for: The X-Forwarded-For headers in their order. What a stranger wrote there is to the left of what a proxy adds.
        trusted: Our own proxies.
    """
    hops = [hop.strip() for header in forwarded_for for hop in header.split(",")][-HOPS_MAX:]
    present = peer
    while present is not None and is_within(present, trusted) and hops:
        named = hops.pop()
        if named == present:  # a proxy between has noted the peer itself
            continue
        try:
            present = str(ipaddress.ip_address(named.removeprefix("[").removesuffix("]")))
        except ValueError:
            break  # our proxies write addresses: this was written by somebody else
    return present
