"""Makes orders: the bytes that one slot needs for its subtasks and nothing more, inline when small, else by signed URLs.

A URL is good for exactly the range that the order's own items fill, so a machine never sees a neighbour's.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fabric.actors.messages import InputOrder, ModelRef, Order, Part, SubtaskOrder, encode_order
from fabric.catalog import registry
from fabric.catalog.registry import ModelVersion
from fabric.codecs.outputs import is_processed
from fabric.core.ids import JobId, OrderId
from fabric.core.settings import DispatchSettings
from fabric.db.engine import Database
from fabric.dispatch import store as dispatch_store
from fabric.jobs.job import Leased
from fabric.jobs.split import JobInputs, SlicedInput, SlicedPart, read_inputs, slice_inputs
from fabric.storage.base import ObjectStore
from fabric.storage.keys import output_key

JOBS_REMEMBERED = 256
ORDER_BYTES_MAX = 6 * 1024 * 1024  # of a frame; 8 MiB is what rides inside one call
RANGE_BYTES_MAX = 4 * 1024 * 1024  # longer runs of items are fetched in pieces, side by side
INLINE_RECEIPT_BYTES_MAX = 5 * 1024 * 1024  # outputs that surely fit into one receipt
FRAME_BYTES = 4096  # of a frame's header, generously
OUTPUT_BYTES_MAX = 1024**3  # of one subtask


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What all orders of a job have in common."""

    version: ModelVersion
    inputs: JobInputs


@dataclass(frozen=True, slots=True)
class MadeOrder:
    """An order, ready to be sent. `left_out` are leases that had no room in it."""

    frame: bytes
    version: ModelVersion
    inline_bytes: int
    left_out: tuple[Leased, ...] = ()


@dataclass(frozen=True, slots=True)
class _Run:
    """Bytes of one object that lie together and belong to one order."""

    key: str
    start: int
    end: int


Place = tuple[str, int, int]  # key, offset, length of a part


class OrderMaker:
    """Makes orders of leases."""

    def __init__(self, database: Database, store: ObjectStore, settings: DispatchSettings) -> None:
        """Nothing is read yet."""
        self._database = database
        self._store = store
        self._settings = settings
        self._jobs: OrderedDict[JobId, JobFacts] = OrderedDict()
        self.inline_bytes_outstanding = 0

    async def remember(self, job_ids: Iterable[JobId]) -> None:
        """Read what orders of these jobs are made of, unless that is known already. Raises DatabaseUnavailable."""
        missing = [job_id for job_id in dict.fromkeys(job_ids) if job_id not in self._jobs]
        if not missing:
            return
        async with self._database.reading() as reader:
            inputs = await dispatch_store.inputs_of_jobs(reader, missing)
            versions = await registry.versions_by_id(reader, [version_id for version_id, _ in inputs.values()])
        for job_id, (version_id, document) in inputs.items():
            self._jobs[job_id] = JobFacts(versions[version_id], read_inputs(document))
        while len(self._jobs) > max(JOBS_REMEMBERED, len(missing)):
            self._jobs.popitem(last=False)

    async def make(self, order_id: OrderId, job_id: JobId, leases: Sequence[Leased], timeout_s: float) -> MadeOrder:
        """The order for these leases, all of one job.

        Raises:
            DatabaseUnavailable: the job cannot be read.
            StorageUnavailable: its inputs cannot be read.
            NotFound: an input is gone.
        """
        await self.remember([job_id])
        self._jobs.move_to_end(job_id)
        facts = self._jobs[job_id]
        sliced, left_out = _fitting([slice_inputs(facts.inputs, lease.item_start, lease.item_count) for lease in leases])
        taken = leases[: len(sliced)]
        stored = [p for inputs in sliced for given in inputs for p in given.parts if p.data is None]
        inline = sum(part.length for part in stored)
        room = self._settings.inline_outstanding_bytes_max - self.inline_bytes_outstanding
        contents: Mapping[Place, bytes] = {}
        urls: Mapping[Place, str] = {}
        if inline <= min(self._settings.inline_order_bytes_max, room):
            contents = await self._read(_runs(stored))
        else:
            urls, inline = self._sign(_runs(stored, RANGE_BYTES_MAX)), 0
        may_upload = self._may_upload(facts.version, taken)
        subtasks = tuple(
            SubtaskOrder(
                lease.subtask_id.bytes, lease.fence, lease.item_count,
                tuple(InputOrder(i.name, tuple(_part(p, contents, urls) for p in i.parts), i.broadcast) for i in inputs),
                self._output_url(facts.version, lease) if may_upload else None,
            )
            for lease, inputs in zip(taken, sliced, strict=True)
        )  # fmt: skip
        model = self._model(facts.version)
        frame = encode_order(Order(order_id.bytes, model, subtasks, self._settings.inline_output_bytes_max, timeout_s))
        return MadeOrder(frame, facts.version, inline, tuple(leases[len(sliced) :]) if left_out else ())

    def _model(self, version: ModelVersion) -> ModelRef:
        profile = version.profile
        return ModelRef(
            version.sha256, self._store.signed_get(version.object_key).url, version.size,
            {name: {**spec, "codec": version.card["inputs"].get(name, {})} for name, spec in version.inputs.items()},
            {name: {**spec, "card": version.card["outputs"].get(name)} for name, spec in version.outputs.items()},
            profile["batchable"], profile["batch_items_max"], profile["batch_fixed"],
        )  # fmt: skip

    def _may_upload(self, version: ModelVersion, leases: Sequence[Leased]) -> bool:
        """Whether an output may have to be uploaded. Signing is work, so small outputs of a known size get no URLs."""
        item_bytes = _output_bytes_item(version)
        if item_bytes is None:
            return True
        sizes = [lease.item_count * item_bytes + FRAME_BYTES for lease in leases]
        return bool(max(sizes) > self._settings.inline_output_bytes_max) or sum(sizes) > INLINE_RECEIPT_BYTES_MAX

    def _output_url(self, version: ModelVersion, lease: Leased) -> str:
        item_bytes = _output_bytes_item(version)
        size_max = OUTPUT_BYTES_MAX if item_bytes is None else lease.item_count * item_bytes + FRAME_BYTES * len(version.outputs)
        return self._store.signed_put(output_key(lease.job_id, lease.subtask_id, lease.fence), size_max=size_max).url

    async def _read(self, runs: Mapping[Place, _Run]) -> dict[Place, bytes]:
        distinct = list(dict.fromkeys(runs.values()))
        contents = await asyncio.gather(*(self._store.read(run.key, run.start, run.end - run.start) for run in distinct))
        content_of = dict(zip(distinct, contents, strict=True))
        return {
            place: content_of[run][place[1] - run.start : place[1] - run.start + place[2]] for place, run in runs.items()
        }  # fmt: skip

    def _sign(self, runs: Mapping[Place, _Run]) -> dict[Place, str]:
        urls = {
            run: self._store.signed_get(run.key, offset=run.start, length=run.end - run.start).url
            for run in dict.fromkeys(runs.values())
        }
        return {place: urls[run] for place, run in runs.items()}


