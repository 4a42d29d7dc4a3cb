"""The Codec protocol, and what codecs share.

A codec says how stored items (rows of an array, image files …) become the items of one model input. Control plane and client
use it to check what is sent, actors to decode it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fabric.core.errors import Invalid

Array = NDArray[Any]
Buffer = bytes | bytearray | memoryview
Assets = Mapping[str, str]
"""Files that came with a model, such as its tokenizer.json, by name."""
NO_ASSETS: Assets = MappingProxyType({})


class BadPayload(ValueError):
    """These bytes can never be items of this input: a whole part is wrong, not one item of it."""


@dataclass(frozen=True, slots=True)
class Payload:
    """Consecutive items as they are stored."""

    item_count: int
    data: Buffer
    dtype: str = ""  # of rows, or "string"
    shape: tuple[int, ...] = ()  # of one item, of rows and texts
    sizes: tuple[int, ...] = ()  # items of differing length: bytes of each


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """An item that cannot be decoded while its neighbours can."""

    index: int  # within the payload
    code: str
    detail: str


class Decoder(Protocol):
    """One input's way from stored items to what the model takes.

    1. `item_shape` gives the shape of a decoded item of this payload, or raises BadPayload when its bytes do not fit.
    2. `view` gives items [start, stop) without copying, or None where they must be computed.
    3. `decode` writes items [start, stop) into the first rows of `out`, in order, and tells which of them failed; those rows
       hold anything.
    """

    def item_shape(self, payload: Payload) -> tuple[int, ...]:
        """Promise 1."""
        ...

    def view(self, payload: Payload, start: int, stop: int) -> Array | None:
        """Promise 2."""
        ...

    def decode(self, payload: Payload, start: int, stop: int, out: Array) -> list[ItemFailure]:
        """Promise 3."""
        ...


@runtime_checkable
class BatchDecoder(Protocol):
    """The way of an input whose decoded items have no size of their own: they are padded to the longest of their batch.

    `decode_batch` gives an array for each field, one row for each item, and tells which items failed; their rows hold anything.
    The first field is the input's own, the others can feed inputs whose card entry is `derived`.
    """

    fields: tuple[str, ...]

    def check(self, payload: Payload) -> None:
        """Raises BadPayload when these bytes do not fit."""
        ...

    def decode_batch(self, items: Sequence[Buffer]) -> tuple[dict[str, Array], list[ItemFailure]]:
        """Decode items that are run together, given as they are stored; indices of failures count these items."""
        ...


class Codec(Protocol):
    """A kind of input.

    `spec` is the model's word about the input: `{"dtype": numpy name, "string" or "bfloat16", "shape": [int | None …] with the item
    axis first}`.

    1. `complete_entry` gives the card's entry with every default filled in; completing it again changes nothing. It raises
       Invalid when the entry is wrong or cannot feed such an input.
    2. `decoder` compiles a completed entry, once for each model and input. It raises Invalid when an asset is missing or damaged.
    """

    name: str
    encoding: str  # of its parts: "rows", "strings" (texts), or for files "image", "audio" or "video"; "" when nothing is given
    fields: tuple[str, ...]  # of its BatchDecoder; none for a Decoder

    def complete_entry(self, entry: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        """Promise 1."""
        ...

    def decoder(self, entry: Mapping[str, Any], spec: Mapping[str, Any], assets: Assets = NO_ASSETS) -> Decoder | BatchDecoder:
        """Promise 2."""
        ...


def refuse_unknown_keys(entry: Mapping[str, Any], known: frozenset[str]) -> None:
    """Spelling mistakes must not become defaults.

    Raises:
        Invalid: the entry has a key that its codec does not know.
    """
    if unknown := sorted(set(entry) - known):
        raise Invalid(f"unknown {', '.join(map(repr, unknown))}; known are {', '.join(sorted(known))}.")


@dataclass(frozen=True, slots=True)
class Affine:
    """`(x * scale - mean) / std`, folded into `x * factor + offset` in the model's precision."""

    factor: Array | None  # None: 1
    offset: Array | None  # None: 0

    @classmethod
    def of(cls, entry: Mapping[str, Any], dtype: np.dtype[Any], channel_shape: tuple[int, ...]) -> "Affine":
        """Fold a completed entry. Values per channel are shaped so that they broadcast against an item: `channel_shape`
        is the item's rank with -1 on the channel axis.
        """
        scale = np.float64(entry["scale"])
        mean = np.asarray(0.0 if entry["mean"] is None else entry["mean"], dtype=np.float64)
        std = np.asarray(1.0 if entry["std"] is None else entry["std"], dtype=np.float64)
        # Half floats are computed in single precision, or raw values above 2048 would be rounded before they are scaled.
        precision = np.dtype(np.float64 if dtype == np.float64 else np.float32)
        factor, offset = (_shaped(v.astype(precision), channel_shape) for v in (scale / std, -mean / std))
        return cls(factor if np.any(factor != 1) else None, offset if np.any(offset != 0) else None)

    @property
    def is_identity(self) -> bool:
        """True when nothing is computed."""
        return self.factor is None and self.offset is None

    def write(self, source: Array, out: Array) -> None:
        """Compute `source` into `out`; both have the same shape."""
        if self.factor is not None:
            np.multiply(source, self.factor, out=out, casting="unsafe", dtype=self.factor.dtype)
            source = out
        if self.offset is not None:
            np.add(source, self.offset, out=out, casting="unsafe", dtype=self.offset.dtype)
        elif self.factor is None:
            np.copyto(out, source, casting="unsafe")


def completed_scaling(entry: Mapping[str, Any], channels: int | None, default_scale: float) -> dict[str, Any]:
    """`scale`, `mean` and `std` of an entry as checked floats or lists of them, one for each channel.

    Raises:
        Invalid: they are no finite numbers, std has a 0, or a list's length is not `channels`.
    """
    scale = _number("scale", entry.get("scale", default_scale))
    mean, std = (_per_channel(key, entry.get(key), channels) for key in ("mean", "std"))
    if std is not None and not np.all(np.asarray(std)):
        raise Invalid("`std` may not be 0.")
    return {"scale": scale, "mean": mean, "std": std}


def _shaped(value: Array, channel_shape: tuple[int, ...]) -> Array:
    return value.reshape(channel_shape) if value.ndim else value


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise Invalid(f"`{key}` must be a finite number.")
    return float(value)


def _per_channel(key: str, value: Any, channels: int | None) -> float | list[float] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        return _number(key, value)
    if channels is None or len(value) != channels:
        raise Invalid(f"`{key}` has {len(value)} values for {channels or 'an unknown number of'} channels.")
    return [_number(key, v) for v in value]
