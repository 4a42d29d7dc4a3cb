"""NumPy arrays: `.npy` and `.npz` headers read without pickle, JSON tensors, rows scaled to what the model takes.

The stored form of numbers is *rows*: items along axis 0, C order, little-endian, so that any run of items is one byte range of
the uploaded file. Texts are stored item by item, see `strings`.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import numpy as np

from fabric.codecs.base import (
    NO_ASSETS,
    Affine,
    Array,
    Assets,
    BadPayload,
    ItemFailure,
    Payload,
    completed_scaling,
    refuse_unknown_keys,
)
from fabric.codecs.strings import StringsDecoder
from fabric.codecs.texts import STRING, array_of, numpy_dtype
from fabric.core.errors import Invalid, InvalidInput

NPY_HEADER_BYTES_MAX = 64 * 1024
NPY_PREFIX_BYTES = 4096  # reading so much of a file gives the whole header of every ordinary .npy
JSON_ELEMENTS_MAX = 16 * 1024 * 1024
RANK_MAX = 16

DATATYPES = {
    "BOOL": "bool",
    "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
"""Open Inference names -> numpy names. Beside these there is BYTES, for texts."""
TEXTS = "BYTES"
DTYPES = frozenset(DATATYPES.values())
DATATYPE_OF = {dtype: datatype for datatype, dtype in DATATYPES.items()}
_ENTRY_KEYS = frozenset({"codec", "dtype", "scale", "mean", "std", "description"})


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """What a `.npy` file holds."""

    dtype: str  # numpy's name; of texts the descriptor, such as <U5
    shape: tuple[int, ...]
    fortran: bool
    header_bytes: int  # the data begins here

    @property
    def data_bytes(self) -> int:
        """Bytes after the header."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def is_text(self) -> bool:
        """True for texts of fixed width, which are laid out anew."""
        return self.dtype[1:2] in {"U", "S"}


def read_npy_header(prefix: bytes | memoryview) -> NpyHeader:
    """Read the header of a `.npy` file from its first bytes (NPY_PREFIX_BYTES suffice).

    Raises:
        InvalidInput: not a .npy file, truncated, or of a dtype that is not plain little-endian numbers.
    """
    data = bytes(prefix[: NPY_HEADER_BYTES_MAX + 12])
    if data[:6] != b"\x93NUMPY" or len(data) < 12 or data[6] not in {1, 2, 3}:
        raise InvalidInput("This is not a .npy file.")
    start, length = (10, int.from_bytes(data[8:10], "little")) if data[6] == 1 else (12, int.from_bytes(data[8:12], "little"))
    if length > NPY_HEADER_BYTES_MAX or len(data) < start + length:
        raise InvalidInput("The header of this .npy file is truncated or too long.")
    try:
        fields = ast.literal_eval(data[start : start + length].decode("latin-1" if data[6] < 3 else "utf-8").strip())
        descr, fortran, shape = fields["descr"], fields["fortran_order"], fields["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError) as error:
        raise InvalidInput("The header of this .npy file cannot be read.") from error
    if not isinstance(shape, tuple) or len(shape) > RANK_MAX or any(type(n) is not int or not 0 <= n < 2**48 for n in shape):
        raise InvalidInput("The shape of this .npy file cannot be read.")
    return NpyHeader(_dtype_of(descr), shape, bool(fortran), start + length)


def _dtype_of(descr: Any) -> str:
    if isinstance(descr, str) and re.fullmatch(r"[<|=][biuf][1248]", descr):
        name = np.dtype(descr).name
        if name in DTYPES:
            return name
    if isinstance(descr, str) and (text := re.fullmatch(r"[<|][US]([0-9]{1,7})", descr)) and int(text[1]):
        return descr
    if isinstance(descr, str) and descr.startswith(">"):
        raise InvalidInput("This array is big-endian; save it with `array.astype(array.dtype.newbyteorder('<'))`.")
    raise InvalidInput(f"Arrays of {descr!r} cannot be used; use {', '.join(sorted(DTYPES))}.")


def tensor_of_json(tensor: Mapping[str, Any]) -> Array:
    """The array of a JSON tensor `{"name", "datatype", "shape", "data"}`; `data` is flat or nested.

    Raises:
        InvalidInput: an unknown datatype, values that it cannot hold, or a count that is not what `shape` says.
    """
    datatype, shape, data = tensor.get("datatype"), tensor.get("shape"), tensor.get("data")
    if not isinstance(datatype, str) or (datatype not in DATATYPES and datatype != TEXTS):
        raise InvalidInput(f"Datatype {str(datatype)[:40]!r} is not one of {', '.join([*DATATYPES, TEXTS])}.")
    if not isinstance(shape, list | tuple) or len(shape) > RANK_MAX or any(type(n) is not int or n < 0 for n in shape):
        raise InvalidInput("`shape` must be a list of counts.")
    if prod(shape) > JSON_ELEMENTS_MAX:
        raise InvalidInput(f"A JSON tensor may have {JSON_ELEMENTS_MAX} elements; send a .npy file.")
    if not isinstance(data, list):
        raise InvalidInput("`data` must be a list.")
    array = _texts_of(data) if datatype == TEXTS else _array_of_values(data, np.dtype(DATATYPES[datatype]), datatype)
    if array.size != prod(shape):
        raise InvalidInput(f"`data` has {array.size} values where shape {list(shape)} says {prod(shape)}.")
    return array.reshape(shape)


def json_of_tensor(name: str, array: Array) -> dict[str, Any]:
    """The JSON tensor of an array, data flat.

    Raises:
        InvalidInput: a dtype without a datatype.
    """
    if array.dtype.kind in "OU" and all(isinstance(element, str) for element in array.flat):
        return {"name": name, "datatype": TEXTS, "shape": list(array.shape), "data": [str(element) for element in array.flat]}
    if array.dtype.name not in DATATYPE_OF:
        raise InvalidInput(f"Arrays of {array.dtype} cannot be sent.")
    return {"name": name, "datatype": DATATYPE_OF[array.dtype.name], "shape": list(array.shape), "data": array.ravel().tolist()}


def _texts_of(data: list[Any]) -> Array:
    """Texts, flat or nested, as an array of objects along one axis."""
    flat: list[str] = []
    waiting: list[Any] = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, str):
            flat.append(value)
        else:
            raise InvalidInput(f"{TEXTS} holds texts only.")
    return array_of(flat, (len(flat),))


