"""Where an act comes from: who, from which address, in which request. Kept with sessions and in the audit log."""

import ipaddress
from dataclasses import dataclass, replace

from fabric.core.ids import ApiKeyId, SessionId, UserId
from fabric.identity.access import Principal

DEVICE_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of whoever acts; nothing of it for an act of the fabric itself."""

    address: str | None = None
    device: str | None = None
    request_id: str | None = None
    actor_id: UserId | None = None
    api_key_id: ApiKeyId | None = None
    session_id: SessionId | None = None

    @property
    def network(self) -> str | None:
        """What attempts are counted by: the address, of IPv6 its /64, because one person has so many of those."""
        return network_of(self.address) if self.address else None

    def of(self, principal: Principal) -> "Origin":
        """The same, by somebody known."""
        return replace(self, actor_id=principal.user_id, api_key_id=principal.api_key_id, session_id=principal.session_id)

    def by(self, user_id: UserId) -> "Origin":
        """The same, by somebody who has just proved who they are."""
        return replace(self, actor_id=user_id)


def device_of(user_agent: str | None) -> str | None:
    """What a client calls itself, made safe to show."""
    shown = "".join(c for c in user_agent or "" if c.isprintable()).strip()[:DEVICE_CHARACTERS_MAX]
    return shown or None


def network_of(address: str) -> str:
    """The address itself, or the /64 of an IPv6 one; IPv4 in IPv6 counts as IPv4."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))
