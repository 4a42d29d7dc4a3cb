"""One transaction: priced, held, written, told; or nothing at all."""

import numpy as np
import psycopg
import pytest

from fabric.codecs.tensor import json_of_tensor
from fabric.core.errors import InsufficientFunds, RateLimited
from fabric.core.ids import JobId, UserId
from fabric.core.settings import Settings
from fabric.db.tables import events, subtasks
from fabric.files import files
from fabric.jobs import store
from fabric.jobs.job import InputSpec, Job, JobSpec
from fabric.jobs.resolve import resolve_job
from fabric.jobs.submit import price_job, submit_job
from fabric.storage.local import LocalStore
from tests.fixtures.jobs import RATE, Workbench, completion_of

X = np.arange(200, dtype=np.float32).reshape(100, 2)
USD = 1_000_000_000


@pytest.fixture
def submit(bench: Workbench, disk_store: LocalStore, settings: Settings):
    async def submit(owner: UserId | None = None, model: str = "m", limits: dict | None = None, **changes) -> Job:
        tuned = settings if limits is None else settings.model_copy(update={"limits": settings.limits.model_copy(update=limits)})
        spec = JobSpec(model=model, inputs=(InputSpec("x", tensor=json_of_tensor("x", X)),), request={"a": 1}, **changes)
        owner = owner or bench.owner
        resolved = await resolve_job(bench.database, disk_store, tuned, owner, spec)
        async with bench.database.transaction() as tx:
            return await submit_job(tx, owner, spec, resolved, settings=tuned, request_id="req_1")

    return submit


async def test_a_submitted_job_is_queued_split_held_and_told(bench: Workbench, submit, app_url: str):
    await bench.provider()
    before = await bench.balance("requestor:*:available", bench.owner)
    async with await psycopg.AsyncConnection.connect(app_url, autocommit=True) as listener:
        await listener.execute("LISTEN fabric_dispatch")
        job = await submit()
        told = [n.payload async for n in listener.notifies(timeout=5, stop_after=1)]
    assert told == ["jobs"]
    assert (job.status, job.items_total, job.model, job.request_id) == ("queued", 100, "m:1", "req_1")
    rows = await bench.rows(subtasks, job.id)
    assert len(rows) == job.subtasks_total >= 12
    assert [(row["position"], row["item_start"]) for row in rows] == [
        (n, sum(r["item_count"] for r in rows[:n])) for n in range(len(rows))
    ]
    assert sum(row["item_count"] for row in rows) == 100
    assert (
        job.held_nanos
        == await bench.balance("job:*:hold", job.id)
        == before - await bench.balance("requestor:*:available", bench.owner)
    )
    (event,) = await bench.rows(events, job.id)
    assert (event["seq"], event["type"]) == (1, "job.queued")


async def test_the_hold_is_what_the_quote_said(bench: Workbench, submit, settings: Settings):
    await bench.provider(rate=3 * RATE)
    spec = JobSpec(model="m", inputs=(), request={})
    async with bench.database.reading() as reader:
        quote = await price_job(reader, bench.owner, spec, items=100, item_us=10_000.0, settings=settings)
    assert (await submit()).held_nanos == quote.hold_nanos > quote.price_nanos_max > 0


async def test_the_hold_of_a_job_with_a_budget_is_the_budget(bench: Workbench, submit):
    assert (await submit(budget_nanos=5 * USD)).held_nanos == 5 * USD


async def test_too_little_credit_writes_nothing(bench: Workbench, submit):
    poor = await bench.user(credit=USD)
    await bench.model(poor, name="mine")
    with pytest.raises(InsufficientFunds):
        await submit(poor, model="mine", budget_nanos=USD + 1)
    async with bench.database.reading() as reader:
        assert await store.list_jobs(reader, poor, before=None, limit=10) == []
    assert await bench.balance("requestor:*:available", poor) == USD
    assert (await submit(poor, model="mine", budget_nanos=USD)).held_nanos == USD


async def test_a_job_is_accepted_when_nobody_offers_a_slot_and_when_all_are_too_dear(bench: Workbench, submit):
    nobody = await submit()
    assert nobody.status == "queued" and nobody.held_nanos > 0
    await bench.provider(rate=1000 * RATE)
    modest = await submit(rate_nanos_per_hour_max=RATE)
    assert modest.status == "queued" and 0 < modest.held_nanos <= nobody.held_nanos
    assert modest.rate_nanos_per_hour_max == RATE


