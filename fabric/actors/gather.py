"""An order's parts: which byte ranges to fetch, and from them the items of each model input."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fabric.actors.messages import InputOrder, ItemError, Order, Part
from fabric.actors.sessions import LoadedModel
from fabric.actors.transfer import ByteRange, TransferFailed
from fabric.codecs.base import Array, BadPayload, Buffer, Decoder, Payload
from fabric.codecs.registry import codec_named

WASTE_BYTES_MAX = 1024 * 1024  # a range may always contain so much that nobody asked for
ITEM_ERROR_CHARACTERS_MAX = 120


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What to fetch, and where each part then lies."""

    ranges: list[ByteRange]
    places: dict[int, tuple[int, int]]  # id(part) -> index of its range, offset inside it


def plan_fetches(order: Order) -> FetchPlan:
    """Parts behind one URL become one range from the first to the last of them; only when more than half of that would be
    waste, each run of neighbours becomes a range of its own.
    """
    by_url: dict[str, list[Part]] = {}
    for subtask in order.subtasks:
        for wanted in subtask.inputs:
            for part in wanted.parts:
                if part.url is not None:
                    by_url.setdefault(part.url, []).append(part)
    ranges: list[ByteRange] = []
    places: dict[int, tuple[int, int]] = {}
    for url, parts in by_url.items():
        parts.sort(key=lambda p: p.offset)
        for group in _groups(parts):
            first, end = group[0].offset, max(p.offset + p.length for p in group)
            for part in group:
                places[id(part)] = (len(ranges), part.offset - first)
            ranges.append(ByteRange(url, first, end - first))
    return FetchPlan(ranges, places)


def _groups(parts: list[Part]) -> list[list[Part]]:
    runs: list[list[Part]] = []
    end = used = -1
    for part in parts:
        if runs and part.offset <= end:
            runs[-1].append(part)
        else:
            runs.append([part])
        used += max(0, part.offset + part.length - max(end, part.offset))
        end = max(end, part.offset + part.length)
    covered = end - parts[0].offset
    return [parts] if covered <= 2 * used + WASTE_BYTES_MAX else runs


class InputItems:
    """The items of one input of one subtask, decoded when they are taken."""

    def __init__(self, name: str, payloads: list[Payload], decoder: Decoder, dtype: np.dtype[Any]):
        """Check that the payloads can be items of this input.

        Raises:
            BadPayload: they cannot.
        """
        shapes = {decoder.item_shape(payload) for payload in payloads}
        if len(shapes) != 1:
            raise BadPayload(f"input {name!r} has items of differing shapes")
        self.name = name
        self.count = sum(payload.item_count for payload in payloads)
        (self.item_shape,) = shapes
        self.dtype = dtype
        self._payloads = payloads
        self._decoder = decoder

    def take(self, start: int, stop: int, model: LoadedModel) -> tuple[Array, list[ItemError]]:
        """Items [start, stop), in the bytes they came in or in the model's buffer, and those that failed: their rows hold anything."""
        if len(self._payloads) == 1:
            view = self._decoder.view(self._payloads[0], start, stop)
            if view is not None:
                return view, []
        out = model.buffer(self.name, (stop - start, *self.item_shape), self.dtype)
        errors = []
        first = 0
        for payload in self._payloads:
            begin, end = max(start - first, 0), min(stop - first, payload.item_count)
            if begin < end:
                at = first + begin - start
                failures = self._decoder.decode(payload, begin, end, out[at : at + end - begin])
                errors += [ItemError(first + f.index, f.code, f.detail[:ITEM_ERROR_CHARACTERS_MAX]) for f in failures]
            first += payload.item_count
        return out, errors


class InputReader:
    """Turns the parts of an order's inputs into items; one for each order."""

    def __init__(self, order: Order, plan: FetchPlan, fetched: Sequence[memoryview | TransferFailed]):
        """Compile the decoders of the model's inputs.

        Raises:
            Invalid: a card entry does not fit its input.
        """
        self._places = plan.places
        self._fetched = fetched
        self._specs = order.model.inputs
        self._decoders = {name: _decoder_of(spec) for name, spec in self._specs.items()}

    def items(self, wanted: InputOrder) -> InputItems:
        """The items of one input.

        Raises:
            BadPayload: they do not fit the input.
            TransferFailed: they could not be fetched.
        """
        if wanted.name not in self._specs:
            raise BadPayload(f"the model has no input {wanted.name!r}")
        dtype = np.dtype(self._specs[wanted.name]["dtype"])
        return InputItems(wanted.name, [self._payload(part) for part in wanted.parts], self._decoders[wanted.name], dtype)

    def broadcast(self, wanted: InputOrder, model: LoadedModel) -> Array:
        """A broadcast input as the model takes it: its one item as it is, or with an item axis of 1 where the model has one.

        Raises:
            BadPayload: not one item, or it does not fit the input.
            TransferFailed: it could not be fetched.
        """
        if len(wanted.parts) != 1 or wanted.parts[0].item_count != 1:
            raise BadPayload(f"broadcast input {wanted.name!r} is not one item")
        spec = self._specs.get(wanted.name)
        if spec is not None and wanted.parts[0].encoding == "rows" and len(wanted.parts[0].shape) == len(spec["shape"]):
            decoder = _decoder_of({**spec, "shape": [None, *spec["shape"]]})
            items = InputItems(wanted.name, [self._payload(wanted.parts[0])], decoder, np.dtype(spec["dtype"]))
            array: Array = items.take(0, 1, model)[0][0]
            return array
        array, errors = self.items(wanted).take(0, 1, model)
        if errors:
            raise BadPayload(f"broadcast input {wanted.name!r}: {errors[0].detail}")
        return array

    def _payload(self, part: Part) -> Payload:
        data: Buffer
        if part.data is not None:
            data = part.data
        else:
            if id(part) not in self._places:
                raise BadPayload("a part has neither data nor a URL")
            index, begin = self._places[id(part)]
            fetched = self._fetched[index]
            if isinstance(fetched, TransferFailed):
                raise fetched
            data = fetched[begin : begin + part.length]
        return Payload(part.item_count, data, part.dtype, part.shape, part.sizes)


def _decoder_of(spec: dict[str, Any]) -> Decoder:
    entry = spec.get("codec") or {}
    codec = codec_named(entry.get("codec", "tensor"))
    return codec.decoder(codec.complete_entry(entry, spec), spec)
