"""What waits for machines, as the market sees it, and the turn that lets suggested prices follow it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from uuid import UUID

from fabric.core.settings import BillingSettings
from fabric.db.engine import Database
from fabric.jobs import queue
from fabric.jobs.job import OpenJob
from fabric.jobs.requirements import Format, Requirements, accepts_owner, has_memory, has_runtime, matches
from fabric.marketplace import demand, prices, repricing, store
from fabric.marketplace.demand import Waiting
from fabric.marketplace.offers import Offer

MICROSECONDS_PER_S = 1_000_000
Kind = tuple[UUID, Requirements, int | None, int, Format, str | None, frozenset[UUID]]
"""Whose jobs, what they require, their limit, their model, its memory and format, and whose machines they bar: those accept the same slots."""


def waiting_work(jobs: Sequence[OpenJob]) -> list[Waiting]:
    """The work of unfinished jobs that no slot has, in groups of jobs that accept the same slots. One's own machines are no market."""
    groups: dict[Kind, list[tuple[float, int]]] = defaultdict(list)
    for job in jobs:
        kind = (
            job.owner_id,
            job.requirements,
            job.rate_nanos_per_hour_max,
            job.memory_bytes,
            job.model_format,
            job.model_id,
            job.barred_owner_ids,
        )
        if subtasks := job.waiting + job.delayed:
            waits_s = subtasks * job.items_per_subtask * job.item_us / MICROSECONDS_PER_S
            groups[kind].append((waits_s, job.spendable_nanos))
    return [Waiting(tuple(waiting), _acceptance(kind)) for kind, waiting in groups.items()]


async def follow_demand(database: Database, billing: BillingSettings) -> int:
    """Look at queue and slots, and let suggested prices move one step; how many slots ask for something else now."""
    async with database.reading() as reader:
        jobs = await queue.open_jobs(reader)
        offers = await store.open_offers(reader)
        table = (await prices.present(reader, billing)).table
    seen = await asyncio.to_thread(demand.look, offers, waiting_work(jobs), table)  # many jobs and slots: not on the event loop
    return await database.retrying(lambda tx: repricing.reprice(tx, seen, billing))


def _acceptance(kind: Kind) -> Callable[[Offer], bool]:
    owner_id, requirements, limit, memory_bytes, model_format, model_id, barred = kind
    return lambda offer: (
        accepts_owner(owner_id, False, offer.owner_id, barred)
        and (asking := offer.asking(model_id)) is not None
        and (limit is None or asking.rate_nanos_per_hour <= limit)
        and matches(requirements, offer)
        and has_memory(memory_bytes, offer)
        and has_runtime(model_format, offer)
    )