async def test_slots_that_do_not_suit_the_job_do_not_make_it_dearer(bench: Workbench, settings: Settings):
    await bench.provider(rate=RATE)
    await bench.provider(rate=1000 * RATE, accelerator="cuda", resource="fabric_cuda")

    async def price(**requirements):
        spec = JobSpec(model="m", inputs=(), request={}, requirements=requirements)
        async with bench.database.reading() as reader:
            return await price_job(reader, bench.owner, spec, items=100, item_us=10_000.0, settings=settings)

    assert (await price(accelerator=["cpu"])).price_nanos_max < (await price()).price_nanos_max
    assert (await price(accelerator=["npu"])).slots_matching == 0
    assert (await price()).slots_matching == 2


async def test_slots_with_too_little_memory_for_the_model_are_counted_but_not_priced(bench: Workbench, settings: Settings):
    await bench.provider(rate=RATE, memory_gib=1.0)
    await bench.provider(rate=1000 * RATE, memory_gib=16.0)

    async def price(memory_bytes: int):
        spec = JobSpec(model="m", inputs=(), request={})
        async with bench.database.reading() as reader:
            return await price_job(
                reader, bench.owner, spec, items=100, item_us=10_000.0, settings=settings, memory_bytes=memory_bytes
            )

    small, large, huge = [await price(gib * 2**30) for gib in (1, 8, 64)]
    assert [(q.slots_matching, q.slots_too_small) for q in (small, large, huge)] == [(2, 0), (1, 1), (0, 2)]
    assert large.price_nanos_min > small.price_nanos_min
    assert huge.seconds_expected is None


async def test_the_hold_of_a_job_looks_only_at_slots_that_its_model_fits(bench: Workbench, submit):
    await bench.provider(rate=1000 * RATE, memory_gib=1.0)
    await bench.model(name="large", memory_bytes=8 * 2**30)
    assert (await submit(model="large")).held_nanos < (await submit()).held_nanos


async def test_on_own_machines_alone_a_job_holds_nothing(bench: Workbench, submit):
    mine = await bench.provider(bench.owner)
    job = await submit(own_machines=True)
    assert job.held_nanos == 0
    leased = await bench.claim(job.id, mine, 100, rate_nanos_per_hour=0)
    await bench.settle([completion_of(lease) for lease in leased])
    assert (await bench.shown(job.id)).status == "succeeded"


async def test_the_number_of_unfinished_jobs_is_limited(bench: Workbench, submit):
    first = await submit(limits={"jobs_open_max": 1})
    with pytest.raises(RateLimited):
        await submit(limits={"jobs_open_max": 1})
    await bench.run(first.id, await bench.provider())
    assert (await submit(limits={"jobs_open_max": 1})).status == "queued"


async def test_an_array_laid_out_anew_becomes_a_file_of_its_owner(bench: Workbench, disk_store: LocalStore, settings: Settings):
    async def incoming():
        yield files.FileStart("x.json", "application/json")
        yield b'{"datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}'

    received = await files.receive_upload(bench.database, disk_store, incoming(), size_max=1000, files_max=1)
    async with bench.database.transaction() as tx:
        (file,) = await files.record_upload(tx, bench.owner, received)
    spec = JobSpec(model="m", inputs=(InputSpec("x", (file.id,)),), request={})
    resolved = await resolve_job(bench.database, disk_store, settings, bench.owner, spec)
    async with bench.database.transaction() as tx:
        await submit_job(tx, bench.owner, spec, resolved, settings=settings, request_id="req_1")
    async with bench.database.reading() as reader:
        listed = await files.list_files(reader, bench.owner, before=None, limit=10)
    assert resolved.inputs["x"]["parts"][0]["key"] in {entry.object_key for entry in listed} != {file.object_key}


async def test_jobs_are_listed_to_their_owner_only_newest_first(bench: Workbench, submit):
    first, second = await submit(), await submit()
    await bench.run(first.id, await bench.provider())
    async with bench.database.reading() as reader:
        assert [job.id for job in await store.list_jobs(reader, bench.owner, before=None, limit=10)] == [second.id, first.id]
        assert [job.id for job in await store.list_jobs(reader, bench.owner, before=second.id, limit=10)] == [first.id]
        done = await store.list_jobs(reader, bench.owner, before=None, limit=10, wanted=store.JobFilter(status="succeeded"))
        assert [job.id for job in done] == [first.id]
        assert await store.list_jobs(reader, UserId.new(), before=None, limit=10) == []
        assert first.id == JobId.of(first.id)
