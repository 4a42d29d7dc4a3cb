"""ObjectStore on a directory, with signed URLs served by `storage/server.py`.

An object is one file: its bytes, then a trailer of 8 magic bytes and the SHA-256. Bytes and hash so become visible by one
rename and can never disagree. Everything is written beside its place, synced, then moved there.
"""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from fabric.core import clock
from fabric.core.errors import AlreadyExists, FabricError, Invalid, NotFound, RangeNotSatisfiable, StorageUnavailable, TooLarge
from fabric.storage.base import CHUNK_BYTES, ObjectFacts, SignedUrl
from fabric.storage.keys import checked_key
from fabric.storage.signing import Grant, Signer

MAGIC = b"FABOBJ1\n"
TRAILER_BYTES = len(MAGIC) + 32
INCOMING_KEPT_S = 86_400
Result = TypeVar("Result")


class OpenObject:
    """An object held open: its file, size and hash. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        """Open the object.

        Raises:
            NotFound: there is none.
            StorageUnavailable: the disk fails, or what lies there was not written by this store.
        """
        try:
            self.file: BinaryIO = path.open("rb", buffering=0)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFound("there is no such object") from None
        self.size = os.fstat(self.file.fileno()).st_size - TRAILER_BYTES
        trailer = os.pread(self.file.fileno(), TRAILER_BYTES, self.size) if self.size >= 0 else b""
        if trailer[: len(MAGIC)] != MAGIC:
            self.file.close()
            raise StorageUnavailable(f"{path} is damaged")
        self.sha256 = trailer[len(MAGIC) :]

    def __enter__(self) -> "OpenObject":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def length_of(self, offset: int, length: int | None) -> int:
        """Bytes from `offset` on.

        Raises:
            RangeNotSatisfiable: the range lies outside the object.
        """
        wanted = self.size - offset if length is None else length
        if offset < 0 or wanted < 0 or offset + wanted > self.size:
            raise RangeNotSatisfiable(f"[{offset}, {offset + wanted}) lies outside the object of {self.size} bytes")
        return wanted

    def read(self, offset: int, length: int) -> bytes:
        """A range that lies inside the object."""
        parts = []
        while length > 0:
            part = os.pread(self.file.fileno(), length, offset)
            if not part:
                raise StorageUnavailable("the object became shorter while it was read")
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class IncomingObject:
    """An object being written; nobody sees it until `publish`."""

    def __init__(self, folder: Path, size_max: int) -> None:
        """Make a temporary file in `folder` that takes at most `size_max` bytes."""
        self._path = folder / secrets.token_hex(16)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file: BinaryIO = os.fdopen(descriptor, "wb", buffering=0)
        self._hash = hashlib.sha256()
        self._size_max = size_max
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Append.

        Raises:
            TooLarge: more than the limit.
        """
        if self.size + len(chunk) > self._size_max:
            raise TooLarge(f"more than {self._size_max} bytes")
        self._hash.update(chunk)
        _write_all(self._file, chunk)
        self.size += len(chunk)

    def publish(self, path: Path, *, replace: bool) -> ObjectFacts:
        """Make it visible under `path`, durably.

        Raises:
            AlreadyExists: `replace` is False and other bytes lie there; equal bytes are fine.
        """
        sha256 = self._hash.digest()
        _write_all(self._file, MAGIC + sha256)
        os.fsync(self._file.fileno())
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if replace:
            self._path.replace(path)
        else:
            self._link(path, sha256)
        _sync_folder(path.parent)
        return ObjectFacts(self.size, sha256)

    def discard(self) -> None:
        """Leave nothing behind; after `publish` this only closes."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _link(self, path: Path, sha256: bytes) -> None:
        try:
            path.hardlink_to(self._path)
        except FileExistsError:
            with OpenObject(path) as present:
                if present.sha256 != sha256:
                    raise AlreadyExists("another upload has already used this URL") from None


class LocalStore:
    """ObjectStore on a directory."""

    def __init__(self, root: Path, *, public_url: str, signing_key: str, url_expires_s: int = 900) -> None:
        """Keep objects under `root`; signed URLs begin with `public_url`, the address of the object server."""
        self.root = root
        self.signer = Signer(signing_key)
        self._public_url = public_url.rstrip("/")
        self._url_expires_s = url_expires_s
        self._incoming = root / ".incoming"

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_max: int) -> ObjectFacts:
        """Store a stream."""
        return await self.receive(key, chunks, size_max=size_max, replace=True)

    async def put_bytes(self, key: str, content: bytes) -> ObjectFacts:
        """Store bytes in hand."""

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        return await self.receive(key, chunks(), size_max=len(content), replace=True)

    async def receive(
        self, key: str, chunks: AsyncIterator[bytes], *, size_max: int, size_exact: int | None = None, replace: bool
    ) -> ObjectFacts:
        """Store a stream; with `replace=False` only where nothing else lies yet (signed uploads).

        Raises:
            TooLarge: more bytes than allowed.
            Invalid: another number than `size_exact`.
            AlreadyExists: other bytes lie there.
            StorageUnavailable: the disk fails.
        """
        path = self._path(key)
        incoming = await _in_thread(self._open_incoming, size_max)
        try:
            async for chunk in gathered(chunks):
                await _in_thread(incoming.write, chunk)
            if size_exact is not None and incoming.size != size_exact:
                raise Invalid(f"{incoming.size} bytes came, exactly {size_exact} were announced")
            return await _in_thread(lambda: incoming.publish(path, replace=replace))
        finally:
            await asyncio.shield(_in_thread(incoming.discard))

    async def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """A range in one piece."""
        path = self._path(key)

        def read() -> bytes:
            with OpenObject(path) as present:
                return present.read(offset, present.length_of(offset, length))

        return await _in_thread(read)

    async def stream(self, key: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """A range in chunks."""
        present = await _in_thread(OpenObject, self._path(key))
        with present:
            left = present.length_of(offset, length)
            while left > 0:
                size = min(left, CHUNK_BYTES)
                yield await _in_thread(present.read, offset, size)
                offset, left = offset + size, left - size

    async def describe(self, key: str) -> ObjectFacts:
        """Size and hash."""
        path = self._path(key)

        def describe() -> ObjectFacts:
            with OpenObject(path) as present:
                return ObjectFacts(present.size, present.sha256)

        return await _in_thread(describe)

    async def delete(self, key: str) -> None:
        """Remove; nothing happens when it is not there."""
        path = self._path(key)
        await _in_thread(lambda: path.unlink(missing_ok=True))

    def signed_get(self, key: str, *, offset: int = 0, length: int | None = None, expires_s: int | None = None) -> SignedUrl:
        """A URL to read the object, or exactly one range of it."""
        assert length is None or length > 0, "an empty range has no URL"
        byte_range = ""
        if offset or length is not None:
            byte_range = f"{offset}-" if length is None else f"{offset}-{offset + length - 1}"
        grant = Grant("GET", checked_key(key), self._expiry(expires_s), byte_range)
        return SignedUrl(self._url(grant), {"Range": f"bytes={byte_range}"} if byte_range else {})

    def signed_put(self, key: str, *, size_max: int, exact: bool = False, expires_s: int | None = None) -> SignedUrl:
        """A URL to write the object once."""
        grant = Grant("PUT", checked_key(key), self._expiry(expires_s), size_max=size_max, exact=exact)
        return SignedUrl(self._url(grant), {})

    async def check(self) -> None:
        """Raises StorageUnavailable when nothing can be written."""

        def check() -> None:
            incoming = self._open_incoming(1)
            try:
                incoming.write(b"1")
            finally:
                incoming.discard()

        await _in_thread(check)

    def open(self, key: str) -> OpenObject:
        """Hold an object open, for the object server. Raises NotFound, StorageUnavailable."""
        return OpenObject(self._path(key))

    def sweep(self) -> int:
        """Remove uploads that a crash left unfinished a day ago; says how many."""
        oldest = clock.now().timestamp() - INCOMING_KEPT_S
        stale = [path for path in self._incoming.glob("*") if path.stat().st_mtime < oldest]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    def _open_incoming(self, size_max: int) -> IncomingObject:
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        return IncomingObject(self._incoming, size_max)

    def _path(self, key: str) -> Path:
        return self.root / checked_key(key)

    def _expiry(self, expires_s: int | None) -> int:
        return int(clock.now().timestamp()) + (self._url_expires_s if expires_s is None else expires_s)

    def _url(self, grant: Grant) -> str:
        return f"{self._public_url}/{grant.key}?{self.signer.query(grant)}"


async def gathered(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in chunks of at least 1 MiB (but the last), so that a thread is entered seldom."""
    waiting: list[bytes] = []
    size = 0
    async for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


async def _in_thread(act: Callable[..., Result], *arguments: object) -> Result:
    """Run blocking disk work; trouble with the disk becomes StorageUnavailable."""
    try:
        return await asyncio.to_thread(act, *arguments)
    except FabricError:
        raise
    except OSError as error:
        raise StorageUnavailable(f"the object folder cannot be used: {error.strerror}") from error


def _write_all(file: BinaryIO, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