def rows_of(array: Array) -> bytes:
    """An array's items as stored rows."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()


def _array_of_values(data: list[Any], dtype: np.dtype[Any], datatype: str) -> Array:
    try:
        values = np.asarray(data) if data else np.empty(0, dtype)
    except (ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput("`data` is ragged or holds values that are no numbers.") from error
    if values.dtype.kind not in "biuf":
        raise InvalidInput("`data` holds values that are no numbers, or too large.")
    if dtype.kind == "b":
        if values.dtype.kind != "b" and not np.isin(values, (0, 1)).all():
            raise InvalidInput("BOOL holds true and false only.")
    elif dtype.kind in "iu" and values.size:
        if values.dtype.kind == "f":
            raise InvalidInput(f"{datatype} holds whole numbers only.")
        limits = np.iinfo(dtype)
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            raise InvalidInput(f"A value lies outside {datatype}.")
    with np.errstate(over="ignore"):
        return values.astype(dtype)


class TensorCodec:
    """`{"codec": "tensor", "dtype": stored dtype, "scale", "mean", "std"}`: value = (x * scale - mean) / std, cast to the model's
    dtype. `mean` and `std` are one number, or a list along axis 0 of the item.
    """

    name = "tensor"
    encoding = "rows"
    fields: tuple[str, ...] = ()

    def complete_entry(self, entry: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in the defaults.

        Raises:
            Invalid: the entry cannot feed such an input.
        """
        refuse_unknown_keys(entry, _ENTRY_KEYS)
        if spec["dtype"] == STRING:
            return self._texts_entry(entry)
        stored = entry.get("dtype", numpy_dtype(spec["dtype"]).name)
        if not isinstance(stored, str) or stored not in DTYPES:
            raise Invalid(f"`dtype` {stored!r} is not one of {', '.join(sorted(DTYPES))}.")
        item_shape = list(spec["shape"])[1:]
        channels = item_shape[0] if item_shape else None
        completed = {"codec": self.name, "dtype": stored, **completed_scaling(entry, channels, 1.0)}
        if not is_castable(stored, numpy_dtype(spec["dtype"]).name):
            raise Invalid(f"values of {stored} cannot be given to an input of {spec['dtype']}.")
        scaled = not _affine_of(completed, spec).is_identity
        if scaled and numpy_dtype(spec["dtype"]).kind != "f":
            raise Invalid(f"`scale`, `mean` and `std` need a floating input, not {spec['dtype']}.")
        return completed

    def decoder(
        self, entry: Mapping[str, Any], spec: Mapping[str, Any], assets: Assets = NO_ASSETS
    ) -> "RowsDecoder | StringsDecoder":
        """Compile a completed entry."""
        if spec["dtype"] == STRING:
            return StringsDecoder(tuple(spec["shape"])[1:])
        return RowsDecoder(numpy_dtype(spec["dtype"]), tuple(spec["shape"])[1:], _affine_of(entry, spec))

    def _texts_entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        scaling = [key for key in ("scale", "mean", "std") if entry.get(key) not in {None, 1.0}]
        if scaling or entry.get("dtype", STRING) != STRING:
            raise Invalid("an input of texts takes texts, which are not scaled.")
        return {"codec": self.name, "dtype": STRING, "scale": 1.0, "mean": None, "std": None}


