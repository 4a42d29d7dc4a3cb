"""Reads the facts from which `jobs.idle` tells why a machine earns nothing."""

from datetime import timedelta
from uuid import UUID

from fabric.billing import wallet
from fabric.core import clock
from fabric.core.settings import BillingSettings
from fabric.db.engine import Reader
from fabric.jobs import queue
from fabric.jobs.idle import IdleFacts
from fabric.jobs.statements import STATEMENTS
from fabric.marketplace import prices, store
from fabric.providers.store import Provider

DAY = timedelta(days=1)


async def read_idle_facts(reader: Reader, machine: Provider, billing: BillingSettings) -> IdleFacts:
    """Everything at this moment: the machine's last day, its market, and the jobs that the planner sees."""
    since_id = UUID(int=int((clock.now() - DAY).timestamp() * 1000) << 80)
    values = {"provider_id": machine.id, "owner_id": machine.owner_id, "since_id": since_id}
    day = (await reader.execute(STATEMENTS["machine_day"], values)).one()
    others = (
        await reader.execute(STATEMENTS["jobs_of_others"], {"owner_id": machine.owner_id, "since_id": since_id})
    ).scalar_one()
    return IdleFacts(
        machine,
        await store.open_offers(reader),
        (await prices.present(reader, billing)).table,
        await queue.open_jobs(reader),
        int(others),
        day.paid,
        day.own,
        day.missed,
        day.error_code,
        (await wallet.balance(reader, machine.owner_id)).earned_pending_nanos,
    )
