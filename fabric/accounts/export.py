"""Everything that this fabric keeps about one user, as one zip of JSON files.

Rows are streamed from the database into a file without a name, so neither the size of an account nor that of its zip is memory.
"""

import asyncio
import json
import tempfile
import zipfile
from typing import IO, Any

from fabric.accounts import store
from fabric.core import clock
from fabric.core.ids import UserId
from fabric.db.engine import Database, Reader
from fabric.identity import audit
from fabric.identity.origin import Origin

ROWS_MAX = 1_000_000
"""Of each file; manifest.json says where more were left out."""
BATCH = 500


async def export_account(database: Database, user_id: UserId, origin: Origin) -> IO[bytes]:
    """The zip, at its beginning; whoever closes it removes it."""
    async with database.transaction() as tx:
        await audit.record(tx, "data_exported", user_id, origin)
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (the answer is read from it)
    counts: dict[str, int] = {}
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            async with database.reading() as reader:
                for name in store.SECTIONS:
                    counts[name] = await _write(archive, reader, name, user_id)
            manifest = {
                "user_id": str(user_id), "made_at": clock.now().isoformat(), "rows": counts,
                "cut_off": [name for name, count in counts.items() if count >= ROWS_MAX],
            }  # fmt: skip
            archive.writestr("manifest.json", json.dumps(manifest, indent=1))
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


async def _write(archive: zipfile.ZipFile, reader: Reader, name: str, user_id: UserId) -> int:
    count = 0
    with archive.open(f"{name}.json", "w", force_zip64=True) as part:
        part.write(b"[")
        async for rows in store.stream_section(reader, name, user_id, limit=ROWS_MAX, batch=BATCH):
            lines = [json.dumps(row, default=str, ensure_ascii=False) for row in rows]
            content = ("," if count else "") + "\n" + ",\n".join(lines)
            await asyncio.to_thread(part.write, content.encode())
            count += len(rows)
        part.write(b"\n]\n")
    return count


def file_name(user_id: UserId) -> str:
    """What the download is called."""
    return f"fabric-{user_id}-{clock.now():%Y-%m-%d}.zip"


def pieces(file: IO[bytes], size: int = 256 * 1024) -> Any:
    """The file piece by piece; closed at the end."""

    async def read() -> Any:
        try:
            while piece := await asyncio.to_thread(file.read, size):
                yield piece
        finally:
            file.close()

    return read()
