"""The table of background loops: name, period, function. Every recurring act of the control plane is listed here.

Each act is one idempotent step on the database's clock, so two clerks that overlap during a deploy do no harm, and a turn that
fails is made up by the next one.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fabric.billing import automatic_top_ups, maturation, payouts, reconcile, refunds, top_ups, webhooks
from fabric.core import clock
from fabric.core.errors import FabricError
from fabric.core.telemetry import logger
from fabric.files import files
from fabric.identity import expiry
from fabric.jobs import backlog, finish, queue, retention
from fabric.mail import outbox
from fabric.marketplace import store as marketplace_store
from fabric.marketplace.demand import SAMPLE_PERIOD_S
from fabric.providers import presence
from fabric.storage.local import LocalStore
from fabric.webhooks import outbox as webhook_outbox
from fabric.wiring import Services

log = logger(__name__)

RECONCILE_DAYS = 7  # `fabric ledger reconcile --days 0` looks at everything


@dataclass(frozen=True, slots=True)
class Loop:
    """A recurring act. `act` does one turn and says how much there was to do."""

    name: str
    period_s: float
    act: Callable[[Services], Awaitable[Any]]


async def expire_leases(services: Services) -> int:
    """Return subtasks whose lease ran out to the queue: their slot, or the dispatcher, is gone."""
    attempts_max = services.settings.dispatch.attempts_max
    return len(await services.database.retrying(lambda tx: queue.expire(tx, attempts_max=attempts_max)))


async def end_overdue_jobs(services: Services) -> int:
    """Fail jobs whose deadline has passed, and release their holds."""
    return len(await services.database.retrying(finish.expire_deadlines))


async def expire_results(services: Services) -> int:
    """Warn of results that will go soon, and delete those that were kept for long enough."""
    return await retention.expire_results(services.database, services.settings)


async def write_off_silent_machines(services: Services) -> int:
    """Mark machines offline whose heartbeats stopped."""
    return await presence.mark_offline(services.database)


async def forget_old_credentials(services: Services) -> int:
    """Forget stored answers and refresh tokens that nobody can use any more."""
    return await expiry.forget_expired(services.database)


async def send_mails(services: Services) -> int:
    """Send mails that are due."""
    return await outbox.deliver(services.database, services.mailer)


async def send_webhooks(services: Services) -> int:
    """Tell users' webhooks what happened to their jobs."""
    return await webhook_outbox.deliver(services.database, services.settings)


async def forget_old_webhook_deliveries(services: Services) -> int:
    """Forget what webhooks were told long ago."""
    return await webhook_outbox.forget_old(services.database, services.settings.webhooks.kept_days)


async def forget_old_quotes(services: Services) -> int:
    """Forget quotes that ended."""
    return await services.database.retrying(marketplace_store.delete_expired_quotes)


async def follow_demand(services: Services) -> int:
    """Let suggested prices, and the slots that follow them, move one bounded step towards what queue and idle slots say."""
    return await backlog.follow_demand(services.database, services.settings.billing)


async def collect_garbage(services: Services) -> int:
    """Delete objects that no row needs any more, and uploads that were never completed."""
    return await files.collect_garbage(services.database, services.store)


async def sweep_unfinished_uploads(services: Services) -> int:
    """Remove what a crash left half-written in the disk store."""
    return await asyncio.to_thread(services.store.sweep) if isinstance(services.store, LocalStore) else 0


async def advance_payouts(services: Services) -> int:
    """Take payouts one step further: to their owner's account, to the bank, or back."""
    return await payouts.advance_payouts(services.database, services.payouts)


async def advance_refunds(services: Services) -> int:
    """Send refunds, and see what became of them."""
    return await refunds.advance_refunds(services.database, services.payouts)


async def mature_earnings(services: Services) -> int:
    """Let earnings whose dispute window has passed be paid out."""
    return await maturation.mature_earnings(services.database, services.settings.billing)


async def pay_weekly(services: Services) -> int:
    """Make this week's payouts for owners who are paid every week."""
    return await payouts.pay_weekly(services.database, services.settings.billing)


async def act_on_events(services: Services) -> int:
    """Act upon what the payment service has told."""
    return 0 if services.cards is None else await webhooks.handle_events(services.database, services.cards)


async def look_at_silent_payments(services: Services) -> int:
    """Read payments again that began and of which nothing was heard."""
    return 0 if services.cards is None else await top_ups.look_at_silent_payments(services.database, services.cards)


async def fetch_missed_events(services: Services) -> int:
    """Fetch what no webhook has brought, and see whether banks have sent money back."""
    if services.cards is None:
        return 0
    await webhooks.look_at_paid_payouts(services.database, services.cards)
    return await webhooks.fetch_missed_events(services.database, services.cards)


async def top_up_automatically(services: Services) -> int:
    """Charge saved payment methods for wallets that are short and whose owners want that."""
    return 0 if services.cards is None else await automatic_top_ups.top_up_short_wallets(services.database, services.cards)


async def reconcile_with_payments(services: Services) -> int:
    """Compare the ledger with the payment service; differences are logged as errors, and nothing is mended."""
    if services.cards is None:
        return 0
    since = clock.now() - timedelta(days=RECONCILE_DAYS)
    report = await reconcile.reconcile(services.database, services.cards, since=since)
    for difference in report.differences:
        log.error("books_differ", kind=difference.kind, there=difference.there, here=difference.here,
                  there_nanos=difference.there_nanos, here_nanos=difference.here_nanos)  # fmt: skip
    return len(report.differences)


LOOPS: Sequence[Loop] = (
    Loop("expire_leases", 2.0, expire_leases),
    Loop("end_overdue_jobs", 1.0, end_overdue_jobs),
    Loop("expire_results", 300.0, expire_results),
    Loop("write_off_silent_machines", 3.0, write_off_silent_machines),
    Loop("advance_payouts", 5.0, advance_payouts),
    Loop("advance_refunds", 5.0, advance_refunds),
    Loop("mature_earnings", 600.0, mature_earnings),
    Loop("pay_weekly", 600.0, pay_weekly),
    Loop("act_on_events", 1.0, act_on_events),
    Loop("look_at_silent_payments", 120.0, look_at_silent_payments),
    Loop("top_up_automatically", 15.0, top_up_automatically),
    Loop("fetch_missed_events", 900.0, fetch_missed_events),
    Loop("reconcile_with_payments", 3600.0, reconcile_with_payments),
    Loop("send_mails", 1.0, send_mails),
    Loop("send_webhooks", 1.0, send_webhooks),
    Loop("forget_old_webhook_deliveries", 600.0, forget_old_webhook_deliveries),
    Loop("forget_old_credentials", 600.0, forget_old_credentials),
    Loop("forget_old_quotes", 600.0, forget_old_quotes),
    Loop("follow_demand", SAMPLE_PERIOD_S, follow_demand),
    Loop("collect_garbage", 30.0, collect_garbage),
    Loop("sweep_unfinished_uploads", 3600.0, sweep_unfinished_uploads),
)


async def run_loops(services: Services, loops: Sequence[Loop] = LOOPS) -> None:
    """Run all of them until cancelled. A turn that fails is logged and made up by the next one."""
    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(_run(loop, services), name=loop.name)


async def _run(loop: Loop, services: Services) -> None:
    while True:
        try:
            if done := await loop.act(services):
                log.info("loop_turn", loop=loop.name, done=done)
        except FabricError as error:
            log.warning("loop_turn_failed", loop=loop.name, error=error.code)
        except Exception:
            log.exception("loop_turn_failed", loop=loop.name)
        await asyncio.sleep(loop.period_s * random.uniform(0.9, 1.1))
