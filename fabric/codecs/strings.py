"""Stored texts to model items.

A text that is an item of its own is stored as its UTF-8 bytes; an item of several texts as `texts.pack` packs them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import Any

from fabric.codecs.base import Array, BadPayload, ItemFailure, Payload
from fabric.codecs.texts import STRING, BadTexts, array_of, pack, unpack

ENCODING = "strings"


def strings_of(array: Array) -> list[bytes]:
    """The items of an array of texts as they are stored, along axis 0.

    Raises:
        BadTexts: an element is no text.
    """
    if array.ndim == 1:
        return [_utf8(text) for text in array]
    return [pack(_texts(item)) for item in array]


def items_of(payload: Payload, start: int, stop: int) -> Iterator[memoryview]:
    """The stored bytes of items [start, stop) of a payload with sizes."""
    data = memoryview(payload.data)
    ends = list(accumulate(payload.sizes[:stop]))
    for index in range(start, stop):
        yield data[ends[index] - payload.sizes[index] : ends[index]]


def check_sizes(payload: Payload, what: str) -> None:
    """Check that the sizes of a payload's items add up to its data.

    Raises:
        BadPayload: they do not.
    """
    sizes = payload.sizes
    if len(sizes) != payload.item_count or sum(sizes) != len(payload.data) or min(sizes, default=0) < 0:
        raise BadPayload(f"the sizes of the {what} do not add up to the data")


@dataclass(frozen=True, slots=True)
class StringsDecoder:
    """Stored texts to arrays of texts."""

    shape: tuple[int | None, ...]  # of one item, as the model says it

    def item_shape(self, payload: Payload) -> tuple[int, ...]:
        """The items' own shape.

        Raises:
            BadPayload: no texts, another shape, or sizes that do not add up.
        """
        shape = payload.shape
        if payload.dtype != STRING:
            raise BadPayload(f"{payload.dtype or 'files'} for an input of texts")
        if len(shape) != len(self.shape) or any(w is not None and w != n for w, n in zip(self.shape, shape, strict=True)):
            raise BadPayload(f"items of shape {list(shape)} for an input of {list(self.shape)}")
        check_sizes(payload, "texts")
        return shape

    def view(self, payload: Payload, start: int, stop: int) -> Array | None:
        """Never: texts must be read."""
        return None

    def decode(self, payload: Payload, start: int, stop: int, out: Array) -> list[ItemFailure]:
        """Read one item after the other."""
        failures = []
        for row, stored in enumerate(items_of(payload, start, stop)):
            try:
                texts = unpack(stored, prod(payload.shape), STRING) if payload.shape else [bytes(stored).decode()]
            except (BadTexts, UnicodeDecodeError):
                failures.append(ItemFailure(start + row, "corrupt_text", "not UTF-8, or lengths that do not add up"))
                texts = [""] * prod(payload.shape)
            if payload.shape:
                out[row] = array_of(texts, payload.shape)
            else:
                out[row] = texts[0]
        return failures


def _texts(item: Array) -> Sequence[Any]:
    return [str(text) if isinstance(text, str) else text for text in item.flat]


def _utf8(text: Any) -> bytes:
    if not isinstance(text, str):
        raise BadTexts("an element is no text")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadTexts("a text holds half a character") from error
