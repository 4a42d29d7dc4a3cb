"""Pure: whether the labels and resources that a node claims are those that enrolment granted.

Both `RegisterNode` and the resource stream carry them, and Ray believes either; so both are held against the same rule.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fabric.gate.grants import Caller

MEMORY_BYTES_MAX = float(1 << 50)
LABEL_CHARACTERS_MAX = 63

NODE_ID_LABEL = "ray.io/node-id"
OWN_LABELS = frozenset({NODE_ID_LABEL, "ray.io/accelerator-type"})
"""Added by Ray itself."""
MEASURED = frozenset({"memory", "object_store_memory"})
"""Resources that Ray measures on each machine; nothing of ours is placed by them."""

Refusal = tuple[str, str]
"""A word for counters, and a sentence for people."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a node says of itself."""

    resources: Mapping[str, float]
    labels: Mapping[str, str]
    node_id: str
    """Hex."""


@dataclass(frozen=True, slots=True)
class NodeClaim:
    """A node wants to be this machine's: no other may have its id, or its ports at the same address."""

    node_id: str
    address: str
    ports: frozenset[int]


@dataclass(frozen=True, slots=True)
class Node:
    """A node as the GCS knows it."""

    node_id: str
    address: str
    ports: frozenset[int]
    is_alive: bool


def conflict_of(claim: NodeClaim, bound: str | None, nodes: Collection[Node], reserved_ports: Collection[int]) -> Refusal | None:
    """Why a node may not be this machine's although its fields are right: it takes what is another's; None when it may.

    `bound` is the machine's present node: it may come again, and its successor may take its ports. `reserved_ports` are those of
    control processes at the claim's address.
    """
    for node in nodes:
        if node.node_id == bound:
            continue
        if node.node_id == claim.node_id:
            return "node_id", f"node {node.node_id} is another's"
        if node.is_alive and node.address == claim.address and node.ports & claim.ports:
            return "ports", f"port {min(node.ports & claim.ports)} is that of node {node.node_id}"
    if taken := claim.ports & set(reserved_ports):
        return "ports", f"port {min(taken)} is a control process's"
    return None


def wrong_with(claimed: Claimed, caller: Caller) -> Refusal | None:
    """What goes beyond the grant; None when nothing does."""
    for name, amount in claimed.resources.items():
        if wrong := _wrong_resource(name, amount, caller):
            return "resources", wrong
    return _wrong_labels(claimed, caller)


def _wrong_resource(name: str, amount: float, caller: Caller) -> str | None:
    if not math.isfinite(amount) or amount < 0:
        return f"{amount} of {name[:80]}"
    if name == f"node:{caller.node_ip}":
        return None if amount <= 1 else f"{amount} of {name}"
    if name in MEASURED:
        return None if amount <= MEMORY_BYTES_MAX else f"{amount} of {name}"
    granted = caller.grant.resources.get(name, 0)
    return None if amount <= granted else f"{amount:g} of {name[:80]} where {granted:g} was granted"


def _wrong_labels(claimed: Claimed, caller: Caller) -> Refusal | None:
    for name, value in caller.grant.labels.items():
        if claimed.labels.get(name) != value:
            return "labels", f"{name} is {str(claimed.labels.get(name))[:80]!r} where {value!r} was granted"
    extra = set(claimed.labels) - set(caller.grant.labels) - OWN_LABELS
    if extra:
        return "labels", f"{min(extra)[:80]} was not granted"
    if any(len(value) > LABEL_CHARACTERS_MAX for value in claimed.labels.values()):
        return "labels", "a label's value is too long"
    if claimed.labels.get(NODE_ID_LABEL, claimed.node_id) != claimed.node_id:
        return "labels", f"{NODE_ID_LABEL} is another node's"
    return None
