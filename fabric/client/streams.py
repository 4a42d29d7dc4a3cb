"""What comes as a stream, read piece by piece: server-sent events, and results as parts."""

import json
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from fabric.client.errors import FabricClientError
from fabric.codecs.frame import decode_frame

PART_HEADER = struct.Struct("<IIQ")  # item_start, item_count, frame bytes
FINISHED = {"succeeded", "failed", "cancelled"}
"""States in which a job stays, and after which its events end."""
Event = tuple[int, str, dict[str, Any]]
Part = tuple[int, int, bytes]
Arrays = dict[str, "np.ndarray[Any, Any]"]


class EventReader:
    """Lines of a text/event-stream to (id, type, data); comments are skipped."""

    def __init__(self) -> None:
        """Begin before the first line."""
        self._id, self._kind, self._data = 0, "message", ""

    def feed(self, line: str) -> Event | None:
        """Take in one line; the event that it ends, if it ends one."""
        if not line:
            event = (self._id, self._kind, json.loads(self._data)) if self._data else None
            self._kind, self._data = "message", ""
            return event
        if not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "id":
                self._id = int(value)
            elif field == "event":
                self._kind = value
            elif field == "data":
                self._data += value
        return None


def parse_events(lines: Iterable[str]) -> Iterator[Event]:
    """All events of these lines."""
    reader = EventReader()
    for line in lines:
        if event := reader.feed(line):
            yield event


class PartReader:
    """A stream of parts, as it comes, to (item_start, item_count, tensor frame)."""

    def __init__(self) -> None:
        """Begin before the first byte."""
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Part]:
        """Take in some bytes; the parts that they complete."""
        self._buffer += chunk
        while len(self._buffer) >= PART_HEADER.size:
            start, count, size = PART_HEADER.unpack_from(self._buffer)
            end = PART_HEADER.size + size
            if len(self._buffer) < end:
                return
            frame = bytes(self._buffer[PART_HEADER.size : end])
            del self._buffer[:end]
            yield start, count, frame

    def end(self) -> None:
        """There is nothing more.

        Raises:
            FabricClientError: the stream ended in the middle of a part.
        """
        if self._buffer:
            raise FabricClientError(
                "the results ended in the middle of a part: the connection was cut. Nothing is lost; ask for them again."
            )


class Assembly:
    """Whole arrays, put together of parts that may come in any order."""

    def __init__(self, total: int, failed: set[int]) -> None:
        """For a job of `total` items, of which the `failed` have no row in any part."""
        self._total, self._failed = total, failed
        self._rows: dict[str, list[Any]] = {}
        self._whole: Arrays = {}
        self.present = np.zeros(total, dtype=bool)
        """Which items have results so far."""

    def add(self, part: Part) -> None:
        """Take in one part. It holds rows for its items that did not fail, in order."""
        start, count, frame = part
        good = np.array([i for i in range(start, start + count) if i not in self._failed], dtype=np.int64)
        self.present[good] = True
        for name, tensor in decode_frame(frame).items():
            array = self._whole.get(name)
            if array is None and name not in self._rows:
                array = self._whole[name] = _blank(self._total, tensor)
            if array is not None and array.shape[1:] == tensor.shape[1:]:
                array[good] = tensor
                continue
            ragged = self._rows.setdefault(name, [None] * self._total)
            if array is not None:
                for index in np.flatnonzero(self.present):
                    ragged[index] = array[index]
                del self._whole[name]
            for index, row in zip(good, tensor, strict=True):
                ragged[index] = row

    def outputs(self) -> Arrays:
        """The outputs by name; object arrays of one array each where shapes differ."""
        for name, listed in self._rows.items():
            self._whole[name] = np.empty(self._total, dtype=object)
            self._whole[name][:] = listed
        return self._whole


def finished(outputs: Arrays, present: "np.ndarray[Any, Any]", manifest: dict[str, Any]) -> Arrays:
    """Outputs as a person gets them: JSON as what it says, and masked where items have no result."""
    for output in manifest["outputs"]:
        if output.get("media_type") == "application/json" and output["name"] in outputs:
            outputs[output["name"]] = _parsed(outputs[output["name"]])
    if present.all():
        return outputs
    return {name: np.ma.array(array, mask=_mask(array, present)) for name, array in outputs.items()}


def _parsed(texts: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """JSON texts as what they say."""
    values = np.empty(len(texts), dtype=object)
    for index, text in enumerate(texts):
        values[index] = json.loads(text) if isinstance(text, str) and text else None
    return values


def _blank(total: int, tensor: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    fill: Any = np.nan if tensor.dtype.kind in "fc" else 0
    if tensor.dtype == object:
        fill = b"" if tensor.size and isinstance(tensor.flat[0], bytes) else ""
    return np.full((total, *tensor.shape[1:]), fill, dtype=tensor.dtype)


def _mask(array: "np.ndarray[Any, Any]", present: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    return np.broadcast_to(~present.reshape(-1, *[1] * (array.ndim - 1)), array.shape)
