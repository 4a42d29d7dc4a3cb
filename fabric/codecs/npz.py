"""Where the arrays of a `.npz` file lie inside it.

A member that is stored without compression (numpy's `savez`) is a byte range of the file, used in place; a compressed one
(`savez_compressed`) must be inflated first.
"""

import struct
from dataclasses import dataclass

from fabric.codecs.tensor import NPY_PREFIX_BYTES, NpyHeader, read_npy_header
from fabric.codecs.zipped import DEFLATED, LOCAL, STORED, Member, Read, inflated, read_directory, read_inside
from fabric.core.errors import InvalidInput

MEMBERS_MAX = 1000


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
    found = await read_directory(size, read, ".npz")
    if len(found) > MEMBERS_MAX:
        raise InvalidInput(f"A .npz file may hold {MEMBERS_MAX} arrays.")
    for member in found:
        if not member.name.endswith(".npy") or member.encrypted or member.method not in {STORED, DEFLATED}:
            raise InvalidInput(f"{member.name!r} in this .npz file is not a plain .npy member.")
    try:
        members = [await _member_of(member, size, read) for member in found]
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
    content = inflated(stored, member.size)
    if content is None:
        raise InvalidInput(f"Array {member.name!r} is damaged.")
    return content


async def _member_of(row: Member, size: int, read: Read) -> NpzMember:
    name = row.name.removesuffix(".npy")
    available = min(LOCAL.size + NPY_PREFIX_BYTES, size - row.offset)
    if available < LOCAL.size:
        raise InvalidInput("This .npz file is damaged.")
    local = await read_inside(row.offset, available, size, read, ".npz")
    fields = LOCAL.unpack_from(local)
    if fields[0] != b"PK\x03\x04":
        raise InvalidInput("This .npz file is damaged.")
    begins = LOCAL.size + fields[9] + fields[10]
    if row.offset + begins + row.stored > size or (row.method == STORED and row.stored != row.full):
        raise InvalidInput("This .npz file is damaged.")
    if row.method == DEFLATED:
        return NpzMember(name, True, row.offset + begins, row.stored, row.full, None)
    header = read_npy_header(local[begins : begins + row.stored])
    if header.header_bytes + header.data_bytes != row.stored:
        raise InvalidInput(f"Array {name!r} has not the length that its header says.")
    return NpzMember(name, False, row.offset + begins, row.stored, row.full, header)
