"""The results of a job: a manifest, and streams that join the outputs of its subtasks in input order.

There is no merge step. While a job runs, its results are what is done so far. Nothing here holds a transaction open while a
reader is slow: outputs are looked up page by page.
"""

import io
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fabric.catalog import registry
from fabric.codecs.frame import HEADER_BYTES_MAX, BadFrame, FrameEntry, decode_header, tensor_of
from fabric.codecs.texts import STRING, VARIABLE
from fabric.core.errors import Conflict, NotFound, Ragged, ResultsDeleted, TooLarge
from fabric.core.ids import JobId
from fabric.db.engine import Database, Reader
from fabric.jobs import subtask_store
from fabric.jobs.job import Job
from fabric.jobs.lifecycle import is_finished
from fabric.jobs.subtask_store import StoredOutput
from fabric.storage.base import ObjectStore


def require_kept(job: Job) -> None:
    """Refuse to show results that are gone.

    Raises:
        ResultsDeleted: they were kept for as long as the job said.
    """
    if job.results_deleted_at is not None:
        raise ResultsDeleted(f"The results of this job were deleted on {job.results_deleted_at:%Y-%m-%d}, as announced.")


PART_HEADER = struct.Struct("<IIQ")  # item_start, item_count, bytes of the tensor frame that follows
OUTPUTS_PER_PAGE = 128
FILL_BYTES = 1024 * 1024
TEXTS_BYTES_MAX = 64 * 1024 * 1024  # of one output of texts as they are stored, for one .npy
FIXED_BYTES_MAX = 256 * 1024 * 1024  # and as numpy keeps them

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class NpyStream:
    """One output of a whole job as a `.npy` file."""

    total_bytes: int
    chunks: AsyncIterator[bytes]


async def manifest(reader: Reader, job: Job) -> dict[str, Any]:
    """What there is: outputs by name, dtype and shape (None where items may differ), how many items, and which failed."""
    outputs = (await registry.versions_by_id(reader, [job.model_version_id]))[job.model_version_id].delivered
    errors = await subtask_store.item_errors(reader, job.id) if job.items_failed else []
    return {
        "status": job.status,
        "complete": is_finished(job.status),
        "items_total": job.items_total,
        "items_done": job.items_done,
        "items_failed": job.items_failed,
        "failed_items": [index for index, _, _ in errors],
        "errors": [{"index": index, "code": code, "detail": detail} for index, code, detail in errors],
        "outputs": [
            {
                "name": name, "dtype": output["dtype"], "shape": [job.items_total, *list(output["shape"])[1:]],
                **({"media_type": output["media_type"]} if "media_type" in output else {}),
            }
            for name, output in outputs.items()
        ],
    }  # fmt: skip


async def stream_parts(database: Database, store: ObjectStore, job_id: JobId) -> AsyncIterator[bytes]:
    """Every output there is, in input order: `u32 item_start, u32 item_count, u64 length`, then a tensor frame of so many bytes.

    A frame has one row for each item of the part that did not fail. Little-endian.
    """
    async for found in outputs_of(database, job_id):
        size = len(found.output) if found.output is not None else found.output_size
        if found.output is None and found.output_key is None:
            continue
        yield PART_HEADER.pack(found.item_start, found.item_count, size)
        if found.output is not None:
            yield found.output
        else:
            async for chunk in store.stream(str(found.output_key), 0, size):
                yield chunk


async def stream_output(database: Database, store: ObjectStore, job: Job, name: str) -> NpyStream:
    """One output of a job as a `.npy` file with a row for each item, in input order.

    Rows of items that failed, or are not done yet, are NaN in floating outputs, 0 in others, empty where they are texts or files.
    Texts are as wide as the longest of them, so together they are bounded.

    Raises:
        NotFound: the model has no such output.
        Conflict: nothing is done yet.
        Ragged: the items differ in shape.
        TooLarge: texts of more than TEXTS_BYTES_MAX.
    """
    async with database.reading() as reader:
        outputs = (await registry.versions_by_id(reader, [job.model_version_id]))[job.model_version_id].delivered
    if name not in outputs:
        raise NotFound(f"The model has no output {name!r}; it has {', '.join(sorted(outputs))}.")
    if outputs[name]["dtype"] in VARIABLE:
        return await _texts_npy(database, store, job, name, outputs[name]["dtype"])
    row_shape = await _row_shape(database, store, job.id, name, outputs[name])
    dtype = np.dtype(outputs[name]["dtype"])
    header = _npy_header(dtype, (job.items_total, *row_shape))
    row = np.full(row_shape, np.nan if dtype.kind == "f" else 0, dtype=dtype)
    return NpyStream(
        len(header) + job.items_total * row.nbytes, _npy_chunks(database, store, job, name=name, header=header, blank=row)
    )


