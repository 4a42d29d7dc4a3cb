"""SQL: what the gate lets each machine say. Written here by enrolment and removal, read and bound to a node by the gate.

A grant names a machine's labels and resources; the gate adds the address from which the machine entered and the one Ray node
that it accepted. Every change is told on the channel `fabric_gate`, so that the gate acts on it at once.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from fabric.core.errors import Forbidden
from fabric.core.ids import ProviderId
from fabric.db.engine import Reader, Transaction

GATE_CHANNEL = "fabric_gate"
KEY_PREFIX = "fgk_"
LOOPBACK_NUMBERS_MAX = 32

_LOCK_NUMBERS = text("SELECT pg_advisory_xact_lock(hashtextextended('numbers of gate_grants', 0))")

_KEPT_NUMBER = text("SELECT loopback_number FROM gate_grants WHERE provider_id = :id")

_FREE_NUMBER = text(
    """
    SELECT n FROM generate_series(1, :most) AS n
    WHERE NOT EXISTS (SELECT 1 FROM gate_grants WHERE loopback_number = n) ORDER BY n LIMIT 1
    """
)

# All numbers are taken: the machine of this host that has been away for longest gives up its own.
_TAKE_NUMBER = text(
    """
    WITH away AS (
        SELECT g.provider_id, g.loopback_number FROM gate_grants AS g JOIN providers AS p ON p.id = g.provider_id
        WHERE g.loopback_number IS NOT NULL AND p.status IN ('enrolled', 'offline', 'removed')
          AND g.updated_at < now() - interval '1 minute'
        ORDER BY p.last_heartbeat_at NULLS FIRST, g.updated_at LIMIT 1 FOR UPDATE OF g
    )
    UPDATE gate_grants AS g SET loopback_number = NULL, peer = NULL FROM away WHERE g.provider_id = away.provider_id
    RETURNING away.loopback_number
    """
)

_WRITE = text(
    """
    INSERT INTO gate_grants AS g (provider_id, key_hash, loopback_number, labels, resources, updated_at)
    VALUES (:id, :key_hash, :number, CAST(:labels AS jsonb), CAST(:resources AS jsonb), now())
    ON CONFLICT (provider_id) DO UPDATE
    SET key_hash = excluded.key_hash, labels = excluded.labels, resources = excluded.resources, updated_at = now(),
        loopback_number = coalesce(g.loopback_number, excluded.loopback_number)
    WHERE g.banned_at IS NULL
    RETURNING g.loopback_number
    """
)

_REVOKE = text(
    """
    UPDATE gate_grants SET banned_at = coalesce(banned_at, now()), loopback_number = NULL, updated_at = now()
    WHERE provider_id = :id
    """
)

_BOUND = text("SELECT node_id FROM gate_grants WHERE provider_id = :id AND banned_at IS NULL")


def new_key() -> tuple[str, bytes]:
    """A fresh key with which a machine enters, shown once; and what is stored of it."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return key, key_hash(key)


def key_hash(key: str) -> bytes:
    """What is stored of a key. It is random, so one round of SHA-256 is enough."""
    return hashlib.sha256(key.encode()).digest()


async def write_grant(
    tx: Transaction, provider_id: ProviderId, hashed_key: bytes, labels: Mapping[str, str], resources: Mapping[str, Any], *,
    is_local: bool = True,
) -> int | None:  # fmt: skip
    """Grant a machine, or renew what it was granted; the old key is good no more, its address and node stay bound.

    Returns the N of 127.64.0.N, at which a machine of this host (`is_local`) reaches the gate; None for other machines, and when
    every number belongs to a machine that is here.

    Raises:
        Forbidden: the machine was cut off for good.
    """
    number = await _number_for(tx, provider_id) if is_local else None
    values = {"id": provider_id, "key_hash": hashed_key, "number": number}
    row = (await tx.execute(_WRITE, {**values, "labels": _json(labels), "resources": _json(resources)})).one_or_none()
    if row is None:
        raise Forbidden("This machine was cut off.")
    await notify_gate(tx)
    return None if row.loopback_number is None else int(row.loopback_number)


async def revoke(tx: Transaction, provider_id: ProviderId) -> None:
    """Cut a machine off for good: within a second the gate ends its connections and its node. Twice is nothing."""
    await tx.execute(_REVOKE, {"id": provider_id})
    await notify_gate(tx)


async def bound_node(reader: Reader, provider_id: ProviderId) -> str | None:
    """The node (hex) that the gate accepted for this machine; None when there is none."""
    node_id = (await reader.execute(_BOUND, {"id": provider_id})).scalar_one_or_none()
    return None if node_id is None else str(node_id)


async def notify_gate(tx: Transaction) -> None:
    """Have the gate look at its grants once this transaction commits."""
    await tx.execute(text("SELECT pg_notify(:channel, '')"), {"channel": GATE_CHANNEL})


async def _number_for(tx: Transaction, provider_id: ProviderId) -> int | None:
    await tx.execute(_LOCK_NUMBERS)
    kept = (await tx.execute(_KEPT_NUMBER, {"id": provider_id})).scalar_one_or_none()
    if kept is not None:
        return int(kept)
    free = (await tx.execute(_FREE_NUMBER, {"most": LOOPBACK_NUMBERS_MAX})).scalar_one_or_none()
    if free is None:
        free = (await tx.execute(_TAKE_NUMBER)).scalar_one_or_none()
    return None if free is None else int(free)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True)
