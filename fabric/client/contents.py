"""What is uploaded: bytes, files and arrays, under which name and media type, and how many at once."""

import io
import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FILES_PER_UPLOAD = 500
PACK_BYTES = 32 * 1024 * 1024


def content_of(source: "str | Path | bytes | np.ndarray[Any, Any]", name: str | None) -> tuple[bytes | Path, str]:
    """What to send and under which name."""
    if isinstance(source, np.ndarray):
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(source), allow_pickle=False)
        return buffer.getvalue(), name or "array.npy"
    if isinstance(source, bytes):
        return source, name or "file.bin"
    path = Path(source)
    return path, name or path.name


def media_type(name: str) -> str:
    """The media type that a file's name promises."""
    if name.endswith(".npy"):
        return "application/x-npy"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def packs(contents: list[bytes | str | Path], names: list[str]) -> Iterator[list[tuple[str, bytes]]]:
    """Files with their names in packs, each small enough for one request."""
    batch: list[tuple[str, bytes]] = []
    size = 0
    for content, name in zip(contents, names, strict=True):
        data = content if isinstance(content, bytes) else Path(content).read_bytes()
        if batch and (len(batch) >= FILES_PER_UPLOAD or size + len(data) > PACK_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((name, data))
        size += len(data)
    if batch:
        yield batch