async def _texts_npy(database: Database, store: ObjectStore, job: Job, name: str, dtype: str) -> NpyStream:
    """Texts as numpy's of fixed width; byte strings likewise. NumPy's own objects would be pickles."""
    whole: Array | None = None
    stored_bytes = 0
    async for found in outputs_of(database, job.id):
        entry = await _entry(store, found, name) if len(found.failed) < found.item_count else None
        if entry is None:
            continue
        if (stored_bytes := stored_bytes + entry.nbytes) > TEXTS_BYTES_MAX:
            raise TooLarge(f"These texts have more than {TEXTS_BYTES_MAX} bytes together; fetch them as json or parts.")
        tensor = _decoded(entry, await _entry_bytes(store, found, entry))
        if whole is None:
            whole = np.full((job.items_total, *tensor.shape[1:]), "" if dtype == STRING else b"", object)
        if tensor.shape[1:] != whole.shape[1:]:
            raise Ragged
        whole[np.setdiff1d(np.arange(found.item_start, found.item_start + found.item_count), found.failed)] = tensor
    if whole is None:
        raise Conflict("No item of this job has a result yet.")
    width = max(map(len, whole.flat), default=0)
    if whole.size * width * (4 if dtype == STRING else 1) > FIXED_BYTES_MAX:
        raise TooLarge(
            f"As an array of fixed width these have more than {FIXED_BYTES_MAX} bytes; fetch them as json, zip or parts."
        )
    buffer = io.BytesIO()
    np.save(buffer, whole.astype(f"{'U' if dtype == STRING else 'S'}{max(1, width)}"), allow_pickle=False)
    content = buffer.getvalue()

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    return NpyStream(len(content), chunks())


def _decoded(entry: FrameEntry, content: bytes) -> Array:
    try:
        return tensor_of(entry, content)
    except BadFrame as error:
        raise Conflict(f"A result is damaged: {error}.") from error


async def _npy_chunks(
    database: Database, store: ObjectStore, job: Job, *, name: str, header: bytes, blank: Array
) -> AsyncIterator[bytes]:
    yield header
    next_item = 0
    async for found in outputs_of(database, job.id):
        for chunk in _blank_rows(blank, found.item_start - next_item):
            yield chunk
        next_item = found.item_start + found.item_count
        failed = [index - found.item_start for index in found.failed]
        entry = await _entry(store, found, name) if len(failed) < found.item_count else None
        if entry is None:
            for chunk in _blank_rows(blank, found.item_count):
                yield chunk
        elif failed:
            yield _with_gaps(await _entry_bytes(store, found, entry), blank, found.item_count, failed)
        elif found.output is not None:
            yield found.output[entry.offset : entry.offset + entry.nbytes]
        elif entry.nbytes:
            async for chunk in store.stream(str(found.output_key), entry.offset, entry.nbytes):
                yield chunk
    for chunk in _blank_rows(blank, job.items_total - next_item):
        yield chunk


async def _row_shape(
    database: Database, store: ObjectStore, job_id: JobId, name: str, output: Mapping[str, Any]
) -> tuple[int, ...]:
    """The shape of one item; where the model fixes it, the first output tells it, else all must agree."""
    fixed = all(isinstance(n, int) for n in list(output["shape"])[1:])
    shape: tuple[int, ...] | None = None
    async for found in outputs_of(database, job_id):
        if len(found.failed) >= found.item_count:
            continue
        entry = await _entry(store, found, name)
        if entry is None:
            continue
        if shape is not None and entry.shape[1:] != shape:
            raise Ragged
        shape = entry.shape[1:]
        if fixed:
            return shape
    if shape is None:
        raise Conflict("No item of this job has a result yet.")
    return shape


async def outputs_of(database: Database, job_id: JobId) -> AsyncIterator[StoredOutput]:
    """What there is of a job, in input order."""
    position = -1
    while True:
        async with database.reading() as reader:
            page = await subtask_store.outputs_page(reader, job_id, after_position=position, limit=OUTPUTS_PER_PAGE)
        for found in page:
            yield found
        if len(page) < OUTPUTS_PER_PAGE:
            return
        position = page[-1].position


async def _entry(store: ObjectStore, found: StoredOutput, name: str) -> FrameEntry | None:
    prefix = found.output
    if prefix is None:
        if found.output_key is None:
            return None
        prefix = await store.read(found.output_key, 0, min(found.output_size, HEADER_BYTES_MAX + 16))
    return next((entry for entry in decode_header(prefix).entries if entry.name == name), None)


async def _entry_bytes(store: ObjectStore, found: StoredOutput, entry: FrameEntry) -> bytes:
    if found.output is not None:
        return found.output[entry.offset : entry.offset + entry.nbytes]
    return await store.read(str(found.output_key), entry.offset, entry.nbytes) if entry.nbytes else b""


def _with_gaps(rows: bytes, blank: Array, item_count: int, failed: list[int]) -> bytes:
    """All rows of a subtask: those that came, and a blank one for each item that failed."""
    whole = np.repeat(blank[np.newaxis], item_count, axis=0)
    good = np.setdiff1d(np.arange(item_count), failed)
    whole[good] = np.frombuffer(rows, dtype=blank.dtype).reshape(len(good), *blank.shape)
    return whole.tobytes()


def _blank_rows(blank: Array, count: int) -> list[bytes]:
    """Chunks of blank rows; the same bytes object again and again, so that a large gap takes no memory."""
    if count <= 0 or blank.nbytes == 0:
        return []
    per_chunk = max(1, FILL_BYTES // blank.nbytes)
    whole, rest = divmod(count, per_chunk)
    row = blank.tobytes()
    return [row * per_chunk] * whole + ([row * rest] if rest else [])


def _npy_header(dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype.newbyteorder("<"))
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()
