"""What a person passes as inputs, made into what a model takes: names, types, texts or files. Values in, values out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fabric.client.frames import column, columns_for, is_frame, is_series

INLINE_BYTES_MAX = 16 * 1024
DATATYPES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "int8": "INT8", "int16": "INT16",
    "int32": "INT32", "int64": "INT64", "float16": "FP16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip

Input = Any  # an array, a path, bytes of a file, an uploaded file, a list of those, texts, or a column of pandas


@dataclass(frozen=True, slots=True)
class Field:
    """One input of a model, as it is given."""

    name: str
    dtype: str
    rank: int
    is_text: bool


def fields_of(model: Mapping[str, Any]) -> dict[str, Field]:
    """The inputs that a requestor gives, by name; those that derive from others are left out."""
    entries = (model.get("card") or {}).get("inputs") or {}
    fields = {}
    for name, tensor in model["inputs"].items():
        entry = entries.get(name) or {}
        if entry.get("codec") == "derived":
            continue
        dtype = str(entry.get("dtype") or tensor["dtype"])
        is_text = entry.get("codec") == "text" or dtype == "string"
        fields[name] = Field(name, "float32" if dtype == "bfloat16" else dtype, len(tensor["shape"]), is_text)
    return fields


def named(inputs: Input, fields: Mapping[str, Field]) -> dict[str, Input]:
    """Inputs by name, each as an array, a file or a list of files.

    Raises:
        ValueError: what is given does not say which input is meant, or fits none.
    """
    if is_frame(inputs):
        columns = columns_for(inputs, list(fields))
        return {name: _as_typed(array, fields[name]) for name, array in columns.items()}
    if isinstance(inputs, Mapping) and not is_file(inputs):
        return {str(name): settled(value, fields[name]) if name in fields else value for name, value in inputs.items()}
    return {(field := only(fields)).name: settled(inputs, field)}


def only(fields: Mapping[str, Field]) -> Field:
    """The one input of a model that has one.

    Raises:
        ValueError: it has several.
    """
    if len(fields) != 1:
        raise ValueError(f"the model has {len(fields)} inputs; pass a dict with the keys {sorted(fields)}")
    return next(iter(fields.values()))


def is_vague(inputs: Input) -> bool:
    """Whether one must know the model to say what is meant: no name, a table, numbers without a type, texts or paths."""
    if is_frame(inputs) or not isinstance(inputs, Mapping) or is_file(inputs):
        return True
    return any(is_series(value) or (isinstance(value, list | tuple) and not are_files(value)) for value in inputs.values())


def settled(value: Input, field: Field) -> Input:
    """One value: lists of numbers get the model's type, lists of texts are texts where the model takes texts, else paths."""
    if is_series(value):
        return _as_typed(column(value), field)
    if not isinstance(value, list | tuple) or are_files(value):
        return value
    if value and all(isinstance(one, str) for one in value):
        return texts_of(value) if field.is_text else list(value)
    array = np.asarray(value)
    return array if any(isinstance(one, np.ndarray | np.generic) for one in value) else as_dtype(array, field.dtype)


def texts_of(texts: Any) -> "np.ndarray[Any, Any]":
    """Texts as an array of them."""
    array = np.empty(len(texts), dtype=object)
    array[:] = list(texts)
    return array


def as_dtype(array: "np.ndarray[Any, Any]", dtype: str) -> "np.ndarray[Any, Any]":
    """Numbers that came without a type, in the model's; unchanged where that would change a value's meaning."""
    if dtype not in DATATYPES or array.dtype.kind not in "biuf" or array.dtype == dtype:
        return array
    target = np.dtype(dtype)
    if target.kind in "iu" and array.dtype.kind in "iu" and array.size:
        bounds = np.iinfo(target)
        return array.astype(target) if bounds.min <= array.min() and array.max() <= bounds.max else array
    return array.astype(target) if np.can_cast(array.dtype, target, "same_kind") else array


def is_file(value: Any) -> bool:
    """Whether this is a file as `client.files` shows it."""
    return isinstance(value, Mapping) and str(value.get("id", "")).startswith("file_")


def are_files(values: Any) -> bool:
    """Whether all of these are contents, paths or uploaded files."""
    return bool(values) and all(isinstance(one, Path | bytes) or is_file(one) for one in values)


def json_tensor(array: "np.ndarray[Any, Any]") -> dict[str, Any]:
    """An array as the JSON tensor of Open Inference v2.

    Raises:
        ValueError: no datatype for its dtype.
    """
    if array.dtype.kind == "U" or (array.dtype == object and all(isinstance(text, str) for text in array.flat)):
        return {"datatype": "BYTES", "shape": list(array.shape), "data": [str(text) for text in array.flat]}
    if array.dtype.name not in DATATYPES:
        raise ValueError(f"arrays of {array.dtype} cannot be sent")
    return {"datatype": DATATYPES[array.dtype.name], "shape": list(array.shape), "data": array.ravel().tolist()}


def _as_typed(array: "np.ndarray[Any, Any]", field: Field) -> "np.ndarray[Any, Any]":
    """A column in the model's type, and upright where the model takes a column of one feature."""
    typed = as_dtype(array, field.dtype)
    return typed.reshape(-1, 1) if typed.ndim == 1 and field.rank == 2 and not field.is_text else typed
