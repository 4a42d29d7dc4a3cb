"""Every loop of the table does one real turn."""

import pytest
from sqlalchemy import text

from fabric.loops import LOOPS, expire_leases, write_off_silent_machines
from fabric.wiring import Services


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)
async def test_a_turn_with_nothing_to_do_does_nothing(services: Services, loop):
    services.settings.objects_path.mkdir(exist_ok=True)
    assert await loop.act(services) == 0


async def test_a_lease_that_ran_out_goes_back_to_the_queue(services: Services, bench):
    provider, job = await bench.provider(), await bench.job(2)
    await bench.claim(job, provider, 1)
    await bench.overdue_leases(job)
    assert await expire_leases(services) == 1
    shown = await bench.shown(job)
    assert (shown.subtasks_leased, shown.reserved_nanos) == (0, 0)


async def test_a_silent_machine_is_written_off(services: Services, bench):
    await bench.provider()
    async with services.database.transaction() as tx:
        await tx.execute(text("UPDATE providers SET last_heartbeat_at = now() - interval '1 hour'"))
    assert await write_off_silent_machines(services) == 1
