"""The tensor frame: named tensors as bytes, read without copying and without trust.

Layout: `FBT1`, u32 little-endian header length, msgpack header `[[name, dtype, shape, nbytes] …]`, then the buffers, little-endian
and in C order; header and buffers each begin on a multiple of 8 bytes. Elements of differing length (`string`: UTF-8, `bytes`) are
packed as `texts.pack` does. A frame may be a stranger's: `decode_header` checks every type, count and size before anything is
allocated, and raises BadFrame.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from fabric.codecs.texts import BYTES, LENGTH_BYTES, STRING, VARIABLE, BadTexts, array_of, pack, unpack

MAGIC = b"FBT1"
HEADER_BYTES_MAX = 64 * 1024
ENTRIES_MAX = 256
NAME_CHARACTERS_MAX = 256
RANK_MAX = 16
TENSOR_BYTES_MAX = 1 << 40
DTYPES = frozenset({
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
})  # fmt: skip
"""What is carried as it lies in memory; beside these there are `string` and `bytes`."""
_ITEM_BYTES = {name: np.dtype(name).itemsize for name in DTYPES} | dict.fromkeys(VARIABLE, LENGTH_BYTES)  # at least
_NAME_OF = {np.dtype(name).newbyteorder("<"): name for name in DTYPES}  # a look-up; numpy builds `dtype.name` anew each time
_PREFIX = struct.Struct("<4sI")
_ALIGNMENT = 8

Array = NDArray[Any]


class BadFrame(ValueError):
    """The bytes are no frame of this version, or one that breaks a limit."""


@dataclass(frozen=True, slots=True)
class FrameEntry:
    """One tensor of a frame."""

    name: str
    dtype: str  # numpy's name
    shape: tuple[int, ...]
    offset: int  # bytes from the beginning of the frame
    nbytes: int


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What a frame says of itself. Nothing here proves that the buffers are there: compare `total_bytes`."""

    entries: tuple[FrameEntry, ...]
    header_bytes: int  # everything before the first buffer
    total_bytes: int


def encode_frame(tensors: Mapping[str, Array | Sequence[Array]]) -> bytes:
    """The tensors as one frame, each copied once. A sequence of arrays is one tensor in pieces along axis 0.

    Raises:
        BadFrame: a dtype that frames do not carry, or pieces that do not fit together.
    """
    return b"".join(frame_buffers(tensors))


def frame_buffers(tensors: Mapping[str, Array | Sequence[Array]]) -> list[bytes | memoryview]:
    """What makes up the frame of these tensors, one after another: their own memory, wherever it can be taken as it is.

    Raises:
        BadFrame: a dtype that frames do not carry, or pieces that do not fit together.
    """
    fields: list[list[Any]] = []
    buffers: list[bytes | memoryview] = []
    for name, tensor in tensors.items():
        pieces = [tensor] if isinstance(tensor, np.ndarray) else list(tensor)
        dtype, shape = _common_form(name, pieces)
        if dtype in VARIABLE:
            packed = _packed(name, pieces)
            fields.append([name, dtype, shape, len(packed)])
            buffers += [packed, bytes(-len(packed) % _ALIGNMENT)]
            continue
        nbytes = prod(shape) * _ITEM_BYTES[dtype]
        fields.append([name, dtype, shape, nbytes])
        buffers.extend(_buffer_of(piece) for piece in pieces if piece.size)
        buffers.append(bytes(-nbytes % _ALIGNMENT))
    header = msgpack.packb(fields, use_bin_type=True)
    padding = bytes(-(_PREFIX.size + len(header)) % _ALIGNMENT)
    if len(header) + len(padding) > HEADER_BYTES_MAX:
        raise BadFrame("too many or too long names")
    return [_PREFIX.pack(MAGIC, len(header)) + header + padding, *buffers]


def decode_header(prefix: bytes | memoryview) -> FrameHeader:
    """Read the header from the frame's first bytes (HEADER_BYTES_MAX + 16 always suffice).

    Raises:
        BadFrame: it is none, it breaks a limit, or `prefix` ends before it does.
    """
    view = memoryview(prefix)
    if len(view) < _PREFIX.size:
        raise BadFrame("truncated")
    magic, length = _PREFIX.unpack_from(view)
    if magic != MAGIC:
        raise BadFrame("not a tensor frame")
    header_bytes = _aligned(_PREFIX.size + length)
    if length > HEADER_BYTES_MAX or len(view) < header_bytes:
        raise BadFrame("the header is too long or truncated")
    try:
        fields = msgpack.unpackb(view[_PREFIX.size : _PREFIX.size + length], raw=False, strict_map_key=True)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise BadFrame("the header is not msgpack") from error
    if not isinstance(fields, list) or len(fields) > ENTRIES_MAX:
        raise BadFrame("the header is not a list, or too long")
    entries = []
    end = header_bytes
    for field in fields:
        entry = _entry_of(field, end)
        entries.append(entry)
        end = _aligned(entry.offset + entry.nbytes)
    if len({entry.name for entry in entries}) < len(entries):
        raise BadFrame("a name occurs twice")
    return FrameHeader(tuple(entries), header_bytes, end)


def decode_frame(frame: bytes | memoryview) -> dict[str, Array]:
    """The tensors as read-only views into `frame`; texts and byte strings as arrays of objects.

    Raises:
        BadFrame: it is none, or its length is not what its header says.
    """
    header = decode_header(frame)
    if len(frame) != header.total_bytes:
        raise BadFrame(f"{len(frame)} bytes where the header says {header.total_bytes}")
    view = memoryview(frame).toreadonly()
    return {e.name: tensor_of(e, view[e.offset : e.offset + e.nbytes]) for e in header.entries}


