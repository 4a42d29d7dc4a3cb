"""SQL for offers and quotes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, func, insert, select

from fabric.core.ids import ProviderId, QuoteId, UserId
from fabric.db.engine import Reader, Transaction
from fabric.db.tables import providers, quotes, slots, subtasks
from fabric.marketplace.offers import Offer, speed

OFFERS_MAX = 10_000


async def open_offers(reader: Reader) -> list[Offer]:
    """Slots of machines that are online and enabled, cheapest first."""
    busy = exists().where(
        subtasks.c.status == "leased", subtasks.c.provider_id == slots.c.provider_id, subtasks.c.slot == slots.c.slot
    )
    query = (
        select(slots, providers.c.owner_id, providers.c.name, providers.c.labels, providers.c.capabilities, busy.label("is_busy"))
        .join(providers, providers.c.id == slots.c.provider_id)
        .where(providers.c.status == "online", slots.c.enabled)
        .order_by(slots.c.rate_nanos_per_hour, slots.c.provider_id, slots.c.slot)
        .limit(OFFERS_MAX)
    )
    return [
        Offer(
            ProviderId.of(row["provider_id"]), UserId.of(row["owner_id"]), row["name"], row["slot"], row["accelerator"], row["device"],
            row["threads"], row["memory_gib"], row["labels"].get("fabric.region", ""), speed(row["benchmark_runs_per_s"]),
            row["rate_nanos_per_hour"], row["is_busy"], row["capabilities"].get("isolation", "process"),
        )
        for row in (await reader.execute(query)).mappings()
    ]  # fmt: skip


async def insert_quote(
    tx: Transaction,
    quote_id: QuoteId,
    user_id: UserId,
    request: Mapping[str, Any],
    answer: Mapping[str, Any],
    expires_at: datetime,
) -> None:
    """Keep a quote as it was given."""
    await tx.execute(
        insert(quotes).values(id=quote_id, user_id=user_id, request=dict(request), answer=dict(answer), expires_at=expires_at)
    )


async def delete_expired_quotes(tx: Transaction) -> int:
    """Forget quotes that ended more than a day ago; how many."""
    result = await tx.execute(delete(quotes).where(quotes.c.expires_at < func.now() - func.make_interval(0, 0, 0, 1)))
    return result.rowcount