@cache
def is_castable(stored: str, wanted: str) -> bool:
    """Stored values may become wider, or narrower within their kind (numpy's own int64 and float64), never a lesser kind."""
    return bool(np.can_cast(np.dtype(stored), np.dtype(wanted), "same_kind"))


def rows_problem(dtype: str, item_shape: tuple[int, ...], entry: Mapping[str, Any], spec: Mapping[str, Any]) -> str | None:
    """Say why stored rows cannot be items of an input with this card entry and spec, or None."""
    wanted = list(spec["shape"])[1:]
    if (dtype == STRING) != (entry["dtype"] == STRING):
        return f"{'texts' if dtype == STRING else f'dtype {dtype}'} where {entry['dtype']} is expected"
    if dtype != entry["dtype"] and not is_castable(dtype, entry["dtype"]):
        return f"dtype {dtype} where {entry['dtype']} is expected"
    if len(item_shape) != len(wanted) or any(isinstance(w, int) and w != n for w, n in zip(wanted, item_shape, strict=True)):
        return f"items of shape {list(item_shape)} where {['?' if w is None else w for w in wanted]} is expected"
    return None


@dataclass(frozen=True, slots=True)
class RowsDecoder:
    """Rows to model items."""

    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]  # of one item, as the model says it
    affine: Affine

    def item_shape(self, payload: Payload) -> tuple[int, ...]:
        """The rows' own shape.

        Raises:
            BadPayload: wrong dtype, shape or length.
        """
        if payload.dtype not in DTYPES or not is_castable(payload.dtype, self.dtype.name):
            raise BadPayload(f"rows of {payload.dtype!r} for an input of {self.dtype.name}")
        shape = payload.shape
        if len(shape) != len(self.shape) or any(w is not None and w != n for w, n in zip(self.shape, shape, strict=True)):
            raise BadPayload(f"items of shape {list(shape)} for an input of {list(self.shape)}")
        expected = payload.item_count * prod(shape) * np.dtype(payload.dtype).itemsize
        if len(payload.data) != expected:
            raise BadPayload(f"{len(payload.data)} bytes where {payload.item_count} rows take {expected}")
        return shape

    def view(self, payload: Payload, start: int, stop: int) -> Array | None:
        """The rows themselves where nothing has to be computed."""
        if payload.dtype != self.dtype.name or not self.affine.is_identity:
            return None
        rows = _rows(payload)[start:stop]
        # ONNX Runtime takes a pointer, and its kernels may assume that it is aligned.
        return rows if rows.flags.aligned else None

    def decode(self, payload: Payload, start: int, stop: int, out: Array) -> list[ItemFailure]:
        """Scale and cast; rows never fail singly."""
        self.affine.write(_rows(payload)[start:stop], out[: stop - start])
        return []


def _rows(payload: Payload) -> Array:
    return np.frombuffer(payload.data, dtype=payload.dtype).reshape(payload.item_count, *payload.shape)


def _affine_of(entry: Mapping[str, Any], spec: Mapping[str, Any]) -> Affine:
    rank = len(spec["shape"]) - 1
    return Affine.of(entry, numpy_dtype(spec["dtype"]), (-1, *([1] * (rank - 1))))