def _output_bytes_item(version: ModelVersion) -> int | None:
    """Bytes that one item gives; None where that depends on the data or on steps of the card."""
    size: int | None = version.profile["output_bytes_item"]
    return None if is_processed(version.card["outputs"]) else size


def _fitting(sliced: list[tuple[SlicedInput, ...]]) -> tuple[list[tuple[SlicedInput, ...]], bool]:
    """As many subtasks as have room for what their job carries inline; always the first one."""
    total = 0
    for count, inputs in enumerate(sliced):
        total += sum(len(part.data) for given in inputs for part in given.parts if part.data is not None)
        if total > ORDER_BYTES_MAX and count > 0:
            return sliced[:count], True
    return sliced, False


def _runs(parts: Iterable[SlicedPart], bytes_max: int | None = None) -> dict[Place, _Run]:
    """For each place the run of neighbouring bytes that it belongs to; parts are never cut."""
    runs: dict[Place, _Run] = {}
    open_run: list[Place] = []

    def close() -> None:
        if open_run:
            run = _Run(open_run[0][0], open_run[0][1], max(offset + length for _, offset, length in open_run))
            runs.update(dict.fromkeys(open_run, run))
            open_run.clear()

    end = 0
    for place in sorted({(part.key or "", part.offset, part.length) for part in parts}):
        key, offset, length = place
        is_neighbour = bool(open_run) and open_run[0][0] == key and offset <= end
        if not is_neighbour or (bytes_max is not None and offset >= end and offset + length - open_run[0][1] > bytes_max):
            close()
        end = max(end, offset + length) if open_run else offset + length
        open_run.append(place)
    close()
    return runs


def _part(part: SlicedPart, contents: Mapping[Place, bytes], urls: Mapping[Place, str]) -> Part:
    place = (part.key or "", part.offset, part.length)
    data = part.data if part.data is not None else contents.get(place)
    return Part(
        part.item_count, part.encoding, data, None if data is not None else urls[place], part.offset, part.length, part.dtype,
        part.shape, part.sizes,
    )  # fmt: skip
