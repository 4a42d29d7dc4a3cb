"""Looks at what a provider really put into the store, before its receipt is believed."""

import asyncio
from collections.abc import Sequence

from fabric.actors.messages import Receipt
from fabric.codecs.frame import HEADER_BYTES_MAX
from fabric.core.errors import NotFound, RangeNotSatisfiable, StorageUnavailable
from fabric.dispatch.judge import Upload
from fabric.jobs.job import Leased
from fabric.storage.base import ObjectStore
from fabric.storage.keys import output_key

PREFIX_BYTES_MAX = HEADER_BYTES_MAX + 16
AT_ONCE_MAX = 16
ATTEMPTS_MAX = 6
PAUSE_S = 0.25


async def find_uploads(store: ObjectStore, leases: Sequence[Leased], receipt: Receipt) -> dict[bytes, Upload]:
    """By subtask id, what lies under the key of each lease whose output is said to be uploaded; nothing where nothing lies.

    Raises:
        StorageUnavailable: the store does not answer for some seconds.
    """
    by_id = {lease.subtask_id.bytes: lease for lease in leases}
    claimed = {s.id for s in receipt.subtasks if s.status == "done" and s.output is None and s.output_sha256 is not None}
    keys = {id: output_key(by_id[id].job_id, by_id[id].subtask_id, by_id[id].fence) for id in sorted(claimed & by_id.keys())}
    room = asyncio.Semaphore(AT_ONCE_MAX)

    async def find(key: str) -> Upload | None:
        async with room:
            return await _find(store, key)

    found = await asyncio.gather(*(find(key) for key in keys.values()))
    return {id: upload for id, upload in zip(keys, found, strict=True) if upload is not None}


async def _find(store: ObjectStore, key: str) -> Upload | None:
    pause_s = PAUSE_S
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            facts = await store.describe(key)
            prefix = await store.read(key, 0, min(facts.size, PREFIX_BYTES_MAX))
            return Upload(key, facts.size, facts.sha256, prefix)
        except (NotFound, RangeNotSatisfiable):
            return None
        except StorageUnavailable:
            if attempt == ATTEMPTS_MAX:
                raise
            await asyncio.sleep(pause_s)
            pause_s *= 2
    raise AssertionError("the last attempt returns or raises")
