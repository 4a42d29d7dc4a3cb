"""Finds the items of differing length inside uploaded files: texts, one a line or one a JSON value, and the files of a zip.

They are laid out anew, one after another in an object of their owner, so that any run of items is one byte range.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fabric.codecs.strings import strings_of
from fabric.codecs.tensor import read_npy_header, tensor_of_json
from fabric.codecs.texts import BadTexts, array_of
from fabric.codecs.zipped import UNPACKED_BYTES_MAX, check_files, content_of, read_directory
from fabric.core.errors import InvalidInput
from fabric.db.engine import Database
from fabric.files.files import FileFacts, FileStart, Received, receive_upload
from fabric.jobs.stored_arrays import RELAID_BYTES_MAX, ArrayFinder
from fabric.storage.base import ObjectStore

TEXT_BYTES_MAX = 64 * 1024**2  # of one file of texts
CHUNK_BYTES = 1024**2
ZIP_MAGIC = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class StoredItems:
    """Items one after another from the beginning of the object `key`, which is new and nobody's yet."""

    key: str
    sizes: tuple[int, ...]
    relaid: Received


class ItemFinder:
    """Looks into files of one job."""

    def __init__(self, database: Database, store: ObjectStore, arrays: ArrayFinder) -> None:
        """Read as `arrays` does; what is laid out anew is put into `store`."""
        self._database = database
        self._store = store
        self._arrays = arrays

    async def texts(self, file: FileFacts, name: str) -> "np.ndarray[Any, Any]":
        """The texts of a file as an array of objects, items along axis 0.

        A `.npy` or `.npz` of texts, a `.json` list or tensor of texts, a `.jsonl` with one text a line, or else UTF-8 lines.

        Raises:
            InvalidInput: it holds no texts, is damaged, or too large.
            StorageUnavailable: it cannot be read now.
        """
        if file.size > TEXT_BYTES_MAX:
            raise InvalidInput(f"{file.name!r} has {file.size} bytes; a file of texts may have {TEXT_BYTES_MAX}.")
        content = await self._arrays.read(file, 0, file.size)
        if content[:6] == b"\x93NUMPY":
            return await asyncio.to_thread(texts_in_npy, content)
        if content[:4] == ZIP_MAGIC:
            return await asyncio.to_thread(texts_in_npy, await self._arrays.member_content(file, name))
        suffix = file.name.lower().rpartition(".")[2]
        reader = {"json": texts_in_json, "jsonl": texts_in_json_lines}.get(suffix, texts_in_lines)
        return await asyncio.to_thread(reader, content, file.name)

    async def lay_out(self, array: "np.ndarray[Any, Any]", name: str) -> StoredItems:
        """Store texts as items along axis 0. Raises InvalidInput, StorageUnavailable."""
        try:
            items = strings_of(array)
        except BadTexts as error:
            raise InvalidInput(f"{name!r}: {error}.") from error
        return await self._stored(items, f"{name.rpartition('.')[0] or name} (laid out).bin")

    async def unpacked(self, file: FileFacts) -> StoredItems:
        """The files of a zip, in its order.

        Raises:
            InvalidInput: no zip, damaged, or beyond what is unpacked; nothing is inflated before that is known.
            StorageUnavailable: it cannot be read now.
        """
        members = check_files(await read_directory(file.size, lambda offset, length: self._arrays.read(file, offset, length)))
        if file.size > UNPACKED_BYTES_MAX:
            raise InvalidInput(f"{file.name!r} has {file.size} bytes; a .zip file may have {UNPACKED_BYTES_MAX}.")
        archive = await self._arrays.read(file, 0, file.size)
        contents = await asyncio.to_thread(lambda: [content_of(archive, member) for member in members])
        return await self._stored(contents, f"{file.name.rpartition('.')[0] or file.name} (unpacked).bin")

    async def _stored(self, items: list[bytes], name: str) -> StoredItems:
        if sum(map(len, items)) > RELAID_BYTES_MAX:
            raise InvalidInput(f"the items have more than {RELAID_BYTES_MAX} bytes together; split the file")

        async def incoming() -> AsyncIterator[FileStart | bytes]:
            yield FileStart(name, "application/octet-stream")
            whole = b"".join(items)
            for start in range(0, len(whole), CHUNK_BYTES):
                yield whole[start : start + CHUNK_BYTES]

        received = await receive_upload(self._database, self._store, incoming(), size_max=RELAID_BYTES_MAX, files_max=1)
        return StoredItems(received.object_key, tuple(map(len, items)), received)


def texts_in_lines(content: bytes, name: str) -> "np.ndarray[Any, Any]":
    """One text a line. Raises InvalidInput."""
    if not content:
        raise InvalidInput(f"{name!r} is empty.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{name!r} is not UTF-8 text: line {line} cannot be read.") from error
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    return array_of(lines, (len(lines),))


def texts_in_json_lines(content: bytes, name: str) -> "np.ndarray[Any, Any]":
    """One JSON value a line. Raises InvalidInput."""
    return _array_of_texts([_parsed(line, name) for line in content.splitlines() if line.strip()], name)


def texts_in_json(content: bytes, name: str) -> "np.ndarray[Any, Any]":
    """A JSON list of texts, nested alike, or a JSON tensor. Raises InvalidInput."""
    value = _parsed(content, name)
    if isinstance(value, dict):
        array = tensor_of_json(value)
        if array.dtype != object:
            raise InvalidInput(f"{name!r} holds numbers where texts are expected.")
        return array
    return _array_of_texts(value, name)


def texts_in_npy(content: bytes) -> "np.ndarray[Any, Any]":
    """A `.npy` of NumPy's texts. Raises InvalidInput."""
    header = read_npy_header(content)
    if not header.is_text:
        raise InvalidInput(f"this array holds {header.dtype} where texts are expected")
    if header.header_bytes + header.data_bytes != len(content):
        raise InvalidInput("this array has not the length that its header says; is it whole?")
    try:
        fixed = np.frombuffer(content, header.dtype, offset=header.header_bytes).reshape(
            header.shape, order="F" if header.fortran else "C"
        )
        texts = [text.decode() if isinstance(text, bytes) else text for text in fixed.ravel().tolist()]
    except ValueError as error:  # also what is no character
        raise InvalidInput("this array holds what is no text") from error
    return array_of(texts, header.shape)


def _parsed(content: bytes, name: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{name!r} is not JSON.") from error


def _array_of_texts(value: Any, name: str) -> "np.ndarray[Any, Any]":
    if not isinstance(value, list) or not value:
        raise InvalidInput(f"{name!r} holds no list of texts.")
    shape, inner = [len(value)], value[0]
    while isinstance(inner, list) and inner:
        shape.append(len(inner))
        inner = inner[0]
    array = tensor_of_json({"datatype": "BYTES", "shape": shape, "data": value})
    if not _is_even(value, shape):
        raise InvalidInput(f"{name!r} holds lists of differing length.")
    return array


def _is_even(value: Any, shape: list[int]) -> bool:
    if not shape:
        return isinstance(value, str)
    return isinstance(value, list) and len(value) == shape[0] and all(_is_even(inner, shape[1:]) for inner in value)
