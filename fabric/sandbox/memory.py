"""Memory for tensors that parent and child see at once, where the platform lends it by descriptor; plain memory elsewhere.

A block keeps its size for good (sealed), or a child could cut it short under the parent's hands. What a child has written may
change at any time while it lives: the parent copies it before it believes anything of it.
"""

import mmap
import os
import sys
import threading
from itertools import count

SMALLEST_BYTES = 64 * 1024
KEPT_BYTES_MAX = 256 * 1024**2  # of free blocks of one pool, so that not every order pays for fresh pages
ALIGNMENT = 64
_numbers = count(1)


def can_share() -> bool:
    """True where a child can be lent memory by descriptor."""
    return sys.platform.startswith("linux") and hasattr(os, "memfd_create")


class Block:
    """Some memory of the parent, shared when it has a descriptor."""

    def __init__(self, size: int, *, shared: bool):
        """Room for `size` bytes.

        Raises:
            OSError, MemoryError: there is none.
        """
        self.descriptor = -1
        self.number = next(_numbers)
        self.size = max(1, size)
        if not shared:
            self.view = memoryview(bytearray(self.size))
            return
        self.descriptor = _sealed_descriptor(self.size)
        try:
            self.view = memoryview(mmap.mmap(self.descriptor, self.size))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the descriptor back; the memory goes with the last view into it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __del__(self) -> None:
        self.close()


class Blocks:
    """A supply of blocks that are used again. Safe to use from several threads."""

    def __init__(self, *, shared: bool):
        """Empty."""
        self.shared = shared
        self._lock = threading.Lock()
        self._free: list[Block] = []
        self._used_bytes = 0

    @property
    def bytes(self) -> int:
        """Of all blocks, in use or kept."""
        with self._lock:
            return self._used_bytes + sum(block.size for block in self._free)

    def take(self, size: int) -> Block:
        """A block of at least `size` bytes, with anything in it. Raises like Block."""
        wanted = max(SMALLEST_BYTES, 1 << (size - 1).bit_length() if size < KEPT_BYTES_MAX else size)
        with self._lock:
            for index, block in enumerate(self._free):
                if block.size == wanted:
                    del self._free[index]
                    break
            else:
                block = Block(wanted, shared=self.shared)
            self._used_bytes += block.size
            return block

    def give_back(self, block: Block) -> int | None:
        """Keep the block for later, or close it and say its number."""
        with self._lock:
            self._used_bytes -= block.size
            if block.size + sum(free.size for free in self._free) <= KEPT_BYTES_MAX:
                self._free.append(block)
                return None
        block.close()
        return block.number

    def close(self) -> None:
        """Close what is kept."""
        with self._lock:
            for block in self._free:
                block.close()
            self._free.clear()


def aligned(offset: int) -> int:
    """The next place that suits any number, and the processor's cache lines."""
    return offset + -offset % ALIGNMENT


if sys.platform.startswith("linux"):
    import fcntl

    def _sealed_descriptor(size: int) -> int:
        descriptor = os.memfd_create("tensors", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, size)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

else:

    def _sealed_descriptor(size: int) -> int:
        raise OSError(f"no memory of {size} bytes can be shared on this platform")
