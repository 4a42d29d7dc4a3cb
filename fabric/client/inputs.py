"""What a person passes as inputs, turned into the `inputs` of a job: uploads what is large, inlines what is small."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fabric.client.files import Files

INLINE_BYTES_MAX = 16 * 1024
DATATYPES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "int8": "INT8", "int16": "INT16",
    "int32": "INT32", "int64": "INT64", "float16": "FP16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip

Input = Any  # an array, a path, bytes of a file, an uploaded file, or a list of paths, bytes or uploaded files


def job_inputs(inputs: Input, files: Files, input_names: Callable[[], Sequence[str]]) -> list[dict[str, Any]]:
    """The `inputs` list of a job.

    Args:
        inputs: A mapping from input name to value, or one value for a model with one input.
        files: Where large values are uploaded to.
        input_names: Asks for the model's input names; called only when no name was given.

    Raises:
        ValueError: no name was given and the model has several inputs.
    """
    if isinstance(inputs, Mapping) and not is_file(inputs):
        return [{"name": name, **one_input(value, files)} for name, value in inputs.items()]
    names = input_names()
    if len(names) != 1:
        raise ValueError(f"the model has {len(names)} inputs; pass a dict with the keys {sorted(names)}")
    return [{"name": names[0], **one_input(inputs, files)}]


def one_input(value: Input, files: Files) -> dict[str, Any]:
    """One value as `tensor`, `file` or `files`."""
    if is_file(value):
        return {"file": value["id"]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        return texts_input(value, files)
    if isinstance(value, np.ndarray):
        return {"tensor": json_tensor(value)} if value.nbytes <= INLINE_BYTES_MAX else {"file": files.upload(value)["id"]}
    if isinstance(value, str | Path | bytes):
        return {"file": files.upload(value)["id"]}
    listed = list(value)
    if listed and all(is_file(item) for item in listed):
        return {"files": [item["id"] for item in listed]}
    if listed and all(isinstance(item, str | Path | bytes) for item in listed):
        return {"files": [file["id"] for file in files.upload_many(listed)]}
    return one_input(np.asarray(listed), files)


def texts_input(array: "np.ndarray[Any, Any]", files: Files) -> dict[str, Any]:
    """An array of texts, in the body or, where they are many, as a file of its own.

    Raises:
        ValueError: it holds something else.
    """
    tensor = json_tensor(array)
    content = json.dumps(tensor).encode()
    return {"tensor": tensor} if len(content) <= INLINE_BYTES_MAX else {"file": files.upload(content, name="texts.json")["id"]}


def is_file(value: Any) -> bool:
    """Whether this is a file as `client.files` shows it."""
    return isinstance(value, Mapping) and str(value.get("id", "")).startswith("file_")


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
