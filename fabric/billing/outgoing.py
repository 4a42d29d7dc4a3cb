"""Calls to the payment service that move something: remembered, with their key and body, before they are made.

A call is made outside any transaction. When its answer is lost, the same key makes the same thing; after a day, when the payment
service may have forgotten the key, it is looked up first.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from fabric.billing.gateway import GatewayRefused
from fabric.billing.named_sql import STATEMENTS
from fabric.core.errors import IdempotencyMismatch
from fabric.db.engine import Database

Made = TypeVar("Made")

KEY_LIFE_S = 23 * 3600.0
"""A key is trusted for so long; payment services keep them for 24 hours."""


async def make_once(
    database: Database,
    key: str,
    body: Mapping[str, Any],
    make: Callable[[str], Awaitable[Made]],
    find: Callable[[], Awaitable[Made | None]],
    id_of: Callable[[Made], str],
) -> Made:
    """Make something at the payment service, or find what was made under this key before.

    Args:
        database: Remembers the call, in transactions of its own.
        key: Made of the business fact, so that a crash cannot forget it.
        body: Everything that is asked; the same key with another body is a mistake of ours.
        make: Makes it, given the key.
        find: Looks for it, when the key is too old to be trusted.
        id_of: The id of what was made.

    Raises:
        GatewayRefused: for certain nothing was made.
        PaymentsUnavailable: nothing is known; ask again later.
        IdempotencyMismatch: the key was used with another body.
    """
    body_hash = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
    values = {"key": key, "route": key.partition(":")[0], "body_hash": body_hash}
    async with database.transaction() as tx:
        known = (await tx.execute(STATEMENTS["note_call"], values)).one()
    if bytes(known.body_hash) != body_hash:
        raise IdempotencyMismatch(f"The call {key} was made before with another body.")
    if known.refusal is not None:
        raise GatewayRefused(known.refusal)
    made = await find() if float(known.age_s) > KEY_LIFE_S else None
    try:
        made = made or await make(key)
    except GatewayRefused as refusal:
        await _note(database, key, None, str(refusal) or "refused")
        raise
    await _note(database, key, id_of(made), None)
    return made


async def key_after_refusals(database: Database, key: str) -> str:
    """The key for something that is made once: what was refused for certain may be asked for again under the next number.

    Without that a refusal would be remembered for good, also when its cause has been mended.
    """
    async with database.reading() as reader:
        refused = int((await reader.execute(STATEMENTS["refused_calls"], {"prefix": key})).scalar_one())
    return key if refused == 0 else f"{key}:{refused + 1}"


async def _note(database: Database, key: str, answer: str | None, refusal: str | None) -> None:
    async with database.transaction() as tx:
        await tx.execute(STATEMENTS["note_answer"], {"key": key, "answer": answer, "refusal": refusal})
