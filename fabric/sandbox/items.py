"""From the parts of a run's inputs, which lie in one block of memory, the items of each model input."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fabric.codecs.base import Array, Assets, BadPayload, BatchDecoder, Decoder, Payload
from fabric.codecs.derived import sources_of
from fabric.codecs.registry import codec_named
from fabric.codecs.strings import items_of
from fabric.codecs.texts import numpy_dtype
from fabric.sandbox.messages import InputAt, PartAt
from fabric.sandbox.sessions import LoadedModel

ITEM_ERROR_CHARACTERS_MAX = 120
ItemError = tuple[int, str, str]  # index within the subtask, code, detail


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

    def take(self, start: int, stop: int, model: LoadedModel) -> tuple[dict[str, Array], list[ItemError]]:
        """Items [start, stop), in the bytes they came in or in the model's buffer, and those that failed: their rows hold anything."""
        if len(self._payloads) == 1:
            view = self._decoder.view(self._payloads[0], start, stop)
            if view is not None:
                return {self.name: view}, []
        out = model.buffer(self.name, (stop - start, *self.item_shape), self.dtype)
        errors: list[ItemError] = []
        first = 0
        for payload in self._payloads:
            begin, end = max(start - first, 0), min(stop - first, payload.item_count)
            if begin < end:
                at = first + begin - start
                failures = self._decoder.decode(payload, begin, end, out[at : at + end - begin])
                errors += [(first + f.index, f.code, f.detail[:ITEM_ERROR_CHARACTERS_MAX]) for f in failures]
            first += payload.item_count
        return {self.name: out}, errors


class PaddedItems:
    """The items of an input that are padded to the longest of their batch, and of the inputs that derive from it."""

    def __init__(self, name: str, payloads: list[Payload], decoder: BatchDecoder, feeds: Mapping[str, tuple[str, np.dtype[Any]]]):
        """`feeds`: which field feeds which inputs, and as what.

        Raises:
            BadPayload: the payloads cannot be items of this input.
        """
        for payload in payloads:
            decoder.check(payload)
        self.name = name
        self.count = sum(payload.item_count for payload in payloads)
        self._payloads = payloads
        self._decoder = decoder
        self._feeds = feeds

    def take(self, start: int, stop: int, model: LoadedModel) -> tuple[dict[str, Array], list[ItemError]]:
        """Items [start, stop) for every input that they feed, and those that failed: their rows hold anything."""
        items: list[memoryview] = []
        first = 0
        for payload in self._payloads:
            begin, end = max(start - first, 0), min(stop - first, payload.item_count)
            if begin < end:
                items += items_of(payload, begin, end)
            first += payload.item_count
        fields, failures = self._decoder.decode_batch(items)
        errors = [(start + f.index, f.code, f.detail[:ITEM_ERROR_CHARACTERS_MAX]) for f in failures]
        return {name: fields[field].astype(dtype, copy=False) for name, (field, dtype) in self._feeds.items()}, errors


class InputReader:
    """Turns the parts of a run's inputs into items; one for each run."""

    def __init__(self, specs: dict[str, dict[str, Any]], model: LoadedModel, memory: memoryview):
        """Compile the decoders of the model's inputs; the items lie in `memory`.

        Raises:
            Invalid: a card entry does not fit its input.
        """
        self._memory = memory
        self._specs = specs
        self._sources = sources_of({name: spec.get("codec") or {} for name, spec in specs.items()})
        given = {name: spec for name, spec in specs.items() if name not in self._sources}
        self._decoders = model.decoders(
            specs, lambda: {name: decoder_of(spec, model.assets) for name, spec in given.items()}
        )  # fmt: skip

    def items(self, wanted: InputAt) -> InputItems | PaddedItems:
        """The items of one input, and of those that derive from it.

        Raises:
            BadPayload: they do not fit the input.
        """
        if wanted.name not in self._decoders:
            raise BadPayload(f"the model has no input {wanted.name!r} that could be given")
        decoder = self._decoders[wanted.name]
        payloads = [self._payload(part) for part in wanted.parts]
        if not payloads:
            raise BadPayload(f"input {wanted.name!r} has no parts")
        if isinstance(decoder, BatchDecoder):
            feeds = {wanted.name: (decoder.fields[0], self._dtype(wanted.name))}
            feeds |= {
                name: (field, self._dtype(name)) for name, (source, field) in self._sources.items() if source == wanted.name
            }
            return PaddedItems(wanted.name, payloads, decoder, feeds)
        return InputItems(wanted.name, payloads, decoder, self._dtype(wanted.name))

    def broadcast(self, wanted: InputAt, model: LoadedModel) -> Array:
        """A broadcast input as the model takes it: its one item as it is, or with an item axis of 1 where the model has one.

        Raises:
            BadPayload: not one item, or it does not fit the input.
        """
        if len(wanted.parts) != 1 or wanted.parts[0].item_count != 1:
            raise BadPayload(f"broadcast input {wanted.name!r} is not one item")
        spec = self._specs.get(wanted.name)
        if spec is not None and wanted.parts[0].dtype and len(wanted.parts[0].shape) == len(spec["shape"]):
            decoder = decoder_of({**spec, "shape": [None, *spec["shape"]]}, model.assets)
            assert not isinstance(decoder, BatchDecoder)
            items = InputItems(wanted.name, [self._payload(wanted.parts[0])], decoder, self._dtype(wanted.name))
            array: Array = items.take(0, 1, model)[0][wanted.name][0]
            return array
        taken, errors = self.items(wanted).take(0, 1, model)
        if errors:
            raise BadPayload(f"broadcast input {wanted.name!r}: {errors[0][2]}")
        return taken[wanted.name]

    def _dtype(self, name: str) -> np.dtype[Any]:
        return numpy_dtype(self._specs[name]["dtype"])

    def _payload(self, part: PartAt) -> Payload:
        if part.offset is None:
            raise BadPayload("a part has neither data nor a URL")
        data = self._memory[part.offset : part.offset + part.length]
        return Payload(part.item_count, data, part.dtype, part.shape, part.sizes)


def decoder_of(spec: dict[str, Any], assets: Assets) -> Decoder | BatchDecoder:
    """Compile the card entry of an input.

    Raises:
        Invalid: it does not fit the input, or an asset is missing or damaged.
    """
    entry = spec.get("codec") or {}
    codec = codec_named(entry.get("codec", "tensor"))
    return codec.decoder(codec.complete_entry(entry, spec), spec, assets)
