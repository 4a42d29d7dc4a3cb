"""What a person passes as inputs, turned into the `inputs` of a job: uploads what is large, inlines what is small."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from fabric.client._async.files import Files
from fabric.client._async.models import Models
from fabric.client.inputs import INLINE_BYTES_MAX, Input, fields_of, is_file, is_vague, json_tensor, named


async def job_inputs(inputs: Input, files: Files, models: Models, model: str) -> list[dict[str, Any]]:
    """The `inputs` list of a job.

    Args:
        inputs: A mapping from input name to value, a table, or one value for a model with one input.
        files: Where large values are uploaded to.
        models: Tells what the model takes; asked only when the inputs leave a doubt.
        model: Which.

    Raises:
        ValueError: no name was given and the model has several inputs, or a table does not fit.
    """
    by_name = named(inputs, fields_of(await models.get(model))) if is_vague(inputs) else dict(inputs)
    return [{"name": name, **await one_input(value, files)} for name, value in by_name.items()]


async def one_input(value: Input, files: Files) -> dict[str, Any]:
    """One value as `tensor`, `file` or `files`."""
    if is_file(value):
        return {"file": value["id"]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        return await texts_input(value, files)
    if isinstance(value, np.ndarray):
        return {"tensor": json_tensor(value)} if value.nbytes <= INLINE_BYTES_MAX else {"file": (await files.upload(value))["id"]}
    if isinstance(value, str | Path | bytes):
        return {"file": (await files.upload(value))["id"]}
    listed = list(value)
    if listed and all(is_file(item) for item in listed):
        return {"files": [item["id"] for item in listed]}
    if listed and all(isinstance(item, str | Path | bytes) for item in listed):
        return {"files": [file["id"] for file in await files.upload_many(listed)]}
    return await one_input(np.asarray(listed), files)


async def texts_input(array: "np.ndarray[Any, Any]", files: Files) -> dict[str, Any]:
    """An array of texts, in the body or, where they are many, as a file of its own.

    Raises:
        ValueError: it holds something else.
    """
    tensor = json_tensor(array)
    content = json.dumps(tensor).encode()
    return (
        {"tensor": tensor}
        if len(content) <= INLINE_BYTES_MAX
        else {"file": (await files.upload(content, name="texts.json"))["id"]}
    )
