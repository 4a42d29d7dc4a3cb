"""What enrolment granted to a machine, and who is calling, as values.

An address is a machine once that machine entered from it; an address without a grant may only enter.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fabric.core.ids import ProviderId


@dataclass(frozen=True, slots=True)
class Grant:
    """One row of gate_grants."""

    provider_id: ProviderId
    key_hash: bytes
    loopback_number: int | None
    peer: str | None
    node_id: str | None
    """Hex."""
    labels: Mapping[str, str]
    resources: Mapping[str, float]
    is_banned: bool
    is_fresh: bool = False
    """It entered moments ago, so its node may be on the way."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A machine that is calling: its grant, and the address that its node must have."""

    grant: Grant
    node_ip: str

    @property
    def node_id(self) -> bytes:
        """Its node's id; empty while the gate has accepted none."""
        return bytes.fromhex(self.grant.node_id or "")


@dataclass(frozen=True)
class Grants:
    """All grants at one moment, by machine and by address."""

    by_provider: Mapping[ProviderId, Grant] = field(default_factory=dict)
    by_peer: Mapping[str, Grant] = field(default_factory=dict)

    @classmethod
    def of(cls, grants: Iterable[Grant]) -> "Grants":
        """Those that were read."""
        known = {grant.provider_id: grant for grant in grants}
        return cls(known, {g.peer: g for g in known.values() if g.peer is not None and not g.is_banned})

    def of_peer(self, peer: str) -> Grant | None:
        """The machine that this address is; None when it is nobody's."""
        return self.by_peer.get(peer)

    def of_node(self, node_id: str) -> Grant | None:
        """The machine whose node this is."""
        return next((grant for grant in self.by_provider.values() if grant.node_id == node_id), None)

    def replaced(self, grant: Grant) -> "Grants":
        """The same, with one grant as it is now; whoever had its address has it no more."""
        others = (g for g in self.by_provider.values() if g.provider_id != grant.provider_id)
        return Grants.of([*(g for g in others if g.peer is None or g.peer != grant.peer), grant])
