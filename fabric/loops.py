"""The table of background loops: name, period, function. Every recurring act of the control plane is listed here.

Each act is one idempotent step on the database's clock, so two clerks that overlap during a deploy do no harm, and a turn that
fails is made up by the next one.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fabric.core.errors import FabricError
from fabric.core.telemetry import logger
from fabric.files import files
from fabric.identity import expiry
from fabric.jobs import finish, queue
from fabric.marketplace import store as marketplace_store
from fabric.providers import presence
from fabric.storage.local import LocalStore
from fabric.wiring import Services

log = logger(__name__)


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


async def write_off_silent_machines(services: Services) -> int:
    """Mark machines offline whose heartbeats stopped."""
    return await presence.mark_offline(services.database)


async def forget_old_credentials(services: Services) -> int:
    """Forget stored answers and refresh tokens that nobody can use any more."""
    return await expiry.forget_expired(services.database)


async def forget_old_quotes(services: Services) -> int:
    """Forget quotes that ended."""
    return await services.database.retrying(marketplace_store.delete_expired_quotes)


async def collect_garbage(services: Services) -> int:
    """Delete objects that no row needs any more, and uploads that were never completed."""
    return await files.collect_garbage(services.database, services.store)


async def sweep_unfinished_uploads(services: Services) -> int:
    """Remove what a crash left half-written in the disk store."""
    return await asyncio.to_thread(services.store.sweep) if isinstance(services.store, LocalStore) else 0


LOOPS: Sequence[Loop] = (
    Loop("expire_leases", 2.0, expire_leases),
    Loop("end_overdue_jobs", 1.0, end_overdue_jobs),
    Loop("write_off_silent_machines", 3.0, write_off_silent_machines),
    Loop("forget_old_credentials", 600.0, forget_old_credentials),
    Loop("forget_old_quotes", 600.0, forget_old_quotes),
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
