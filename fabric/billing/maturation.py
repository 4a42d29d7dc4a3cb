"""When earnings may be paid out: after the time in which a bad result is found, sooner for machines with a good record."""

from datetime import datetime, timedelta

from fabric.billing import flows
from fabric.billing.named_sql import STATEMENTS
from fabric.core.ids import ProviderId, UserId
from fabric.core.settings import BillingSettings
from fabric.db.engine import Database

CLAWBACK_MEMORY = 3
"""A clawback spoils a record for so many times the span of a good one."""


def window(now: datetime, earning_since: datetime, last_clawback_at: datetime | None, billing: BillingSettings) -> timedelta:
    """How long what a machine earns stays within the dispute window."""
    span = timedelta(days=billing.good_record_days)
    is_good = now - earning_since >= span and (last_clawback_at is None or now - last_clawback_at >= CLAWBACK_MEMORY * span)
    return timedelta(days=min(billing.maturation_days, billing.maturation_days_good) if is_good else billing.maturation_days)


async def mature_earnings(database: Database, billing: BillingSettings) -> int:
    """Let the earnings of every machine mature that are old enough; returns for how many machines there were some."""
    async with database.reading() as reader:
        machines = (await reader.execute(STATEMENTS["machines_that_earn"])).all()
    matured = 0
    for row in machines:
        before = row.now - window(row.now, row.earning_since, row.last_clawback_at, billing)
        provider_id, owner_id = ProviderId.of(row.id), UserId.of(row.owner_id)
        done = await database.retrying(
            lambda tx, provider_id=provider_id, owner_id=owner_id, before=before: flows.mature(tx, provider_id, owner_id, before)  # type: ignore[misc]
        )
        matured += done.matured_nanos > 0
    return matured
