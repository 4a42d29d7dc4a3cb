import mmap
import os

import pytest

from fabric.sandbox.memory import KEPT_BYTES_MAX, SMALLEST_BYTES, Block, Blocks, aligned, can_share
from tests.fixtures import descriptors

SHARED = pytest.param(True, marks=pytest.mark.skipif(not can_share(), reason="no memory is lent here"))


@pytest.mark.parametrize("shared", [False, SHARED])
def test_a_block_has_room_and_comes_again(shared):
    blocks = Blocks(shared=shared)
    first = blocks.take(100_000)
    first.view[:3] = b"abc"
    assert first.size == 131_072
    assert blocks.give_back(first) is None
    assert blocks.take(70_000) is first
    other = blocks.take(70_000)
    assert other.number != first.number
    assert blocks.bytes == first.size + other.size
    blocks.close()


def test_the_smallest_block_is_not_tiny_and_a_large_one_is_not_kept():
    blocks = Blocks(shared=False)
    small, large = blocks.take(0), blocks.take(KEPT_BYTES_MAX + 5)
    assert (small.size, large.size) == (SMALLEST_BYTES, KEPT_BYTES_MAX + 5)
    assert blocks.give_back(large) == large.number
    assert blocks.give_back(small) is None
    assert blocks.bytes == small.size


@pytest.mark.skipif(not can_share(), reason="no memory is lent here")
def test_what_one_end_writes_the_other_reads_and_neither_can_cut_it_short():
    block = Block(4096, shared=True)
    theirs = mmap.mmap(block.descriptor, 4096)
    theirs[10:13] = b"abc"
    assert bytes(block.view[10:13]) == b"abc"
    for size in (0, 8192):
        with pytest.raises(PermissionError):
            os.ftruncate(block.descriptor, size)
    block.close()
    block.close()


@pytest.mark.skipif(not can_share(), reason="no memory is lent here")
def test_a_forgotten_block_gives_its_descriptor_back():
    block = Block(4096, shared=True)
    lent = os.fstat(block.descriptor)
    assert descriptors.held(lent)
    del block
    assert not descriptors.held(lent)


def test_places_suit_any_number():
    assert [aligned(n) for n in (0, 1, 64, 65)] == [0, 64, 64, 128]
