"""Models that the owner lets lie on this machine's disk, so that a slot that starts afresh need not fetch them again.

Off unless the owner names a size. The least recently used go first. A file is believed only when its hash is right: what lies on a
stranger's disk may be anything by the next day. Slots of one machine share the folder.
"""

import contextlib
import hashlib
import os
from pathlib import Path


class KeptModels:
    """Models by their SHA-256, in a folder of at most so many bytes. A disk that fails costs a fetch, never an order."""

    def __init__(self, folder: Path, bytes_max: int):
        """Make the folder, and room if it holds more than it may."""
        self._folder, self._bytes_max = folder, bytes_max
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            self._make_room(0)

    def read(self, sha256: str, into: memoryview) -> bool:
        """Fill `into` with the model; whether it was there, whole."""
        path = self._folder / sha256
        try:
            with path.open("rb", buffering=0) as file:
                filled = 0
                while filled < len(into) and (count := file.readinto(into[filled:])):
                    filled += count
                is_end = not file.read(1)
            os.utime(path)
        except OSError:
            return False
        if filled == len(into) and is_end and hashlib.sha256(into).hexdigest() == sha256:
            return True
        with contextlib.suppress(OSError):
            path.unlink()
        return False

    def keep(self, sha256: str, content: memoryview) -> None:
        """Write a model down, whole or not at all, and remove the least recently used until all fits."""
        if len(content) > self._bytes_max:
            return
        unfinished = self._folder / f"{sha256}.{os.getpid()}"
        try:
            self._make_room(len(content))
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
            unfinished.replace(self._folder / sha256)
        except OSError:
            with contextlib.suppress(OSError):
                unfinished.unlink()

    def _make_room(self, wanted: int) -> None:
        files = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                state = path.stat()
                files.append((state.st_mtime_ns, state.st_size, path))
        held = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if held + wanted <= self._bytes_max:
                break
            path.unlink(missing_ok=True)
            held -= size
