"""The ObjectStore protocol and the promises every store keeps.

1. A key that was put is read back byte for byte; `put` replaces whole objects atomically.
2. Reading or describing a key that is not there raises NotFound, a signed URL for it answers 404; deleting it is nothing.
3. `read` gives exactly the bytes [offset, offset + length); a range outside the object raises RangeNotSatisfiable.
4. A signed URL is good for one method, one key, one range or length, until it expires; anything else is refused with 403.
   It needs no header but the signed Range of a read; HEAD is allowed with a signed GET of the disk store.
5. An upload by signed URL of more bytes than it allows is refused and leaves no object. S3 can refuse by length only when it
   is `exact`: whoever signs without it must compare `describe().size` and delete what is too large.
6. `describe` gives size and SHA-256 of what lies there, however it came.
7. Trouble with the store itself raises StorageUnavailable.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What lies under a key."""

    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A URL that needs no further credential. Send `headers` along, all of them."""

    url: str
    headers: dict[str, str]


class ObjectStore(Protocol):
    """Bytes by key. Keys are spelled by storage.keys."""

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_max: int) -> ObjectFacts:
        """Store a stream. Raises TooLarge (nothing stays) or StorageUnavailable."""
        ...

    async def put_bytes(self, key: str, content: bytes) -> ObjectFacts:
        """Store bytes in hand."""
        ...

    async def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """A range in one piece (default: the whole object). Raises NotFound, RangeNotSatisfiable, StorageUnavailable."""
        ...

    def stream(self, key: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """A range in chunks of at most 1 MiB. Raises like `read`, at the first chunk."""
        ...

    async def describe(self, key: str) -> ObjectFacts:
        """Size and hash. Raises NotFound."""
        ...

    async def delete(self, key: str) -> None:
        """Remove; nothing happens when it is not there."""
        ...

    def signed_get(self, key: str, *, offset: int = 0, length: int | None = None, expires_s: int | None = None) -> SignedUrl:
        """A URL to read the object or one range of it. Pure computation, no I/O."""
        ...

    def signed_put(self, key: str, *, size_max: int, exact: bool = False, expires_s: int | None = None) -> SignedUrl:
        """A URL to write the object once, of at most (`exact`: of exactly) `size_max` bytes. Pure computation, no I/O."""
        ...

    async def check(self) -> None:
        """Raises StorageUnavailable when the store cannot be used now."""
        ...
