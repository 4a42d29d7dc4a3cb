"""All results of a job as one file, streamed: `.npz` by output, `.json` by item, or a zip with a file for each item.

Items that failed are told apart from a job that failed: an item has an `error` of its own, the job has its `status` and `error`.
"""

import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import numpy as np

from fabric.catalog import registry
from fabric.codecs.frame import BadFrame, decode_frame
from fabric.codecs.steps import JSON_TYPE
from fabric.codecs.texts import BYTES
from fabric.core.errors import Conflict, TooLarge
from fabric.db.engine import Database
from fabric.jobs import subtask_store
from fabric.jobs.job import Job
from fabric.jobs.results import outputs_of, stream_output
from fabric.jobs.subtask_store import StoredOutput
from fabric.storage.base import ObjectStore

JSON_BYTES_MAX = 256 * 1024**2  # of results as they are stored, for one .json
ZIP_BYTES_MAX = 4 * 1024**3  # for one zip
ZIP_FILES_MAX = 200_000
FRAME_BYTES_MAX = 256 * 1024**2  # of one subtask, which is held in memory
SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", JSON_TYPE: "json", "text/plain": "txt"}
FIRST_DATE = (1980, 1, 1, 0, 0, 0)

Item = tuple[int, dict[str, Any]]  # its index, and its row of each output


async def check_size(database: Database, job: Job, bytes_max: int) -> None:
    """Say before a byte is sent that it would be too much. Raises TooLarge."""
    async with database.reading() as reader:
        total, largest = await subtask_store.output_sizes(reader, job.id)
    if total > bytes_max or largest > FRAME_BYTES_MAX:
        raise TooLarge(f"The results have {total} bytes; fetch them as parts, or one output at a time as .npy.")


async def stream_json(database: Database, store: ObjectStore, job: Job, item: int | None = None) -> AsyncIterator[bytes]:
    """One JSON document: the job's status, then `items` in input order, each with `outputs`, or `error`, or neither when it is not done.

    With `item` only that one. `check_size` comes first.
    """
    errors, specs = await _facts(database, job)
    failure = None if job.error_code is None else {"code": job.error_code, "detail": job.error_detail or ""}
    head = {"job_id": str(job.id), "status": job.status, "error": failure, "items_total": job.items_total}
    yield json.dumps(head).removesuffix("}").encode() + b', "items": ['
    first, stop = (0, job.items_total) if item is None else (item, item + 1)
    next_item, comma = first, b""
    async for index, rows in _items(database, store, job, first, stop):
        for blank in range(next_item, index):
            yield comma + _json_item(blank, None, errors.get(blank))
            comma = b",\n"
        values = {name: _json_value(row, specs[name]) for name, row in rows.items()}
        yield comma + _json_item(index, values, None)
        next_item, comma = index + 1, b",\n"
    for blank in range(next_item, stop):
        yield comma + _json_item(blank, None, errors.get(blank))
        comma = b",\n"
    yield b"]}\n"


async def stream_zip(database: Database, store: ObjectStore, job: Job) -> AsyncIterator[bytes]:
    """A zip: `<output>/<item>.<suffix>` for each item and output, and `errors.json` with what became of the others."""
    errors, specs = await _facts(database, job)
    archive = _Archive()
    async for index, rows in _items(database, store, job, 0, job.items_total):
        for name, row in rows.items():
            content, suffix = _file_of(row, specs[name])
            for chunk in archive.add(f"{_folder(name)}/{index:06d}.{suffix}", [content]):
                yield chunk
    told = {"status": job.status, "items": [{"index": i, **error} for i, error in sorted(errors.items())]}
    for chunk in archive.add("errors.json", [json.dumps(told, indent=1).encode()]):
        yield chunk
    yield archive.end()


async def stream_npz(database: Database, store: ObjectStore, job: Job) -> AsyncIterator[bytes]:
    """A `.npz`: every output as `stream_output` gives it, and `failed_items`."""
    errors, specs = await _facts(database, job)
    opened = {name: await stream_output(database, store, job, name) for name in specs}

    async def chunks() -> AsyncIterator[bytes]:
        archive = _Archive()
        for name, npy in opened.items():
            with archive.opened(f"{name}.npy") as member:
                async for chunk in npy.chunks:
                    member.write(chunk)
                    yield archive.drained()
        failed = io.BytesIO()
        np.save(failed, np.array(sorted(errors), np.int64))
        for chunk in archive.add("failed_items.npy", [failed.getvalue()]):
            yield chunk
        yield archive.end()

    return chunks()


