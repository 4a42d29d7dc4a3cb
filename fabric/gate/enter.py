"""Pure: whether a machine may enter from an address, and what must be given up for that.

A machine shows its key from the address of its node; from then on the address is the machine. An address of 127.64 belongs to
the one machine that was given its number. An address whose machine still lives is nobody else's.
"""

import hmac
import ipaddress
import json
from collections.abc import Callable
from dataclasses import dataclass

from fabric.core.errors import NotFound
from fabric.core.ids import ProviderId
from fabric.gate.config import loopback_host
from fabric.gate.grants import Grant, Grants
from fabric.providers.grants import key_hash

REQUEST_BYTES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """It may: this grant gets the address; that node, if any, is given up first."""

    grant: Grant
    node_given_up: str | None


@dataclass(frozen=True, slots=True)
class Denied:
    """It may not."""

    reason: str
    detail: str


def read_request(request: bytes) -> tuple[ProviderId, str] | None:
    """Who says it is, and its key; None when this is no such request."""
    if len(request) > REQUEST_BYTES_MAX:
        return None
    try:
        said = json.loads(request)
        return ProviderId.parse(str(said["provider_id"])), str(said["gate_key"])
    except (ValueError, KeyError, TypeError, NotFound):
        return None


def has_key(grant: Grant | None, key: str) -> bool:
    """Whether this key opens, in constant time. Nothing opens for a machine that was cut off."""
    return grant is not None and not grant.is_banned and hmac.compare_digest(grant.key_hash, key_hash(key))


def judge(grants: Grants, peer: str, provider_id: ProviderId, key: str, is_alive: Callable[[str], bool]) -> Entry | Denied:
    """Whether this machine may be this address. `is_alive` tells whether a node (hex) lives, as the GCS knows."""
    grant = grants.by_provider.get(provider_id)
    if grant is None or not has_key(grant, key):
        return Denied("key", "unknown machine or wrong key")
    number = grant.loopback_number
    is_local = ipaddress.ip_address(peer).is_loopback
    if is_local and (number is None or peer != loopback_host(number)):
        return Denied("number", f"{peer} was given to another machine")
    other = None if is_local else grants.of_peer(peer)  # who has the number has the address, whoever had it before
    if other is not None and other.provider_id != provider_id and _lives(other, is_alive):
        return Denied("taken", f"{peer} is another machine, which lives")
    moves = grant.peer is not None and grant.peer != peer
    return Entry(grant, grant.node_id if moves else None)


def _lives(grant: Grant, is_alive: Callable[[str], bool]) -> bool:
    return grant.is_fresh or (grant.node_id is not None and is_alive(grant.node_id))
