"""Subtasks per second through the durable queue: claim, settle, capture, on one connection."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import insert

from benchmarks.table import Row, median, show
from fabric.billing import ledger
from fabric.core.ids import JobId, ModelId, ModelVersionId, OrderId, ProviderId, UserId
from fabric.core.money import price_nanos
from fabric.db.engine import Database
from fabric.db.migrate import ensure_application_role, migrate
from fabric.db.tables import model_versions, models, providers, users
from fabric.jobs import complete, queue, store, subtask_store
from fabric.jobs.job import Claim, Completion, Leased
from fabric.local.postgres import start_postgres

SUBTASKS = 10_000
BATCHES = (1, 128, 256, 512)
RUNS = 3
RATE_NANOS_PER_HOUR = 10_000_000
BILLED_US = 10_000
CREDIT_NANOS = 10**15
HOLD_NANOS = 10**10
ATTEMPTS_MAX = 5
OUTPUT = bytes(200)


def run() -> list[Row]:
    """Claim and settle one-item subtasks of one job, in groups of several sizes, beside one by one."""
    folder = Path(tempfile.mkdtemp(prefix="fb-queue-"))
    folder.chmod(0o711)
    server = start_postgres(folder / "postgres", folder / "log")
    try:
        migrate(server.url)
        return asyncio.run(_measure(ensure_application_role(server.url)))
    finally:
        server.stop()
        shutil.rmtree(folder)


async def _measure(url: str) -> list[Row]:
    database = Database(url, pool_size=1)
    try:
        owner, provider, version = await _prepare(database)
        rates: dict[int, float] = {}
        for batch in BATCHES:
            subtasks = SUBTASKS if batch > 1 else SUBTASKS // 20
            rates[batch] = median([await _chain(database, owner, provider, version, subtasks, batch) for _ in range(RUNS)])
    finally:
        await database.close()
    return [
        Row(f"claim + settle + capture, {batch} at a time", rates[batch], "subtasks/s", "one at a time", rates[1], "≥ 1,500")
        for batch in BATCHES[1:]
    ]


async def _prepare(database: Database) -> tuple[UserId, ProviderId, ModelVersionId]:
    owner, lender, provider, model, version = UserId.new(), UserId.new(), ProviderId.new(), ModelId.new(), ModelVersionId.new()
    async with database.transaction() as tx:
        for user_id in (owner, lender):
            await tx.execute(insert(users).values(id=user_id, email=f"{user_id.hex}@example.com", password_hash="-"))
        await ledger.top_up(tx, owner, CREDIT_NANOS, "topup:bench", {})
        await tx.execute(insert(models).values(id=model, owner_id=owner, name="trivial"))
        facts = {"sha256": b"-", "size": 1, "object_key": "-", "card": {}, "inspection": {}, "profile": {}}
        await tx.execute(insert(model_versions).values(id=version, model_id=model, version=1, **facts))
        machine = {"owner_id": lender, "name": "machine", "credential_hash": b"-", "capabilities": {}, "labels": {}}
        await tx.execute(insert(providers).values(id=provider, agent_version="1", **machine))
    return owner, provider, version


async def _chain(
    database: Database, owner: UserId, provider: ProviderId, version: ModelVersionId, subtasks: int, batch: int
) -> float:
    """Subtasks per second from the first claim to the end of the job."""
    job_id = JobId.new()
    row = {
        "id": job_id, "owner_id": owner, "model_version_id": version, "request": {}, "inputs": {}, "items_total": subtasks,
        "subtasks_total": subtasks, "item_us": 1000.0, "held_nanos": HOLD_NANOS, "request_id": "bench",
    }  # fmt: skip
    async with database.transaction() as tx:
        await store.insert_job(tx, row, None)
        await subtask_store.insert_subtasks(tx, job_id, subtasks, 1)
        await ledger.place_hold(tx, owner, job_id, HOLD_NANOS)
    started_s = time.perf_counter()
    done = 0
    while done < subtasks:
        claims = [
            Claim(OrderId.new(), job_id, provider, slot, -(-batch // 2), RATE_NANOS_PER_HOUR, 50_000, 60.0) for slot in (0, 1)
        ]
        async with database.transaction() as tx:
            leased = await queue.claim(tx, claims[: min(2, batch)])
        settled = await complete.settle_each(database, _completions(leased), attempts_max=ATTEMPTS_MAX)
        assert all(answer.status == "done" for answer in settled)
        done += len(settled)
    return done / (time.perf_counter() - started_s)


def _completions(leased: Sequence[Leased]) -> list[Completion]:
    gross = price_nanos(RATE_NANOS_PER_HOUR, BILLED_US)
    return [
        Completion(
            lease.subtask_id, lease.job_id, lease.fence, lease.provider_id, lease.slot, lease.order_id, BILLED_US, BILLED_US,
            lease.cap_us, BILLED_US, gross, 1000, OUTPUT,
        )
        for lease in leased
    ]  # fmt: skip


if __name__ == "__main__":
    show("queue", run())