def tensor_of(entry: FrameEntry, buffer: bytes | memoryview) -> Array:
    """One tensor of a frame from its own bytes.

    Raises:
        BadFrame: they are not what its entry says.
    """
    if len(buffer) != entry.nbytes:
        raise BadFrame("truncated")
    if entry.dtype not in VARIABLE:
        return np.frombuffer(buffer, dtype=np.dtype(entry.dtype).newbyteorder("<")).reshape(entry.shape)
    try:
        array = array_of(unpack(buffer, prod(entry.shape), entry.dtype), entry.shape)
    except BadTexts as error:
        raise BadFrame(f"{entry.name!r}: {error}") from error
    array.flags.writeable = False
    return array


def frame_matches(header: FrameHeader, outputs: Mapping[str, Mapping[str, Any]], item_count: int) -> str | None:
    """Say what is wrong with a subtask's output, or None: one tensor for each model output, `item_count` rows each.

    `outputs` is the model's: name -> {"dtype", "shape"} with None for dimensions that are not fixed. The rows of an output
    without an item axis (a scalar, say) are stacked along a new one.
    """
    found = {entry.name: entry for entry in header.entries}
    if found.keys() != outputs.keys():
        return f"outputs {sorted(found)} where the model has {sorted(outputs)}"
    for name, spec in outputs.items():
        entry = found[name]
        # An empty array of objects does not tell what it would hold.
        if entry.dtype != spec["dtype"] and (item_count or not {entry.dtype, spec["dtype"]} <= VARIABLE):
            return f"output {name!r} is {entry.dtype}, not {spec['dtype']}"
        if not entry.shape or entry.shape[0] != item_count:
            return f"output {name!r} has shape {list(entry.shape)}, not {item_count} rows"
        whole = spec["shape"]
        if not (_fits(entry.shape[1:], whole[1:]) or _fits(entry.shape[1:], whole)):
            return f"output {name!r} has shape {list(entry.shape)}, the model says {list(whole)}"
    return None


def _fits(shape: tuple[int, ...], spec: Sequence[int | str | None]) -> bool:
    return len(shape) == len(spec) and all(not isinstance(w, int) or n == w for n, w in zip(shape, spec, strict=True))


def _common_form(name: str, pieces: list[Array]) -> tuple[str, tuple[int, ...]]:
    if not pieces:
        raise BadFrame(f"{name!r} has no pieces")
    first = pieces[0]
    dtype, shape = _NAME_OF.get(first.dtype) or _variable_name(pieces) or first.dtype.name, first.shape
    if dtype not in DTYPES and dtype not in VARIABLE:
        raise BadFrame(f"{name!r} is {dtype}, which frames do not carry")
    if len(pieces) == 1:
        return dtype, shape
    if any(not p.ndim or p.dtype != first.dtype or p.shape[1:] != shape[1:] for p in pieces):
        raise BadFrame(f"the pieces of {name!r} do not fit together")
    return dtype, (sum(len(p) for p in pieces), *shape[1:])


def _variable_name(pieces: list[Array]) -> str | None:
    """What arrays of objects hold: texts, or byte strings; None for anything else, and for NumPy's own texts of fixed width."""
    if any(piece.dtype != object for piece in pieces):
        return None
    kinds = {type(element) for piece in pieces for element in piece.flat}
    if kinds <= {str}:
        return STRING
    return BYTES if kinds <= {bytes} else None


def _packed(name: str, pieces: list[Array]) -> bytes:
    try:
        return pack(element for piece in pieces for element in piece.flat)
    except BadTexts as error:
        raise BadFrame(f"{name!r}: {error}") from error


def _buffer_of(piece: Array) -> memoryview:
    little_endian = piece if piece.dtype in _NAME_OF else piece.astype(piece.dtype.newbyteorder("<"))
    contiguous = np.ascontiguousarray(little_endian)
    return contiguous.reshape(-1).data.cast("B")


def _entry_of(field: Any, offset: int) -> FrameEntry:
    if not isinstance(field, list) or len(field) != 4:
        raise BadFrame("an entry is not [name, dtype, shape, nbytes]")
    name, dtype, shape, nbytes = field
    if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARACTERS_MAX:
        raise BadFrame("a name is no text, or too long")
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        raise BadFrame("an unknown dtype")
    if not isinstance(shape, list) or len(shape) > RANK_MAX:
        raise BadFrame("a shape is no list, or too long")
    if any(type(n) is not int or not 0 <= n <= TENSOR_BYTES_MAX for n in shape):
        raise BadFrame("a dimension is no count, or too large")
    if prod(n or 1 for n in shape) > TENSOR_BYTES_MAX:  # a 0 may not hide dimensions that numpy cannot hold
        raise BadFrame("the dimensions are too large together")
    least = prod(shape) * _ITEM_BYTES[dtype]
    if type(nbytes) is not int or not least <= nbytes <= TENSOR_BYTES_MAX or (nbytes != least and dtype not in VARIABLE):
        raise BadFrame("the byte count does not fit dtype and shape")
    return FrameEntry(name, dtype, tuple(shape), offset, nbytes)


def _aligned(offset: int) -> int:
    return offset + -offset % _ALIGNMENT
