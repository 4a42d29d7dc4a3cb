"""SQL: grants as the gate reads them, and what it binds to them: an address, a node."""

from sqlalchemy import text

from fabric.core.ids import ProviderId
from fabric.db.engine import Reader, Transaction
from fabric.gate.grants import Grant

FRESH_S = 30.0

# Banned machines are read only until what is left of them was cleared away.
_READ = text(
    """
    SELECT provider_id, key_hash, loopback_number, peer, node_id, labels, resources, banned_at IS NOT NULL AS is_banned,
           coalesce(entered_at > now() - make_interval(secs => :fresh_s), false) AS is_fresh
    FROM gate_grants WHERE banned_at IS NULL OR peer IS NOT NULL OR node_id IS NOT NULL
    """
)

_VACATE = text("UPDATE gate_grants SET peer = NULL, updated_at = now() WHERE peer = :peer AND provider_id <> :id")

_BIND_PEER = text(
    """
    UPDATE gate_grants
    SET peer = :peer, entered_at = now(), updated_at = now(), node_id = CASE WHEN peer = :peer THEN node_id END
    WHERE provider_id = :id AND key_hash = :key_hash AND banned_at IS NULL
    """
)

_BIND_NODE = text(
    "UPDATE gate_grants SET node_id = :node_id, updated_at = now() WHERE provider_id = :id AND peer = :peer AND banned_at IS NULL"
)

_UNBIND_NODE = text("UPDATE gate_grants SET node_id = NULL, updated_at = now() WHERE provider_id = :id AND node_id = :node_id")

_CLEAR = text("UPDATE gate_grants SET peer = NULL, node_id = NULL WHERE provider_id = :id AND banned_at IS NOT NULL")


async def read_grants(reader: Reader) -> list[Grant]:
    """All grants, and the banned ones that still have an address or a node."""
    rows = (await reader.execute(_READ, {"fresh_s": FRESH_S})).mappings()
    return [
        Grant(
            ProviderId.of(r["provider_id"]), bytes(r["key_hash"]), r["loopback_number"], r["peer"], r["node_id"], r["labels"],
            r["resources"], r["is_banned"], r["is_fresh"],
        )
        for r in rows
    ]  # fmt: skip


async def bind_peer(tx: Transaction, grant: Grant, peer: str) -> bool:
    """This address is this machine from now on, and nobody else; False when the grant changed meanwhile."""
    await tx.execute(_VACATE, {"peer": peer, "id": grant.provider_id})
    values = {"peer": peer, "id": grant.provider_id, "key_hash": grant.key_hash}
    return bool((await tx.execute(_BIND_PEER, values)).rowcount)


async def bind_node(tx: Transaction, grant: Grant, node_id: str) -> bool:
    """This node is this machine's one; False when it was cut off or moved meanwhile."""
    values = {"node_id": node_id, "id": grant.provider_id, "peer": grant.peer}
    return bool((await tx.execute(_BIND_NODE, values)).rowcount)


async def unbind_node(tx: Transaction, provider_id: ProviderId, node_id: str) -> None:
    """The machine's node left."""
    await tx.execute(_UNBIND_NODE, {"id": provider_id, "node_id": node_id})


async def clear_banned(tx: Transaction, provider_id: ProviderId) -> None:
    """Nothing is left of a machine that was cut off."""
    await tx.execute(_CLEAR, {"id": provider_id})
