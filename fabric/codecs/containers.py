"""Opens sound and video files with PyAV: only formats that are named here, from memory, on one thread.

PyAV itself is imported when a file is opened.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

RATE_MIN, RATE_MAX = 1_000, 384_000  # samples a second
SECONDS_MAX = 600.0  # of a sound
FORMATS = {"audio": ("flac", "ogg", "mp3", "mov", "matroska"), "video": ("mov", "matroska", "avi", "gif")}
_NAMES = {"mov": "MP4", "matroska": "Matroska/WebM", "avi": "AVI", "gif": "GIF", "flac": "FLAC", "ogg": "Ogg", "mp3": "MP3"}


class Unreadable(ValueError):
    """No such file, or one that the library cannot read."""


@contextmanager
def opened(content: bytes, kind: str) -> Iterator[tuple[Any, Any]]:
    """The container of an `audio` or `video` file, which has at least one stream of that kind, and the library itself.

    Raises:
        Unreadable: another format, damaged, or without such a stream; also for what goes wrong inside the block.
    """
    import io

    import av

    form = _format_of(content)
    if form not in FORMATS[kind]:
        known = ", ".join(_NAMES[name] for name in FORMATS[kind])
        raise Unreadable(f"not a readable {kind} file ({known}{', WAV' if kind == 'audio' else ''})")
    av.logging.set_level(None)
    try:
        # The demuxer is named, or the library would try all, some of which open further files.
        with av.open(io.BytesIO(content), mode="r", format=form) as container:
            streams = container.streams.audio if kind == "audio" else container.streams.video
            if not streams:
                raise Unreadable(f"no {kind} in it")
            streams[0].codec_context.thread_count = 1
            yield container, av
    except (av.FFmpegError, ValueError, OverflowError, IndexError, EOFError) as error:
        if type(error).__module__.startswith("fabric."):
            raise
        raise Unreadable(f"not a readable {kind} file ({type(error).__name__})") from error


def _format_of(content: bytes) -> str:
    if content[4:8] == b"ftyp":
        return "mov"
    if content[:4] == b"RIFF" and content[8:12] == b"AVI ":
        return "avi"
    if content[:3] == b"ID3" or (len(content) > 2 and content[0] == 0xFF and content[1] & 0xE0 == 0xE0):
        return "mp3"
    heads = {b"\x1aE\xdf\xa3": "matroska", b"GIF8": "gif", b"fLaC": "flac", b"OggS": "ogg"}
    return heads.get(content[:4], "")
