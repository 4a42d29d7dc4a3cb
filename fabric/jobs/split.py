"""Pure: fan-out of a job into subtasks, and which bytes of its inputs belong to which items.

`jobs.inputs` keeps for each model input where its items lie, in order:

    {"image": {"broadcast": false, "parts": [
        {"encoding": "rows", "key": …, "offset": bytes, "items": n, "row_bytes": …, "dtype": …, "shape": [of one item]},
        {"encoding": "rows", "inline": base64, "items": n, "row_bytes": …, "dtype": …, "shape": […]},
        {"encoding": "strings", "key" or "inline", "offset": bytes, "dtype": "string", "shape": […], "sizes": [bytes of each item]},
        {"encoding": "image" (or "audio", "video"), "key": …, "offset": bytes, "sizes": [bytes of each file, one after another]}]}}

A broadcast input has one part of one item, which goes whole to every subtask.
"""

import base64
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from fabric.core.errors import EmptyJob, Invalid

SUBTASKS_MIN = 12  # so that no machine waits long for the last one, where there are items enough
MICROSECONDS_PER_S = 1_000_000


def choose_items_per_subtask(
    items: int, item_us: float, *, target_s: float, subtasks_max: int, batch_fixed: int = 1, wanted: int | None = None
) -> int:
    """How many items each subtask gets (the last one may get fewer).

    Args:
        items: Of the whole job.
        item_us: Expected microseconds of one item.
        target_s: A subtask should run about this long.
        subtasks_max: Subtasks of one job.
        batch_fixed: The model takes exactly so many at a time; subtasks are multiples of it.
        wanted: The requestor's own choice, which is honoured.

    Raises:
        EmptyJob: no items.
        Invalid: the requestor's choice makes too many subtasks.
    """
    if items < 1:
        raise EmptyJob
    fewest = -(-items // subtasks_max)
    if wanted is not None:
        if wanted < fewest:
            raise Invalid(f"{items} items at {wanted} an item make more than {subtasks_max} subtasks; take at least {fewest}.")
        return min(wanted, items)
    by_time = round(target_s * MICROSECONDS_PER_S / max(item_us, 1.0))
    count = max(1, fewest, min(by_time, items // SUBTASKS_MIN))
    return min(items, -(-count // batch_fixed) * batch_fixed)


def count_subtasks(items: int, items_per_subtask: int) -> int:
    """How many subtasks that makes."""
    return -(-items // items_per_subtask)


@dataclass(frozen=True, slots=True)
class SlicedPart:
    """Consecutive items of one input: bytes [offset, offset + length) of the object `key`, or `data` itself."""

    encoding: str  # "rows", or of items with sizes "strings", "image", "audio", "video"
    item_count: int
    key: str | None
    data: bytes | None
    offset: int
    length: int
    dtype: str = ""
    shape: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SlicedInput:
    """What one subtask gets of one model input, in order."""

    name: str
    broadcast: bool
    parts: tuple[SlicedPart, ...]


@dataclass(frozen=True, slots=True)
class _StoredPart:
    first: int  # index of its first item within the input
    items: int
    encoding: str
    key: str | None
    data: bytes | None
    offset: int
    bounds: tuple[int, ...]  # items with sizes only: where each item begins, relative to offset, and where the last one ends
    row_bytes: int = 0
    dtype: str = ""
    shape: tuple[int, ...] = ()

    def slice(self, start: int, stop: int) -> SlicedPart:
        """Items [start, stop) of this part."""
        if self.bounds:
            begin, end = self.bounds[start], self.bounds[stop]
            sizes = tuple(self.bounds[i + 1] - self.bounds[i] for i in range(start, stop))
        else:
            begin, end, sizes = start * self.row_bytes, stop * self.row_bytes, ()
        # Nothing is not fetched: empty texts, say, which no range of an object could name.
        data = b"" if begin == end else None if self.data is None else self.data[begin:end]
        return SlicedPart(
            self.encoding, stop - start, self.key, data, self.offset + begin, end - begin, self.dtype, self.shape, sizes
        )


@dataclass(frozen=True, slots=True)
class _StoredInput:
    name: str
    broadcast: bool
    parts: tuple[_StoredPart, ...]
    firsts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JobInputs:
    """jobs.inputs, read once so that slicing it many times is cheap."""

    inputs: tuple[_StoredInput, ...]


def read_inputs(document: Mapping[str, Any]) -> JobInputs:
    """Read what jobs.inputs keeps."""
    inputs = []
    for name, stored in document.items():
        parts: list[_StoredPart] = []
        first = 0
        for part in stored["parts"]:
            parts.append(_stored_part(part, first))
            first += parts[-1].items
        inputs.append(_StoredInput(name, bool(stored.get("broadcast")), tuple(parts), tuple(part.first for part in parts)))
    return JobInputs(tuple(inputs))


def slice_inputs(inputs: JobInputs | Mapping[str, Any], start: int, count: int) -> tuple[SlicedInput, ...]:
    """The parts of items [start, start + count) of every input; a broadcast input is given whole."""
    if not isinstance(inputs, JobInputs):
        inputs = read_inputs(inputs)
    return tuple(
        SlicedInput(stored.name, stored.broadcast, _whole(stored) if stored.broadcast else _between(stored, start, start + count))
        for stored in inputs.inputs
    )


def _stored_part(part: Mapping[str, Any], first: int) -> _StoredPart:
    data = base64.b64decode(part["inline"]) if "inline" in part else None
    offset = part.get("offset", 0)
    if "sizes" in part:
        bounds, shape = tuple(accumulate(part["sizes"], initial=0)), tuple(part.get("shape", ()))
        dtype = part.get("dtype", "")
        return _StoredPart(
            first, len(part["sizes"]), part["encoding"], part.get("key"), data, offset, bounds, 0, dtype, shape
        )  # fmt: skip
    return _StoredPart(
        first, part["items"], "rows", part.get("key"), data, offset, (), part["row_bytes"], part["dtype"], tuple(part["shape"])
    )


def _whole(stored: _StoredInput) -> tuple[SlicedPart, ...]:
    return tuple(part.slice(0, part.items) for part in stored.parts)


def _between(stored: _StoredInput, start: int, stop: int) -> tuple[SlicedPart, ...]:
    sliced = []
    index = max(0, bisect_right(stored.firsts, start) - 1)
    while index < len(stored.parts) and stored.parts[index].first < stop:
        part = stored.parts[index]
        begin, end = max(start - part.first, 0), min(stop - part.first, part.items)
        if begin < end:
            sliced.append(part.slice(begin, end))
        index += 1
    return tuple(sliced)
