"""Looks up a job's model and inputs and checks that they fit, before any transaction: what is wrong is told all at once.

Only headers are read. An array that cannot be used in place (compressed, in Fortran order, or JSON) is laid out anew as a file of
its owner.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from fabric.catalog import registry
from fabric.catalog.registry import ModelVersion
from fabric.codecs.derived import sources_of
from fabric.codecs.registry import codec_named
from fabric.codecs.strings import ENCODING, strings_of
from fabric.codecs.tensor import rows_of, rows_problem, tensor_of_json
from fabric.codecs.texts import STRING
from fabric.core.errors import EmptyJob, FabricError, InvalidInput, TooLarge
from fabric.core.ids import FileId, UserId
from fabric.core.settings import Settings
from fabric.db.engine import Database
from fabric.files import files
from fabric.files.files import FileFacts, Received
from fabric.jobs.job import InputSpec, JobSpec
from fabric.jobs.split import choose_items_per_subtask
from fabric.jobs.stored_arrays import ArrayFinder, StoredArray
from fabric.jobs.stored_items import ItemFinder
from fabric.storage.base import ObjectStore


@dataclass(frozen=True, slots=True)
class ResolvedJob:
    """A job whose model and inputs were looked up and found to fit; not yet priced or written."""

    version: ModelVersion
    items_total: int
    items_per_subtask: int
    inputs: Mapping[str, Any]  # what jobs.inputs keeps, see jobs.split
    relaid: tuple[Received, ...] = ()  # arrays that were laid out anew, to be recorded as files of the owner

    @property
    def item_us(self) -> float:
        """Expected microseconds of one item on a slot of speed 1."""
        return float(self.version.profile["item_us"])

    @property
    def memory_bytes(self) -> int:
        """What the model was seen to take at its peak."""
        return int(self.version.profile["memory_bytes"])


OTHER_SUFFIXES = (".npy", ".npz", ".json", ".jsonl", ".txt", ".csv")  # surely neither image nor sound nor video


async def resolve_job(database: Database, store: ObjectStore, settings: Settings, owner_id: UserId, spec: JobSpec) -> ResolvedJob:
    """The job with its model found and its inputs laid out.

    Raises:
        NotFound: no such model or file for this owner.
        InvalidInput: with `errors`, one for everything that does not fit the model.
        EmptyJob: there are no items.
        TooLarge: more items than one job may have.
        StorageUnavailable: the inputs cannot be read now.
    """
    ids = list(dict.fromkeys(FileId.of(file_id) for given in spec.inputs for file_id in given.files))
    async with database.reading() as reader:
        version = await registry.find_version(reader, owner_id, spec.model)
        facts = dict(zip(ids, await files.get_many(reader, owner_id, ids), strict=True)) if ids else {}
    arrays = ArrayFinder(database, store)
    items_in = ItemFinder(database, store, arrays)
    resolving = _Resolving(version, facts, arrays, items_in, settings.limits.inline_input_bytes_max)
    inputs = await resolving.inputs(spec.inputs)
    items = resolving.items()
    if items > settings.limits.items_per_job_max:
        raise TooLarge(f"{items} items; one job may have {settings.limits.items_per_job_max}.")
    items_per_subtask = cut(version, items, settings, spec.items_per_subtask)
    return ResolvedJob(version, items, items_per_subtask, inputs, tuple(resolving.relaid))


def cut(version: ModelVersion, items: int, settings: Settings, wanted: int | None) -> int:
    """Items for each subtask of a job of this model; `wanted` is the requestor's own choice.

    Raises:
        EmptyJob: no items.
        Invalid: the requestor's choice makes too many subtasks.
    """
    profile = version.profile
    return choose_items_per_subtask(
        items, profile["item_us"], target_s=settings.dispatch.subtask_target_s, subtasks_max=settings.limits.subtasks_per_job_max,
        batch_fixed=profile["batch_items_max"] if profile["batch_fixed"] else 1, wanted=wanted,
    )  # fmt: skip


class _Resolving:
    """The inputs of one job while they are being checked; gathers what is wrong instead of stopping at the first."""

    def __init__(
        self,
        version: ModelVersion,
        facts: Mapping[FileId, FileFacts],
        arrays: ArrayFinder,
        items_in: ItemFinder,
        inline_left: int,
    ) -> None:
        self._version = version
        self._facts = facts
        self._arrays = arrays
        self._items = items_in
        self._inline_left = inline_left
        self._errors: list[dict[str, Any]] = []
        self._counts: dict[str, int] = {}
        self.relaid: list[Received] = []

    async def inputs(self, given: Sequence[InputSpec]) -> dict[str, Any]:
        """What jobs.inputs keeps. Raises InvalidInput with everything that is wrong."""
        self._check_names(given)
        document: dict[str, Any] = {}
        derived = sources_of(self._version.card["inputs"])
        for index, spec in enumerate(given):
            if spec.name not in self._version.inputs or spec.name in document or spec.name in derived:
                continue
            loc = ["inputs", index]
            try:
                parts = await self._parts(spec)
            except FabricError as error:
                if error.retryable:
                    raise
                self._errors.append({"loc": [*loc, *error.fields.get("loc", [])], "msg": error.detail})
                continue
            document[spec.name] = {"broadcast": spec.broadcast, "parts": parts}
            if not spec.broadcast:
                self._counts[spec.name] = sum(len(part["sizes"]) if "sizes" in part else part["items"] for part in parts)
        if len(set(self._counts.values())) > 1:
            counted = ", ".join(f"{name}: {count}" for name, count in self._counts.items())
            self._errors.append({"loc": ["inputs"], "msg": f"the inputs have different numbers of items ({counted})"})
        if self._errors:
            raise InvalidInput(errors=self._errors)
        return document

    def items(self) -> int:
        """How many items the job has. Raises EmptyJob."""
        if not self._counts:
            raise EmptyJob("Every input is broadcast, so there are no items.")
        items = next(iter(self._counts.values()))
        if items == 0:
            raise EmptyJob
        return items

    def _check_names(self, given: Sequence[InputSpec]) -> None:
        derived = sources_of(self._version.card["inputs"])
        known = [name for name in self._version.inputs if name not in derived]
        seen: set[str] = set()
        for index, spec in enumerate(given):
            if spec.name in derived:
                msg = f"input {spec.name!r} is not given: it comes of {derived[spec.name][0]!r}"
                self._errors.append({"loc": ["inputs", index, "name"], "msg": msg})
            elif spec.name not in known:
                msg = f"the model has no input {spec.name!r}; it has {', '.join(sorted(known))}"
                self._errors.append({"loc": ["inputs", index, "name"], "msg": msg})
            elif spec.name in seen:
                self._errors.append({"loc": ["inputs", index, "name"], "msg": f"input {spec.name!r} is given twice"})
            seen.add(spec.name)
        self._errors += [{"loc": ["inputs"], "msg": f"input {name!r} is missing"} for name in sorted(set(known) - seen)]

    async def _parts(self, spec: InputSpec) -> list[dict[str, Any]]:
        entry, model_input = self._version.card["inputs"][spec.name], self._version.inputs[spec.name]
        given = [self._facts[FileId.of(file_id)] for file_id in spec.files]
        for index, file in enumerate(given):
            if file.status != "ready":
                raise InvalidInput(f"file {file.id} has not been uploaded yet", loc=_file_loc(spec, index))
        encoding = codec_named(entry["codec"]).encoding
        if encoding == "strings" or model_input["dtype"] == STRING:
            return await self._text_parts(spec, given)
        if encoding != "rows":
            return await self._file_parts(spec, given, encoding)
        return await self._row_parts(spec, given, entry["dtype"])

    async def _row_parts(self, spec: InputSpec, given: Sequence[FileFacts], dtype: str) -> list[dict[str, Any]]:
        if spec.tensor is not None:
            array = tensor_of_json(spec.tensor)
            self._check_rows(spec, STRING if array.dtype == object else array.dtype.name, array.shape, loc=["tensor"])
            return [self._inline(spec, array)]
        found: list[StoredArray] = []
        for index, file in enumerate(given):
            try:
                found.append(await self._arrays.find(file, spec.name, dtype))
            except InvalidInput as error:
                raise InvalidInput(error.detail, loc=_file_loc(spec, index)) from error
            self._check_rows(spec, found[-1].dtype, found[-1].shape, loc=_file_loc(spec, index))
        if spec.broadcast and len(found) != 1:
            raise InvalidInput("a broadcast input is one array", loc=["files"])
        if len({(array.dtype, array.shape[1:]) for array in found}) > 1 and not spec.broadcast:
            raise InvalidInput("the files hold items of different dtypes or shapes", loc=["files"])
        self.relaid += [array.relaid for array in found if array.relaid is not None]
        return [_rows_part(spec, array.dtype, array.shape) | {"key": array.key, "offset": array.offset} for array in found]

    async def _text_parts(self, spec: InputSpec, given: Sequence[FileFacts]) -> list[dict[str, Any]]:
        if spec.tensor is not None:
            array = tensor_of_json(spec.tensor)
            self._check_texts(spec, array, loc=["tensor"])
            return [self._inline_texts(spec, array)]
        parts: list[dict[str, Any]] = []
        for index, file in enumerate(given):
            try:
                array = await self._items.texts(file, spec.name)
                self._check_texts(spec, array, loc=[])
                stored = await self._items.lay_out(array[None] if spec.broadcast else array, file.name)
            except InvalidInput as error:
                raise InvalidInput(error.detail, loc=_file_loc(spec, index)) from error
            self.relaid.append(stored.relaid)
            shape = list(array.shape if spec.broadcast else array.shape[1:])
            where = {"key": stored.key, "offset": stored.relaid.parts[0][2], "sizes": list(stored.sizes)}
            parts.append({"encoding": ENCODING, "dtype": STRING, "shape": shape, **where})
        if (spec.broadcast and len(parts) != 1) or len({tuple(part["shape"]) for part in parts}) > 1:
            raise InvalidInput("a broadcast input is one array, and all files hold items of one shape", loc=["files"])
        return parts

    async def _file_parts(self, spec: InputSpec, given: Sequence[FileFacts], kind: str) -> list[dict[str, Any]]:
        """Files that lie one after another in the same object are one part; those of a zip are one each."""
        if spec.tensor is not None:
            raise InvalidInput(f"input {spec.name!r} takes {kind} files, not a tensor", loc=["tensor"])
        if spec.broadcast:
            raise InvalidInput(f"input {spec.name!r} takes {kind} files, which cannot be broadcast", loc=["broadcast"])
        parts: list[dict[str, Any]] = []
        end: tuple[str, int] | None = None
        for index, file in enumerate(given):
            name = file.name.lower()
            if name.endswith(OTHER_SUFFIXES) or file.size == 0:
                why = "which is empty" if file.size == 0 else f"not {file.name!r}"
                raise InvalidInput(f"input {spec.name!r} takes {kind} files, {why}", loc=_file_loc(spec, index))
            if name.endswith(".zip"):
                try:
                    stored = await self._items.unpacked(file)
                except InvalidInput as error:
                    raise InvalidInput(error.detail, loc=_file_loc(spec, index)) from error
                self.relaid.append(stored.relaid)
                parts.append({"encoding": kind, "key": stored.key, "offset": 0, "sizes": list(stored.sizes)})
                end = None
                continue
            if parts and end == (file.object_key, file.object_offset):
                parts[-1]["sizes"].append(file.size)
            else:
                parts.append({"encoding": kind, "key": file.object_key, "offset": file.object_offset, "sizes": [file.size]})
            end = (file.object_key, file.object_offset + file.size)
        return parts

    def _check_texts(self, spec: InputSpec, array: "np.ndarray[Any, Any]", *, loc: list[Any]) -> None:
        entry = self._version.card["inputs"][spec.name]
        if array.dtype != object:
            raise InvalidInput(f"input {spec.name!r}: numbers where texts are expected", loc=loc)
        if entry["codec"] == "tensor":
            self._check_rows(spec, STRING, array.shape, loc=loc)
        elif array.ndim != 1 or spec.broadcast:
            raise InvalidInput(f"input {spec.name!r} takes one text for each item, and is not broadcast", loc=loc)

    def _inline_texts(self, spec: InputSpec, array: "np.ndarray[Any, Any]") -> dict[str, Any]:
        items = strings_of(array[None] if spec.broadcast else array)
        self._take_room(sum(map(len, items)))
        shape = list(array.shape if spec.broadcast else array.shape[1:])
        content = base64.b64encode(b"".join(items)).decode()
        return {"encoding": ENCODING, "dtype": STRING, "shape": shape, "sizes": list(map(len, items)), "inline": content}

    def _check_rows(self, spec: InputSpec, dtype: str, shape: tuple[int, ...], *, loc: list[Any]) -> None:
        entry, model_input = self._version.card["inputs"][spec.name], self._version.inputs[spec.name]
        if spec.broadcast and len(shape) == len(model_input["shape"]):  # the whole of what the model takes
            problem = rows_problem(dtype, shape, entry, {**model_input, "shape": [1, *model_input["shape"]]})
        elif spec.broadcast:  # or one item of it
            problem = rows_problem(dtype, shape, entry, model_input)
        elif not shape:
            problem = "a single number where axis 0 should be the items"
        else:
            problem = rows_problem(dtype, shape[1:], entry, model_input)
        if problem is not None:
            raise InvalidInput(f"input {spec.name!r}: {problem}", loc=loc)

    def _inline(self, spec: InputSpec, array: "np.ndarray[Any, Any]") -> dict[str, Any]:
        self._take_room(array.nbytes)
        return _rows_part(spec, array.dtype.name, array.shape) | {"inline": base64.b64encode(rows_of(array)).decode()}

    def _take_room(self, size: int) -> None:
        self._inline_left -= size
        if self._inline_left < 0:
            raise InvalidInput("the tensors in the body are too large together; upload a file instead", loc=["tensor"])


def _rows_part(spec: InputSpec, dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    items, item_shape = (1, shape) if spec.broadcast else (shape[0], shape[1:])
    row_bytes = prod(item_shape) * np.dtype(dtype).itemsize
    return {"encoding": "rows", "items": items, "row_bytes": row_bytes, "dtype": dtype, "shape": list(item_shape)}


def _file_loc(spec: InputSpec, index: int) -> list[Any]:
    return ["file"] if len(spec.files) == 1 else ["files", index]
