"""Names and extents of uploaded files."""

import hashlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.core.errors import Invalid, TooLarge
from fabric.files.files import FileStart, Received, _Pack, checked_name


async def incoming(*items: FileStart | bytes) -> AsyncIterator[FileStart | bytes]:
    for item in items:
        yield item


@given(st.lists(st.lists(st.binary(max_size=50), max_size=4), min_size=1, max_size=6))
async def test_a_pack_is_its_files_one_after_another(files: list[list[bytes]]):
    items = [item for number, pieces in enumerate(files) for item in (FileStart(f"{number}.bin", "a/b"), *pieces)]
    pack = _Pack(incoming(*items), files_max=10)
    content = b"".join([chunk async for chunk in pack.chunks()])
    assert [content[offset : offset + size] for _, _, offset, size, _ in pack.parts] == [b"".join(pieces) for pieces in files]
    assert [sha256 for *_, sha256 in pack.parts] == [hashlib.sha256(b"".join(pieces)).digest() for pieces in files]
    assert [start.name for _, start, *_ in pack.parts] == [f"{number}.bin" for number in range(len(files))]
    assert pack.parts[0][0] == pack.first_id
    assert len({file_id for file_id, *_ in pack.parts}) == len(files)


async def test_too_many_files_are_refused():
    pack = _Pack(incoming(*[FileStart("a", "a/b")] * 3), files_max=1)
    with pytest.raises(TooLarge):
        [chunk async for chunk in pack.chunks()]


async def test_equal_uploads_have_equal_fingerprints_and_others_do_not():
    async def fingerprint(*items: FileStart | bytes) -> bytes:
        pack = _Pack(incoming(*items), files_max=10)
        _ = [chunk async for chunk in pack.chunks()]
        return Received("key", tuple(pack.parts)).fingerprint

    base = await fingerprint(FileStart("a", "x/y"), b"12", b"34")
    assert await fingerprint(FileStart("a", "x/y"), b"1", b"234") == base
    for other in ([FileStart("b", "x/y"), b"1234"], [FileStart("a", "x/z"), b"1234"], [FileStart("a", "x/y"), b"1235"],
                  [FileStart("a", "x/y"), b"12", FileStart("a", "x/y"), b"34"]):  # fmt: skip
        assert await fingerprint(*other) != base


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [("a.png", "a.png"), ("../../etc/passwd", "passwd"), ("C:\\pictures\\ä b.png", "ä b.png"), ("a\x00\n.npy ", "a.npy")],
)
def test_a_name_keeps_no_folder_and_no_control_character(given_name: str, kept: str):
    assert checked_name(given_name) == kept


@pytest.mark.parametrize("name", ["", "folder/", "\n", "a" * 256])
def test_a_file_needs_a_name(name: str):
    with pytest.raises(Invalid):
        checked_name(name)
