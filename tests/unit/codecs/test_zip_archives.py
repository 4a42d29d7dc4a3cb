"""Zip archives: what is inside is judged by the directory, before anything is inflated."""

import io
import struct
import zipfile

import pytest

from fabric.codecs.zipped import check_files, content_of, read_directory
from fabric.core.errors import InvalidInput


def archive(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()


async def files_in(content: bytes) -> dict[str, bytes]:
    async def read(offset: int, length: int) -> bytes:
        return content[offset : offset + length]

    return {m.name: content_of(content, m) for m in check_files(await read_directory(len(content), read))}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
async def test_files_come_out_in_order_without_what_archivers_add(method: int):
    given = {"b/2.png": b"two", "a.png": b"one", "b/": b"", "__MACOSX/a.png": b"x", ".DS_Store": b"x"}
    assert await files_in(archive(given, method)) == {"b/2.png": b"two", "a.png": b"one"}


def lying(content: bytes) -> bytes:
    """The directory promises another size than the stream has."""
    at = content.index(b"PK\x01\x02")
    return content[: at + 24] + struct.pack("<I", 3) + content[at + 28 :]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a .zip"),
        (archive({"a": b"x"})[:-10], "damaged"),
        (archive({"a": b"x"})[:-22], "truncated"),
        (archive({}), "no files"),
        (archive({"a.png": bytes(100_000_000)}), "bomb"),
        (archive({f"{i}": b"" for i in range(10_001)}), "10001"),
        (archive({"inner.zip": b"x"}), "archive inside"),
        (archive({"inner.png": archive({"a": b"x"})}), "archive inside"),
        (archive({"../a.png": b"x"}), "no name"),
        (archive({"/etc/a.png": b"x"}), "no name"),
        (archive({"a.png": b"x"}, zipfile.ZIP_BZIP2), "compressed in a way"),
        (lying(archive({"a.png": b"12345678"})), "damaged"),
        (archive({"a.png": b"12345678"}, zipfile.ZIP_STORED).replace(b"12345678", b"12345679", 1), "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_should_not_be_unpacked_is_refused_in_words(content: bytes, words: str):
    with pytest.raises(InvalidInput, match=words):
        await files_in(content)


async def test_a_directory_that_promises_too_much_is_refused_before_anything_is_inflated():
    content = archive({f"{i}.bin": b"x" for i in range(3)}, zipfile.ZIP_STORED)
    for size in (200 * 1024**2,):
        changed = content.replace(struct.pack("<II", 1, 1), struct.pack("<II", size, size))
        with pytest.raises(InvalidInput, match="allowed"):
            await files_in(changed)
