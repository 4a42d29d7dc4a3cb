"""SQL for offers and quotes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, func, select

from fabric.core.errors import NotFound, QuoteExpired, QuoteUsed
from fabric.core.ids import JobId, ModelVersionId, ProviderId, QuoteId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables import providers, quotes, slots, subtasks
from fabric.marketplace.offers import Offer, speed
from fabric.marketplace.statements import STATEMENTS
from fabric.providers.runtimes import newest_taken

OFFERS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What a quote binds."""

    model_version_id: ModelVersionId
    items: int
    rate_nanos_per_hour_max: int | None  # None: no slot was on offer, and the requestor gave no limit
    hold_nanos: int
    commission_bps: int


@dataclass(frozen=True, slots=True)
class GivenQuote:
    """A quote that a job takes."""

    id: QuoteId
    request: Mapping[str, Any]  # the body that was quoted
    terms: Terms
    created_at: datetime


async def open_offers(reader: Reader) -> list[Offer]:
    """Slots of machines that are online, do not hold back, and are enabled; cheapest first."""
    busy = exists().where(
        subtasks.c.status == "leased", subtasks.c.provider_id == slots.c.provider_id, subtasks.c.slot == slots.c.slot
    )
    query = (
        select(slots, providers.c.owner_id, providers.c.name, providers.c.labels, providers.c.capabilities, busy.label("is_busy"))
        .join(providers, providers.c.id == slots.c.provider_id)
        .where(providers.c.status == "online", providers.c.agent_state["holding"].is_(None), slots.c.enabled)
        .order_by(slots.c.rate_nanos_per_hour, slots.c.provider_id, slots.c.slot)
        .limit(OFFERS_MAX)
    )
    return [
        Offer(
            ProviderId.of(row["provider_id"]), UserId.of(row["owner_id"]), row["name"], row["slot"], row["accelerator"], row["device"],
            row["threads"], row["memory_gib"], row["labels"].get("fabric.region", ""), speed(row["benchmark_runs_per_s"]),
            row["rate_nanos_per_hour"], row["is_busy"], row["capabilities"].get("isolation", "process"), row["is_auto"],
            newest_taken(row["capabilities"]), row["model_rates"],
        )
        for row in (await reader.execute(query)).mappings()
    ]  # fmt: skip


async def insert_quote(
    tx: Transaction,
    quote_id: QuoteId,
    user_id: UserId,
    *,
    request: Mapping[str, Any],
    answer: Mapping[str, Any],
    terms: Terms,
    expires_at: datetime,
) -> None:
    """Keep a quote as it was given, with what it binds."""
    given = {
        "id": quote_id, "user_id": user_id, "request": json.dumps(request), "answer": json.dumps(answer), "expires_at": expires_at,
        "model_version_id": terms.model_version_id, "items": terms.items, "rate_max": terms.rate_nanos_per_hour_max,
        "hold_nanos": terms.hold_nanos, "commission_bps": terms.commission_bps,
    }  # fmt: skip
    await tx.execute(STATEMENTS["insert_quote"], given)


async def take_quote(tx: Transaction, quote_id: QuoteId, user_id: UserId, job_id: JobId) -> GivenQuote:
    """Use a quote up for a job.

    Raises:
        NotFound: there is no such quote, or it was given to somebody else.
        QuoteUsed: it was used before.
        QuoteExpired: its time is over.
    """
    row = (await tx.execute(STATEMENTS["find_quote"], {"id": quote_id, "user_id": user_id})).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no quote {quote_id} of yours.")
    if row["job_id"] is not None:
        raise QuoteUsed(f"{JobId.of(row['job_id'])} was submitted with {quote_id}; ask for another quote.")
    if row["has_expired"]:
        raise QuoteExpired
    await tx.execute(STATEMENTS["use_quote"], {"id": quote_id, "job_id": job_id})
    terms = Terms(
        ModelVersionId.of(row["model_version_id"]), row["items"], row["rate_nanos_per_hour_max"], row["hold_nanos"],
        row["commission_bps"],
    )  # fmt: skip
    return GivenQuote(quote_id, row["request"], terms, row["created_at"])


async def delete_expired_quotes(tx: Transaction) -> int:
    """Forget quotes that ended more than a day ago; how many."""
    result = await tx.execute(delete(quotes).where(quotes.c.expires_at < func.now() - func.make_interval(0, 0, 0, 1)))
    return result.rowcount
