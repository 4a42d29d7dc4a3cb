"""Finds the array inside an uploaded `.npy`, `.npz` or `.json` file: as a range of the object where that is possible."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fabric.codecs.npz import NpzMember, inflate_member, read_npz_index
from fabric.codecs.tensor import (
    DATATYPE_OF,
    NPY_HEADER_BYTES_MAX,
    NPY_PREFIX_BYTES,
    RANK_MAX,
    NpyHeader,
    read_npy_header,
    tensor_of_json,
)
from fabric.core.errors import InvalidInput
from fabric.db.engine import Database
from fabric.files.files import FileFacts, FileStart, Received, receive_upload
from fabric.storage.base import ObjectStore

RELAID_BYTES_MAX = 256 * 1024 * 1024  # arrays that must be read whole, into memory
JSON_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array's data: C order, little-endian, from `offset` of the object `key` on."""

    key: str
    offset: int
    dtype: str
    shape: tuple[int, ...]
    relaid: Received | None = None  # the object is new and nobody's yet


class ArrayFinder:
    """Looks into files of one job; a file that several inputs name is looked into once for each array."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        """Read from `store`; what must be laid out anew is put there."""
        self._database = database
        self._store = store

    async def find(self, file: FileFacts, name: str, dtype: str) -> StoredArray:
        """The array of a file: its only one, or in a `.npz` of several the one called `name`.

        A `.json` that is a plain list, and a `.jsonl` with an item a line, hold numbers of `dtype`.

        Raises:
            InvalidInput: the file holds no such array, is damaged, or would have to be laid out anew and is too large for that.
            StorageUnavailable: it cannot be read now.
        """
        prefix = await self.read(file, 0, min(file.size, NPY_PREFIX_BYTES))
        if prefix[:4] == b"PK\x03\x04":
            return await self._in_npz(file, name)
        if prefix[:6] == b"\x93NUMPY":
            return await self._in_npy(file, prefix)
        if file.name.lower().endswith(".jsonl"):
            return await self._in_json(file, dtype, by_line=True)
        if prefix.lstrip()[:1] == b"{" or file.name.lower().endswith(".json"):
            return await self._in_json(file, dtype)
        raise InvalidInput(f"{file.name!r} is not a .npy, .npz, .json or .jsonl file.")

    async def _in_npy(self, file: FileFacts, prefix: bytes) -> StoredArray:
        if int.from_bytes(prefix[8:12], "little") + 12 > len(prefix) and len(prefix) < file.size:
            prefix = await self.read(file, 0, min(file.size, NPY_HEADER_BYTES_MAX + 12))
        header = read_npy_header(prefix)
        _check_numbers(header)
        if header.header_bytes + header.data_bytes != file.size:
            raise InvalidInput(f"{file.name!r} has not the length that its header says; is it whole?")
        if not header.fortran:
            return StoredArray(file.object_key, file.object_offset + header.header_bytes, header.dtype, header.shape)
        data = await self._read_whole(file, header.header_bytes, header.data_bytes)
        return await self._lay_out(_array_of(header, data), file.name)

    async def _in_npz(self, file: FileFacts, name: str) -> StoredArray:
        member = await self._member(file, name)
        header = member.header
        if header is not None:
            _check_numbers(header)
        if header is not None and not header.fortran:
            return StoredArray(
                file.object_key, file.object_offset + member.offset + header.header_bytes, header.dtype, header.shape
            )
        return await self._lay_out(await self._member_array(file, member), f"{member.name}.npy")

    async def member_content(self, file: FileFacts, name: str) -> bytes:
        """The `.npy` file inside a `.npz`: its only one, or the one called `name`. Raises as `find` does."""
        return await self._content(file, await self._member(file, name))

    async def _member(self, file: FileFacts, name: str) -> NpzMember:
        members = await read_npz_index(file.size, lambda offset, length: self.read(file, offset, length))
        member = members[0] if len(members) == 1 else next((m for m in members if m.name == name), None)
        if member is None:
            raise InvalidInput(
                f"{file.name!r} holds no array {name!r}; it has {', '.join(sorted(m.name for m in members)) or 'none'}."
            )
        return member

    async def _content(self, file: FileFacts, member: NpzMember) -> bytes:
        stored = await self._read_whole(file, member.offset, member.stored_bytes)
        return await asyncio.to_thread(inflate_member, member, stored, RELAID_BYTES_MAX) if member.compressed else stored

    async def _member_array(self, file: FileFacts, member: NpzMember) -> "np.ndarray[Any, Any]":
        stored = await self._content(file, member)
        header = read_npy_header(stored)
        _check_numbers(header)
        if header.header_bytes + header.data_bytes != len(stored):
            raise InvalidInput(f"Array {member.name!r} has not the length that its header says.")
        return _array_of(header, stored[header.header_bytes :])

    async def _in_json(self, file: FileFacts, dtype: str, *, by_line: bool = False) -> StoredArray:
        if file.size > JSON_BYTES_MAX:
            raise InvalidInput(f"{file.name!r} is too large for a JSON tensor; send a .npy file.")
        content = await self.read(file, 0, file.size)
        try:
            tensor = await asyncio.to_thread(_json_lines if by_line else json.loads, content)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"{file.name!r} is not JSON.") from error
        if isinstance(tensor, list):
            tensor = {"datatype": DATATYPE_OF[dtype], "shape": _shape_of(tensor), "data": tensor}
        if not isinstance(tensor, dict):
            raise InvalidInput(f"{file.name!r} is no JSON tensor (name, datatype, shape, data).")
        array = await asyncio.to_thread(tensor_of_json, tensor)
        if array.dtype == object:
            raise InvalidInput(f"{file.name!r} holds texts where numbers are expected.")
        return await self._lay_out(array, file.name)

    async def _lay_out(self, array: "np.ndarray[Any, Any]", name: str) -> StoredArray:
        content = await asyncio.to_thread(_npy_of, array)
        header = read_npy_header(content)
        stem = name.rsplit(".", 1)[0]
        received = await receive_upload(
            self._database, self._store, _one_file(f"{stem} (laid out).npy", content), size_max=len(content), files_max=1
        )
        at = StoredArray(received.object_key, received.parts[0][2] + header.header_bytes, header.dtype, header.shape)
        return replace(at, relaid=received)

    async def _read_whole(self, file: FileFacts, offset: int, length: int) -> bytes:
        if length > RELAID_BYTES_MAX:
            raise InvalidInput(
                f"{file.name!r} is compressed or in Fortran order, and too large to be laid out anew; use numpy.save."
            )
        return await self.read(file, offset, length)

    async def read(self, file: FileFacts, offset: int, length: int) -> bytes:
        """A range of the file. Raises StorageUnavailable."""
        return await self._store.read(file.object_key, file.object_offset + offset, length) if length else b""


def _check_numbers(header: NpyHeader) -> None:
    if header.is_text:
        raise InvalidInput("this array holds texts where numbers are expected")


def _json_lines(content: bytes) -> list[Any]:
    return [json.loads(line) for line in content.splitlines() if line.strip()]


def _shape_of(value: Any) -> list[int]:
    """The shape of nested lists by their first elements; whether the others agree shows when they become an array."""
    shape: list[int] = []
    while isinstance(value, list) and len(shape) <= RANK_MAX:
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _array_of(header: NpyHeader, data: bytes) -> "np.ndarray[Any, Any]":
    return np.frombuffer(data, dtype=header.dtype).reshape(header.shape, order="F" if header.fortran else "C")


def _npy_of(array: "np.ndarray[Any, Any]") -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array, order="C"), allow_pickle=False)  # not ascontiguousarray: it gives a scalar an axis
    return buffer.getvalue()


async def _one_file(name: str, content: bytes) -> AsyncIterator[FileStart | bytes]:
    yield FileStart(name, "application/octet-stream")
    for start in range(0, len(content), 1024 * 1024):
        yield content[start : start + 1024 * 1024]
