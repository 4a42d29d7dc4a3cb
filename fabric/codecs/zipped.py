"""Zip archives of strangers: what is inside is known, and held against limits, before a byte of it is inflated."""

import struct
import zlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from fabric.core.errors import InvalidInput

DIRECTORY_BYTES_MAX = 1024 * 1024
ENTRIES_MAX = 10_000
RATIO_MAX = 200  # inflated to stored, of one member
RATIO_BYTES_FREE = 64 * 1024  # members that inflate to no more than this may have any ratio
UNPACKED_BYTES_MAX = 256 * 1024**2  # of all members together
NAME_BYTES_MAX = 500
STORED, DEFLATED = 0, 8
_END_BYTES_MAX = 22 + 65_535
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")

Read = Callable[[int, int], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the central directory says it."""

    name: str
    method: int
    stored: int
    full: int
    offset: int  # of its local header
    crc: int
    encrypted: bool


async def read_directory(size: int, read: Read, what: str = ".zip") -> list[Member]:
    """The members of an archive of `size` bytes, in its own order; `read(offset, length)` gives exactly that range.

    Raises:
        InvalidInput: not a zip, damaged, or with too large a directory.
    """
    try:
        return list(_members(await _directory(size, read, what), what))
    except struct.error as error:
        raise InvalidInput(f"This {what} file is damaged.") from error


def check_files(members: list[Member]) -> list[Member]:
    """The members that are files of the requestor's: no folders, and not what archivers add.

    Raises:
        InvalidInput: too many, too large, a bomb, an archive inside the archive, encrypted, or a name that leads elsewhere.
    """
    files = [m for m in members if not m.name.endswith("/") and not _is_litter(m.name)]
    if not files:
        raise InvalidInput("This .zip file holds no files.")
    if len(members) > ENTRIES_MAX:
        raise InvalidInput(f"This .zip file holds {len(members)} members; {ENTRIES_MAX} are allowed.")
    for member in files:
        parts = member.name.replace("\\", "/").split("/")
        if not member.name or len(member.name.encode()) > NAME_BYTES_MAX or "\0" in member.name or ".." in parts or not parts[0]:
            raise InvalidInput(f"{member.name[:80]!r} is no name for a file inside a .zip file.")
        if member.encrypted or member.method not in {STORED, DEFLATED}:
            raise InvalidInput(f"{member.name[:80]!r} is encrypted, or compressed in a way that is not read here.")
        if member.name.lower().endswith((".zip", ".npz")):
            raise InvalidInput(f"{member.name[:80]!r} is an archive inside an archive; upload the files themselves.")
        if member.full > RATIO_BYTES_FREE and member.full > RATIO_MAX * member.stored:
            raise InvalidInput(f"{member.name[:80]!r} would inflate to {member.full} bytes from {member.stored}; that is a bomb.")
        if member.method == STORED and member.stored != member.full:
            raise InvalidInput("This .zip file is damaged.")
    if (total := sum(member.full for member in files)) > UNPACKED_BYTES_MAX:
        raise InvalidInput(f"The files in this .zip file have {total} bytes; {UNPACKED_BYTES_MAX} are allowed.")
    if len({member.name for member in files}) < len(files):
        raise InvalidInput("This .zip file holds the same name twice.")
    return files


def content_of(archive: bytes, member: Member) -> bytes:
    """One file of an archive; never more than its directory promises is produced.

    Raises:
        InvalidInput: damaged, or not what the directory says.
    """
    damaged = InvalidInput(f"{member.name[:80]!r} in this .zip file is damaged.")
    try:
        fields = LOCAL.unpack_from(archive, member.offset)
    except struct.error:
        raise damaged from None
    begins = member.offset + LOCAL.size + fields[9] + fields[10]
    stored = archive[begins : begins + member.stored]
    if fields[0] != b"PK\x03\x04" or len(stored) != member.stored:
        raise damaged
    content = stored if member.method == STORED else inflated(stored, member.full)
    if content is None or zlib.crc32(content) != member.crc:
        raise damaged
    if content[:4] == b"PK\x03\x04":
        raise InvalidInput(f"{member.name[:80]!r} is an archive inside an archive; upload the files themselves.")
    return content


def inflated(stored: bytes, size: int) -> bytes | None:
    """Exactly `size` bytes from a deflated stream, or None."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = inflater.decompress(stored, size + 1)
    except zlib.error:
        return None
    return content if len(content) == size and inflater.eof else None


def _is_litter(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1] in {".DS_Store", "Thumbs.db", "desktop.ini"}


async def _directory(size: int, read: Read, what: str) -> bytes:
    tail_bytes = min(size, _END_BYTES_MAX + _END64_LOCATOR.size)
    tail = await read(size - tail_bytes, tail_bytes) if tail_bytes else b""
    at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        raise InvalidInput(f"This is not a {what} file, or it is truncated.")
    _, _, _, _, _, length, offset, _ = _END.unpack_from(tail, at)
    if 0xFFFFFFFF in {length, offset}:
        if at < _END64_LOCATOR.size or tail[at - _END64_LOCATOR.size :][:4] != b"PK\x06\x07":
            raise InvalidInput(f"This {what} file is damaged.")
        _, _, end64_at, _ = _END64_LOCATOR.unpack_from(tail, at - _END64_LOCATOR.size)
        end64 = await read_inside(end64_at, _END64.size, size, read, what)
        if end64[:4] != b"PK\x06\x06":
            raise InvalidInput(f"This {what} file is damaged.")
        *_, length, offset = _END64.unpack(end64)
    if length > DIRECTORY_BYTES_MAX:
        raise InvalidInput(f"This {what} file holds too many members.")
    return await read_inside(offset, length, size, read, what)


async def read_inside(offset: int, length: int, size: int, read: Read, what: str) -> bytes:
    """A range of the archive. Raises InvalidInput when it lies outside."""
    if offset + length > size:
        raise InvalidInput(f"This {what} file is damaged.")
    return await read(offset, length) if length else b""


def _members(directory: bytes, what: str) -> Iterator[Member]:
    at = 0
    while at < len(directory):
        fields = _CENTRAL.unpack_from(directory, at)
        signature, flags, method, crc = fields[0], fields[3], fields[4], fields[7]
        stored, full = fields[8], fields[9]
        name_bytes, extra_bytes, comment_bytes, offset = fields[10], fields[11], fields[12], fields[16]
        if signature != b"PK\x01\x02":
            raise InvalidInput(f"This {what} file is damaged.")
        name_at = at + _CENTRAL.size
        raw_name = directory[name_at : name_at + name_bytes]
        extra = directory[name_at + name_bytes : name_at + name_bytes + extra_bytes]
        full, stored, offset = _with_zip64(extra, full, stored, offset)
        name = raw_name.decode("utf-8" if flags & 0x800 else "cp437", errors="replace")
        yield Member(name, method, stored, full, offset, crc, bool(flags & 1))
        at = name_at + name_bytes + extra_bytes + comment_bytes


def _with_zip64(extra: bytes, full: int, stored: int, offset: int) -> tuple[int, int, int]:
    # The zip64 field lists, in this order, just those values that did not fit into 32 bits.
    values = [full, stored, offset]
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            field_at = at + 4
            for index, value in enumerate(values):
                if value == 0xFFFFFFFF:
                    (values[index],) = struct.unpack_from("<Q", extra, field_at)
                    field_at += 8
        at += 4 + length
    return values[0], values[1], values[2]