def check_zip_files(job: Job, outputs: int) -> None:
    """Raises TooLarge: more files than one zip may hold."""
    if job.items_total * outputs > ZIP_FILES_MAX:
        raise TooLarge(f"{job.items_total * outputs} files; a zip may hold {ZIP_FILES_MAX}. Fetch an .npz or the parts.")


class _Archive:
    """A zip that is written and handed on at the same time."""

    def __init__(self) -> None:
        self._out = _Outlet()
        self._zip = zipfile.ZipFile(self._out, "w", zipfile.ZIP_STORED)  # type: ignore[call-overload]

    def opened(self, name: str) -> Any:
        """A new member to write to; its size need not be known."""
        return self._zip.open(zipfile.ZipInfo(name, FIRST_DATE), "w", force_zip64=True)

    def add(self, name: str, chunks: list[bytes]) -> Iterator[bytes]:
        """A whole member."""
        with self.opened(name) as member:
            for chunk in chunks:
                member.write(chunk)
        yield self.drained()

    def drained(self) -> bytes:
        """What was written since the last time."""
        return self._out.drained()

    def end(self) -> bytes:
        """The directory."""
        self._zip.close()
        return self._out.drained()


class _Outlet(io.RawIOBase):
    """Takes what is written; cannot be sought in, so that zipfile writes in one go."""

    def __init__(self) -> None:
        super().__init__()
        self._chunks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, chunk: Any) -> int:
        self._chunks.append(bytes(chunk))
        return len(chunk)

    def drained(self) -> bytes:
        """Everything so far."""
        content, self._chunks = b"".join(self._chunks), []
        return content


async def _facts(database: Database, job: Job) -> tuple[dict[int, dict[str, str]], dict[str, dict[str, Any]]]:
    async with database.reading() as reader:
        errors = await subtask_store.item_errors(reader, job.id)
        version = (await registry.versions_by_id(reader, [job.model_version_id]))[job.model_version_id]
    return {index: {"code": code, "detail": detail} for index, code, detail in errors}, version.delivered


async def _items(database: Database, store: ObjectStore, job: Job, first: int, stop: int) -> AsyncIterator[Item]:
    """The items in [first, stop) that are done."""
    async for found in outputs_of(database, job.id):
        if found.item_start >= stop:
            return
        if found.item_start + found.item_count <= first or len(found.failed) >= found.item_count:
            continue
        tensors = await _tensors(store, found)
        good = [i for i in range(found.item_start, found.item_start + found.item_count) if i not in set(found.failed)]
        for row, index in enumerate(good):
            if first <= index < stop:
                yield index, {name: tensor[row] for name, tensor in tensors.items()}


async def _tensors(store: ObjectStore, found: StoredOutput) -> dict[str, Any]:
    frame = found.output
    if frame is None:
        frame = await store.read(str(found.output_key), 0, found.output_size) if found.output_key else b""
    try:
        return decode_frame(frame)
    except BadFrame as error:
        raise Conflict(f"A result of items from {found.item_start} on is damaged: {error}.") from error


def _json_item(index: int, outputs: Mapping[str, Any] | None, error: Mapping[str, str] | None) -> bytes:
    return json.dumps({"index": index, "outputs": outputs, "error": error}, ensure_ascii=False, allow_nan=False).encode()


def _json_value(row: Any, spec: Mapping[str, Any]) -> Any:
    if spec.get("media_type") == JSON_TYPE:
        return _parsed(row)
    if isinstance(row, bytes):
        import base64

        return {"media_type": spec.get("media_type", "application/octet-stream"), "base64": base64.b64encode(row).decode()}
    array: np.ndarray[Any, Any] = np.asarray(row)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        plain = array.astype(object)
        plain[~np.isfinite(array)] = None  # JSON has no NaN
        return plain.tolist()
    return array.tolist()


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None  # of a machine that did not keep to the card


def _file_of(row: Any, spec: Mapping[str, Any]) -> tuple[bytes, str]:
    if isinstance(row, bytes):
        return row, SUFFIXES.get(spec.get("media_type", ""), "bin")
    if isinstance(row, str):
        return row.encode(), SUFFIXES.get(spec.get("media_type", ""), "txt")
    if spec["dtype"] in {"string", BYTES}:
        return json.dumps(np.asarray(row).tolist()).encode(), "json"
    out = io.BytesIO()
    np.save(out, np.asarray(row), allow_pickle=False)
    return out.getvalue(), "npy"


def _folder(name: str) -> str:
    """An output's name as the name of a folder on any system."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name).strip(".") or "output"
