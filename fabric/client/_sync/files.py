# Made of fabric/client/_async/files.py by `make docs`; edit that one.
"""Upload, list, fetch and delete files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fabric.client._sync.transport import Transport
from fabric.client.contents import content_of, media_type, packs
from fabric.client.display import Rows, Shown

DIRECT_BYTES_MAX = 8 * 1024 * 1024  # larger files go straight to object storage by a signed URL


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
        return (self.upload_many([data], names=[name]))[0]

    def upload_many(self, contents: Iterable[bytes | str | Path], *, names: Iterable[str] | None = None) -> Rows:
        """Upload many small files in few requests; gives them in the same order."""
        listed = list(contents)
        named = (
            list(names)
            if names is not None
            else [Path(c).name if not isinstance(c, bytes) else f"{i}.bin" for i, c in enumerate(listed)]
        )
        uploaded = Rows()
        for batch in packs(listed, named):
            parts = [("file", (name, data, media_type(name))) for name, data in batch]
            uploaded += (self._transport.request("POST", "/api/v1/files", files=parts))["data"]
        return uploaded

    def list(self, *, limit: int | None = 100) -> Rows:
        """Your files, newest first."""
        return self._transport.rows("/api/v1/files", limit=limit)

    def get(self, file_id: str) -> Shown:
        """One file's facts."""
        return Shown(self._transport.request("GET", f"/api/v1/files/{file_id}"))

    def download(self, file_id: str) -> bytes:
        """One file's bytes."""
        with self._transport.opened(f"/api/v1/files/{file_id}/content") as response:
            return response.read()

    def delete(self, file_id: str) -> None:
        """Delete one file."""
        self._transport.send("DELETE", f"/api/v1/files/{file_id}")

    def _upload_signed(self, content: bytes | Path, name: str, size: int) -> dict[str, Any]:
        begun = self._transport.request(
            "POST", "/api/v1/files/uploads", json={"name": name, "size": size, "media_type": media_type(name)}
        )
        upload = begun["upload"]
        if isinstance(content, Path):
            headers = {**upload["headers"], "Content-Length": str(size)}
            self._transport.put_signed(upload["url"], headers, content)
        else:
            self._transport.put_signed(upload["url"], upload["headers"], content)
        return dict(self._transport.request("POST", f"/api/v1/files/{begun['id']}/complete"))
