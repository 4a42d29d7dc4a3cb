"""Texts and byte strings of differing length as plain bytes: first the lengths, then the contents. Nothing is ever unpickled."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRING = "string"
BYTES = "bytes"
BFLOAT16 = "bfloat16"
VARIABLE = frozenset({STRING, BYTES})
"""Dtypes whose elements differ in length; arrays of them hold Python objects."""
TEXT_BYTES_MAX = 1 << 30  # of one element
LENGTH_BYTES = 4

Array = NDArray[Any]


class BadTexts(ValueError):
    """These bytes are no packed texts."""


def numpy_dtype(name: str) -> "np.dtype[Any]":
    """NumPy's dtype for a dtype of ours: texts are objects, and bfloat16, which NumPy lacks, is kept as float32."""
    if name in VARIABLE:
        return np.dtype(object)
    return np.dtype("float32" if name == BFLOAT16 else name)


def pack(elements: Iterable[str | bytes]) -> bytes:
    """The elements as one run of bytes: a u32 (little-endian) length for each, then their contents.

    Raises:
        BadTexts: an element is neither text nor bytes, too long, or holds half a character.
    """
    try:
        contents = [element if isinstance(element, bytes) else element.encode() for element in elements]
    except (UnicodeEncodeError, AttributeError) as error:
        raise BadTexts("an element is no text") from error
    if any(len(content) > TEXT_BYTES_MAX for content in contents):
        raise BadTexts(f"an element has more than {TEXT_BYTES_MAX} bytes")
    return b"".join([np.fromiter(map(len, contents), "<u4", len(contents)).tobytes(), *contents])


def unpack(packed: bytes | memoryview, count: int, dtype: str) -> list[Any]:
    """The `count` elements, texts or bytes as `dtype` says.

    Raises:
        BadTexts: the lengths do not add up, or a text is not UTF-8.
    """
    view = memoryview(packed)
    head = count * LENGTH_BYTES
    if len(view) < head:
        raise BadTexts(f"{len(view)} bytes are too few for {count} elements")
    lengths = np.frombuffer(view[:head], "<u4").tolist()
    if head + sum(lengths) != len(view):
        raise BadTexts("the lengths do not add up")
    elements, at = [], head
    for length in lengths:
        elements.append(bytes(view[at : at + length]))
        at += length
    if dtype == BYTES:
        return elements
    try:
        return [element.decode() for element in elements]
    except UnicodeDecodeError as error:
        raise BadTexts("a text is not UTF-8") from error


def array_of(elements: Sequence[Any], shape: tuple[int, ...]) -> Array:
    """The elements as an array of objects. (`np.array` would look inside them.)"""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(shape)
