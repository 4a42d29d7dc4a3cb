"""Upload, list, fetch and delete files."""

import io
import mimetypes
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fabric.client.transport import Transport, checked

DIRECT_BYTES_MAX = 8 * 1024 * 1024  # larger files go straight to object storage by a signed URL
FILES_PER_UPLOAD = 500
PACK_BYTES = 32 * 1024 * 1024


class Files:
    """`client.files`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    def upload(self, source: "str | Path | bytes | np.ndarray[Any, Any]", *, name: str | None = None) -> dict[str, Any]:
        """Upload one file (a path, bytes, or an array, which becomes a .npy); gives the file as the endpoint shows it."""
        content, name = content_of(source, name)
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        if size > DIRECT_BYTES_MAX:
            return self._upload_signed(content, name, size)
        data = content.read_bytes() if isinstance(content, Path) else content
        return dict(self.upload_many([data], names=[name])[0])

    def upload_many(self, contents: Iterable[bytes | str | Path], *, names: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Upload many small files in few requests; gives them in the same order."""
        listed = list(contents)
        named = (
            list(names)
            if names is not None
            else [Path(c).name if not isinstance(c, bytes) else f"{i}.bin" for i, c in enumerate(listed)]
        )
        uploaded: list[dict[str, Any]] = []
        for batch in _batches(listed, named):
            parts = [("file", (name, data, _media_type(name))) for name, data in batch]
            uploaded += self._transport.request("POST", "/api/v1/files", files=parts)["data"]
        return uploaded

    def list(self, *, limit: int = 100) -> list[dict[str, Any]]:
        """Your files, newest first."""
        return list(self._transport.request("GET", "/api/v1/files", params={"limit": limit})["data"])

    def get(self, file_id: str) -> dict[str, Any]:
        """One file's facts."""
        return dict(self._transport.request("GET", f"/api/v1/files/{file_id}"))

    def download(self, file_id: str) -> bytes:
        """One file's bytes."""
        with self._transport.stream(f"/api/v1/files/{file_id}/content") as response:
            return checked(response).read()

    def delete(self, file_id: str) -> None:
        """Delete one file."""
        self._transport.send("DELETE", f"/api/v1/files/{file_id}")

    def _upload_signed(self, content: bytes | Path, name: str, size: int) -> dict[str, Any]:
        begun = self._transport.request(
            "POST", "/api/v1/files/uploads", json={"name": name, "size": size, "media_type": _media_type(name)}
        )
        upload = begun["upload"]
        if isinstance(content, Path):
            with content.open("rb") as file:
                self._transport.put_signed(upload["url"], {**upload["headers"], "Content-Length": str(size)}, file)
        else:
            self._transport.put_signed(upload["url"], upload["headers"], content)
        return dict(self._transport.request("POST", f"/api/v1/files/{begun['id']}/complete"))


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


def _media_type(name: str) -> str:
    if name.endswith(".npy"):
        return "application/x-npy"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _batches(contents: list[bytes | str | Path], names: list[str]) -> Iterator[list[tuple[str, bytes]]]:
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
