"""Where the arrays of a `.npz` file lie inside it.

A member that is stored without compression (numpy's `savez`) is a byte range of the file, used in place; a compressed one
(`savez_compressed`) must be inflated first.
"""

import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fabric.codecs.tensor import NPY_PREFIX_BYTES, NpyHeader, read_npy_header
from fabric.core.errors import InvalidInput

MEMBERS_MAX = 1000
DIRECTORY_BYTES_MAX = 1024 * 1024
_END_BYTES_MAX = 22 + 65_535
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8

Read = Callable[[int, int], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class NpzMember:
    """One array of a `.npz` file."""

    name: str  # without .npy
    compressed: bool
    offset: int  # of the member's first byte (its .npy header, or its deflated stream) in the file
    stored_bytes: int  # in the file
    size: int  # inflated
    header: NpyHeader | None  # of an uncompressed member; its data begins at offset + header.header_bytes


async def read_npz_index(size: int, read: Read) -> list[NpzMember]:
    """The arrays of a `.npz` file of `size` bytes, in file order; `read(offset, length)` gives exactly that range.

    Reads the end of the file and, for each member, its first bytes.

    Raises:
        InvalidInput: not a zip, damaged, encrypted, or holding something else than `.npy` files.
    """
    try:
        directory = await _read_directory(size, read)
        rows = _directory_rows(directory)
        members = [await _member_of(row, size, read) for row in rows]
    except struct.error as error:
        raise InvalidInput("This .npz file is damaged.") from error
    if len({member.name for member in members}) < len(members):
        raise InvalidInput("This .npz file holds the same name twice.")
    return members


def inflate_member(member: NpzMember, stored: bytes, size_max: int) -> bytes:
    """The `.npy` file inside a compressed member, from its bytes in the file; never more than `size_max` are produced.

    Raises:
        InvalidInput: too large, or damaged.
    """
    if member.size > size_max:
        raise InvalidInput(f"Array {member.name!r} is compressed and too large for that; use numpy.savez, not savez_compressed.")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = inflater.decompress(stored, member.size + 1)
    except zlib.error as error:
        raise InvalidInput(f"Array {member.name!r} is damaged.") from error
    if len(content) != member.size or not inflater.eof:
        raise InvalidInput(f"Array {member.name!r} is damaged.")
    return content


async def _read_directory(size: int, read: Read) -> bytes:
    tail_bytes = min(size, _END_BYTES_MAX + _END64_LOCATOR.size)
    tail = await read(size - tail_bytes, tail_bytes) if tail_bytes else b""
    at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        raise InvalidInput("This is not a .npz file.")
    _, _, _, _, _, length, offset, _ = _END.unpack_from(tail, at)
    if 0xFFFFFFFF in {length, offset}:
        if at < _END64_LOCATOR.size or tail[at - _END64_LOCATOR.size :][:4] != b"PK\x06\x07":
            raise InvalidInput("This .npz file is damaged.")
        _, _, end64_at, _ = _END64_LOCATOR.unpack_from(tail, at - _END64_LOCATOR.size)
        end64 = await _read_inside(end64_at, _END64.size, size, read)
        if end64[:4] != b"PK\x06\x06":
            raise InvalidInput("This .npz file is damaged.")
        *_, length, offset = _END64.unpack(end64)
    if length > DIRECTORY_BYTES_MAX:
        raise InvalidInput("This .npz file holds too many members.")
    return await _read_inside(offset, length, size, read)


async def _read_inside(offset: int, length: int, size: int, read: Read) -> bytes:
    if offset + length > size:
        raise InvalidInput("This .npz file is damaged.")
    return await read(offset, length) if length else b""


@dataclass(frozen=True, slots=True)
class _Row:
    """A member as the central directory says it."""

    name: str
    method: int
    stored: int
    full: int
    offset: int  # of its local header


def _directory_rows(directory: bytes) -> list[_Row]:
    rows = []
    at = 0
    while at < len(directory):
        fields = _CENTRAL.unpack_from(directory, at)
        signature, flags, method = fields[0], fields[3], fields[4]
        stored, full = fields[8], fields[9]
        name_bytes, extra_bytes, comment_bytes, offset = fields[10], fields[11], fields[12], fields[16]
        if signature != b"PK\x01\x02":
            raise InvalidInput("This .npz file is damaged.")
        name_at = at + _CENTRAL.size
        raw_name = directory[name_at : name_at + name_bytes]
        extra = directory[name_at + name_bytes : name_at + name_bytes + extra_bytes]
        full, stored, offset = _with_zip64(extra, full, stored, offset)
        name = raw_name.decode("utf-8" if flags & 0x800 else "cp437", errors="replace")
        if not name.endswith(".npy") or flags & 1 or method not in {_STORED, _DEFLATED}:
            raise InvalidInput(f"{name!r} in this .npz file is not a plain .npy member.")
        rows.append(_Row(name.removesuffix(".npy"), method, stored, full, offset))
        if len(rows) > MEMBERS_MAX:
            raise InvalidInput(f"A .npz file may hold {MEMBERS_MAX} arrays.")
        at = name_at + name_bytes + extra_bytes + comment_bytes
    return rows


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


async def _member_of(row: _Row, size: int, read: Read) -> NpzMember:
    available = min(_LOCAL.size + NPY_PREFIX_BYTES, size - row.offset)
    if available < _LOCAL.size:
        raise InvalidInput("This .npz file is damaged.")
    local = await _read_inside(row.offset, available, size, read)
    fields = _LOCAL.unpack_from(local)
    if fields[0] != b"PK\x03\x04":
        raise InvalidInput("This .npz file is damaged.")
    begins = _LOCAL.size + fields[9] + fields[10]
    if row.offset + begins + row.stored > size or (row.method == _STORED and row.stored != row.full):
        raise InvalidInput("This .npz file is damaged.")
    if row.method == _DEFLATED:
        return NpzMember(row.name, True, row.offset + begins, row.stored, row.full, None)
    header = read_npy_header(local[begins : begins + row.stored])
    if header.header_bytes + header.data_bytes != row.stored:
        raise InvalidInput(f"Array {row.name!r} has not the length that its header says.")
    return NpzMember(row.name, False, row.offset + begins, row.stored, row.full, header)
