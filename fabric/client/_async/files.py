"""Upload, list, fetch and delete files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fabric.client._async.transport import Transport
from fabric.client.contents import content_of, media_type, packs
from fabric.client.display import Rows, Shown

DIRECT_BYTES_MAX = 8 * 1024 * 1024  # larger files go straight to object storage by a signed URL


class Files:
    """`client.files`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    async def upload(self, source: "str | Path | bytes | np.ndarray[Any, Any]", *, name: str | None = None) -> dict[str, Any]:
        """Upload one file (a path, bytes, or an array, which becomes a .npy); gives the file as the endpoint shows it."""
        content, name = content_of(source, name)
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        if size > DIRECT_BYTES_MAX:
            return await self._upload_signed(content, name, size)
        data = content.read_bytes() if isinstance(content, Path) else content
        return (await self.upload_many([data], names=[name]))[0]

    async def upload_many(self, contents: Iterable[bytes | str | Path], *, names: Iterable[str] | None = None) -> Rows:
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
            uploaded += (await self._transport.request("POST", "/api/v1/files", files=parts))["data"]
        return uploaded

    async def list(self, *, limit: int | None = 100) -> Rows:
        """Your files, newest first."""
        return await self._transport.rows("/api/v1/files", limit=limit)

    async def get(self, file_id: str) -> Shown:
        """One file's facts."""
        return Shown(await self._transport.request("GET", f"/api/v1/files/{file_id}"))

    async def download(self, file_id: str) -> bytes:
        """One file's bytes."""
        async with self._transport.opened(f"/api/v1/files/{file_id}/content") as response:
            return await response.aread()

    async def delete(self, file_id: str) -> None:
        """Delete one file."""
        await self._transport.send("DELETE", f"/api/v1/files/{file_id}")

    async def _upload_signed(self, content: bytes | Path, name: str, size: int) -> dict[str, Any]:
        begun = await self._transport.request(
            "POST", "/api/v1/files/uploads", json={"name": name, "size": size, "media_type": media_type(name)}
        )
        upload = begun["upload"]
        if isinstance(content, Path):
            headers = {**upload["headers"], "Content-Length": str(size)}
            await self._transport.put_signed(upload["url"], headers, content)
        else:
            await self._transport.put_signed(upload["url"], upload["headers"], content)
        return dict(await self._transport.request("POST", f"/api/v1/files/{begun['id']}/complete"))
