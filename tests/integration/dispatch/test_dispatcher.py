"""The dispatcher's shell with everything real but Ray: Postgres, the object server, the actor's own code."""

import asyncio
import threading
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import select, text

from fabric.actors.provider_actor import ProviderActor
from fabric.core.ids import ModelId
from fabric.db.tables import attempts, model_versions
from fabric.jobs import finish
from fabric.providers import presence
from tests.fixtures.dispatcher import DispatchBench, an_honest_actor
from tests.fixtures.hostile_actors import BombError
from tests.fixtures.jobs import RATE
from tests.fixtures.onnx_models import identity


def rows_of(count: int, width: int = 4) -> np.ndarray:
    return np.arange(count * width, dtype=np.float32).reshape(count, width)


class Gate:
    """Makes actors that begin an order only when the gate is open."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.reached = asyncio.Event()

    def actor(self, spec: Any) -> Any:
        gate = self

        class GatedActor(ProviderActor):
            async def run(self, frame: bytes) -> bytes:
                gate.reached.set()
                while not gate.opened.is_set():
                    await asyncio.sleep(0.01)
                return await super().run(frame)

        return GatedActor(spec.execution_provider, spec.threads)


class HostileActor(ProviderActor):
    """Pings like an honest one, and answers orders with a bomb."""

    canary = ""

    async def run(self, frame: bytes) -> bytes:
        raise BombError(self.canary)


async def test_a_job_is_run_in_order_and_every_subtask_is_paid_once(dispatch_bench: DispatchBench):
    provider = await dispatch_bench.machine()
    dispatch_bench.dispatch()
    rows = rows_of(300)
    job = await dispatch_bench.ended(await dispatch_bench.job(rows))
    assert (job.status, job.items_done, job.subtasks_done) == ("succeeded", 300, 300)
    np.testing.assert_array_equal(await dispatch_bench.outputs(job.id), 2 * rows + 1)
    assert job.captured_nanos > 0
    assert job.captured_nanos + job.released_nanos == job.held_nanos
    earned = await dispatch_bench.bench.balance("provider:*:pending", provider)
    assert earned == job.captured_nanos - job.commission_nanos


async def test_all_slots_of_all_machines_share_a_job(dispatch_bench: DispatchBench):
    providers = {await dispatch_bench.machine(slots=2), await dispatch_bench.machine()}
    dispatch_bench.dispatch(order_target_s=0.01)
    job = await dispatch_bench.ended(await dispatch_bench.job(rows_of(400), per_subtask=4))
    used = {(row["provider_id"], row["slot"]) for row in await dispatch_bench.bench.rows(attempts, job.id)}
    assert {provider_id for provider_id, _ in used} == providers
    assert len(used) == 3


async def test_inputs_and_outputs_that_are_too_large_to_ride_along_go_through_the_store(dispatch_bench: DispatchBench):
    width = 40_000
    spec = {"dtype": "float32", "shape": [None, width]}
    await dispatch_bench.model(identity(width), inputs={"x": spec}, outputs={"y": spec}, output_bytes_item=4 * width)
    await dispatch_bench.machine()
    dispatch_bench.dispatch()
    rows = rows_of(8, width)
    job = await dispatch_bench.ended(await dispatch_bench.job(rows, per_subtask=2))
    assert job.status == "succeeded"
    np.testing.assert_array_equal(await dispatch_bench.outputs(job.id), rows)


async def test_a_job_on_ones_own_machine_costs_and_earns_nothing(dispatch_bench: DispatchBench):
    mine = await dispatch_bench.machine(owner=dispatch_bench.bench.owner)
    dispatch_bench.dispatch()
    job = await dispatch_bench.ended(await dispatch_bench.job(rows_of(20), own_machines=True))
    assert (job.status, job.captured_nanos) == ("succeeded", 0)
    assert await dispatch_bench.bench.balance("provider:*:pending", mine) == 0


async def test_a_job_waits_and_says_why_until_a_machine_joins(dispatch_bench: DispatchBench):
    dispatch_bench.dispatch()
    job_id = await dispatch_bench.job(rows_of(5))
    await dispatch_bench.until(job_id, lambda job: job.waiting_reason == "no_capacity")
    await dispatch_bench.machine()
    job = await dispatch_bench.ended(job_id)
    assert (job.status, job.waiting_reason) == ("succeeded", None)


async def test_a_model_waits_for_a_machine_with_the_memory_that_it_was_measured_to_take(dispatch_bench: DispatchBench):
    spec = {"dtype": "float32", "shape": [None, 4]}
    await dispatch_bench.model(identity(), inputs={"x": spec}, outputs={"y": spec}, memory_bytes=8 * 2**30)
    small = await dispatch_bench.machine(memory_gib=4.0)
    dispatch_bench.dispatch()
    job_id = await dispatch_bench.job(rows_of(5))
    await dispatch_bench.until(job_id, lambda job: job.waiting_reason == "slot_memory")
    large = await dispatch_bench.machine(memory_gib=16.0)
    assert (await dispatch_bench.ended(job_id)).status == "succeeded"
    assert await dispatch_bench.bench.balance("provider:*:pending", large) > 0
    assert await dispatch_bench.bench.balance("provider:*:pending", small) == 0


async def test_a_model_with_a_rate_of_its_own_is_billed_at_it_and_one_that_is_refused_waits(dispatch_bench: DispatchBench):
    machine = await dispatch_bench.machine()
    async with dispatch_bench.bench.database.reading() as reader:
        query = select(model_versions.c.model_id).where(model_versions.c.id == dispatch_bench.bench.version)
        model_id = str(ModelId.of((await reader.execute(query)).scalar_one()))

    async def asks(rate: int | str) -> None:
        async with dispatch_bench.bench.database.transaction() as tx:
            changes = presence.Changes(models=((None, model_id, rate),))
            await presence.change(tx, dispatch_bench.bench.lender, machine, changes)

    await asks("refuse")
    dispatch_bench.dispatch()
    job_id = await dispatch_bench.job(rows_of(5))
    await dispatch_bench.until(job_id, lambda job: job.waiting_reason == "no_capacity")
    await asks(3 * RATE)
    assert (await dispatch_bench.ended(job_id)).status == "succeeded"
    assert {row["rate_nanos_per_hour"] for row in await dispatch_bench.bench.rows(attempts, job_id)} == {3 * RATE}


async def test_a_model_waits_for_a_machine_whose_runtime_takes_it(dispatch_bench: DispatchBench):
    async def says(statement: str, **values: Any) -> None:
        async with dispatch_bench.bench.database.transaction() as tx:
            await tx.execute(text(statement), values)
        await dispatch_bench.wake("slots")

    facts = "UPDATE providers SET capabilities = jsonb_build_object('onnxruntime_version', CAST(:version AS text)) WHERE id = :id"
    newer = (
        "UPDATE model_versions SET inspection = inspection || jsonb_build_object('opset', 26, 'ir_version', 10) WHERE id = :id"
    )
    await says(newer, id=dispatch_bench.bench.version)
    machine = await dispatch_bench.machine()
    await says(facts, id=machine, version="1.24.4")
    dispatch_bench.dispatch()
    job_id = await dispatch_bench.job(rows_of(5))
    await dispatch_bench.until(job_id, lambda job: job.waiting_reason == "needs ONNX Runtime ≥ 1.25")
    await says(facts, id=machine, version="1.31.1")
    assert (await dispatch_bench.ended(job_id)).status == "succeeded"


async def test_a_machine_that_dies_mid_subtask_is_not_paid_and_another_finishes(dispatch_bench: DispatchBench):
    gate = Gate()
    dying = await dispatch_bench.machine(actor=gate.actor)
    dispatch_bench.dispatch()
    job_id = await dispatch_bench.job(rows_of(60))
    await gate.reached.wait()
    other = await dispatch_bench.machine()
    dispatch_bench.lose(dying)
    gate.opened.set()
    job = await dispatch_bench.ended(job_id)
    assert job.status == "succeeded"
    np.testing.assert_array_equal(await dispatch_bench.outputs(job_id), 2 * rows_of(60) + 1)
    paid = {row["provider_id"] for row in await dispatch_bench.bench.rows(attempts, job_id) if row["outcome"] == "done"}
    lost = {row["provider_id"] for row in await dispatch_bench.bench.rows(attempts, job_id) if row["outcome"] == "lost"}
    assert (paid, lost) == ({other}, {dying})


async def test_a_hostile_answer_is_not_read_not_paid_and_the_job_goes_elsewhere(dispatch_bench: DispatchBench, tmp_path):
    HostileActor.canary = str(tmp_path / "canary")
    hostile = await dispatch_bench.machine(actor=lambda spec: HostileActor(spec.execution_provider, spec.threads))
    await dispatch_bench.machine()
    dispatch_bench.dispatch()
    job = await dispatch_bench.ended(await dispatch_bench.job(rows_of(100)))
    assert job.status == "succeeded"
    assert await dispatch_bench.bench.balance("provider:*:pending", hostile) == 0
    assert not (tmp_path / "canary").exists()


async def test_a_model_that_cannot_be_loaded_ends_the_job_with_the_last_error(dispatch_bench: DispatchBench):
    spec = {"dtype": "float32", "shape": [None, 4]}
    await dispatch_bench.model(b"this is no model", inputs={"x": spec}, outputs={"y": spec}, output_bytes_item=16)
    await dispatch_bench.machine()
    dispatch_bench.dispatch(attempts_max=2)
    job = await dispatch_bench.ended(await dispatch_bench.job(rows_of(5)))
    assert (job.status, job.error_code, job.captured_nanos) == ("failed", "attempts_exhausted", 0)
    assert job.released_nanos == job.held_nanos


async def test_a_cancelled_job_frees_its_slot_and_a_late_receipt_is_not_charged(dispatch_bench: DispatchBench):
    gate = Gate()
    await dispatch_bench.machine(actor=gate.actor)
    dispatch_bench.dispatch()
    first = await dispatch_bench.job(rows_of(10))
    await gate.reached.wait()
    async with dispatch_bench.bench.database.transaction() as tx:
        await finish.cancel_job(tx, dispatch_bench.bench.owner, first)
    second = await dispatch_bench.job(rows_of(10))
    gate.opened.set()
    assert (await dispatch_bench.ended(second)).status == "succeeded"
    cancelled = await dispatch_bench.bench.shown(first)
    assert (cancelled.status, cancelled.captured_nanos) == ("cancelled", 0)


async def test_a_dispatcher_that_is_killed_loses_and_doubles_nothing(dispatch_bench: DispatchBench):
    gate = Gate()
    await dispatch_bench.machine(actor=gate.actor)
    killed = dispatch_bench.dispatch()
    job_id = await dispatch_bench.job(rows_of(200))
    await gate.reached.wait()
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    gate.opened.set()
    dispatch_bench.dispatch()
    job = await dispatch_bench.ended(job_id)
    assert (job.status, job.subtasks_done) == ("succeeded", 200)
    np.testing.assert_array_equal(await dispatch_bench.outputs(job_id), 2 * rows_of(200) + 1)


async def test_only_one_of_two_dispatchers_leads_and_the_other_takes_over(dispatch_bench: DispatchBench):
    await dispatch_bench.machine()
    first = dispatch_bench.dispatch()
    await dispatch_bench.ended(await dispatch_bench.job(rows_of(5)))
    dispatch_bench.dispatch()
    await dispatch_bench.ended(await dispatch_bench.job(rows_of(6)))
    assert [bool(fleet.connected()) for fleet in dispatch_bench.fleets] == [True, False]
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (await dispatch_bench.ended(await dispatch_bench.job(rows_of(7)))).status == "succeeded"
    assert [bool(fleet.connected()) for fleet in dispatch_bench.fleets] == [False, True]


async def test_a_database_that_drops_its_connections_again_and_again_loses_and_doubles_nothing(dispatch_bench, owner_url):
    made: list[Any] = []
    await dispatch_bench.machine(slots=2, actor=lambda spec: made.append(spec) or an_honest_actor(spec))
    dispatch_bench.dispatch(subtasks_per_order_max=20)
    job_id = await dispatch_bench.job(rows_of(600))
    async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as owner:
        for cut in (1, 2, 3, 4):
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND usename <> current_user AND pid <> pg_backend_pid()"
            )
            await dispatch_bench.bench.database.close()  # its own idle connections were cut as well
            await dispatch_bench.until(job_id, lambda job, n=cut: job.subtasks_done >= 100 * n)
    job = await dispatch_bench.ended(job_id)
    assert (job.status, job.subtasks_done) == ("succeeded", 600)
    np.testing.assert_array_equal(await dispatch_bench.outputs(job_id), 2 * rows_of(600) + 1)
    assert len(made) == 2, "a moment without the lock is no reason to start actors anew"


async def test_what_a_slot_has_learned_is_kept_warm_between_jobs(dispatch_bench: DispatchBench):
    made: list[Any] = []

    def counted(spec: Any) -> Any:
        made.append(spec)
        return an_honest_actor(spec)

    await dispatch_bench.machine(actor=counted)
    dispatch_bench.dispatch()
    for count in (3, 4, 5):
        await dispatch_bench.ended(await dispatch_bench.job(rows_of(count)))
    assert len(made) == 1
