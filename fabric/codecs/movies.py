"""Video files to pixels, by PyAV; imported only where models run.

A file is a stranger's: its size, length and number of frames are bounded while it is read, and whatever the decoder says about a
damaged one fails that one item.
"""

from collections.abc import Iterator
from typing import Any

from fabric.codecs.base import Array, Buffer
from fabric.codecs.containers import Unreadable, opened

FILE_BYTES_MAX = 256 * 1024**2
FRAME_PIXELS_MAX = 4096 * 2304
FRAMES_MAX = 20_000  # of the whole file
SECONDS_MAX = 1800.0


class CorruptVideo(ValueError):
    """This file cannot be used; `code` is corrupt_video, video_too_large or video_too_long."""

    def __init__(self, code: str, detail: str):
        self.code = code
        super().__init__(detail)


def decode_frames(data: Buffer, count: int, every: int | None, size: list[int]) -> Iterator[tuple[int, Array]]:
    """`count` frames of a video as uint8 height × width × RGB, each with its place: evenly spread, or every n-th from the first.

    Raises:
        CorruptVideo: it cannot be decoded, or is larger or longer than it may be.
    """
    if len(data) > FILE_BYTES_MAX:
        raise CorruptVideo("video_too_large", f"{len(data)} bytes; {FILE_BYTES_MAX} are allowed")
    content = bytes(data)
    try:
        total = _counted(content)
        wanted = [i * every for i in range(count)] if every else [(2 * i + 1) * total // (2 * count) for i in range(count)]
        yield from _picked(content, [min(index, total - 1) for index in wanted], size)
    except Unreadable as error:
        raise CorruptVideo("corrupt_video", str(error)) from error


def _counted(content: bytes) -> int:
    """How many frames there are, without decoding one."""
    with opened(content, "video") as (container, _):
        stream = container.streams.video[0]
        _check_size(stream.codec_context)
        seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        if seconds > SECONDS_MAX:
            raise CorruptVideo("video_too_long", f"{seconds:.0f} s; {SECONDS_MAX:g} are allowed")
        total = 0
        for packet in container.demux(stream):
            total += packet.size > 0
            if total > FRAMES_MAX:
                raise CorruptVideo("video_too_long", f"more than {FRAMES_MAX} frames")
        if not total or stream.frames > total:
            raise CorruptVideo("corrupt_video", f"truncated: {total} frames of {stream.frames}")
        return total


def _picked(content: bytes, wanted: list[int], size: list[int]) -> Iterator[tuple[int, Array]]:
    place = 0
    last: Array | None = None
    with opened(content, "video") as (container, _):
        for index, frame in enumerate(container.decode(container.streams.video[0])):
            if index > wanted[-1]:
                break
            _check_size(frame)
            if place < len(wanted) and wanted[place] == index:
                last = frame.reformat(width=size[1], height=size[0], format="rgb24", interpolation="BILINEAR").to_ndarray()
            while place < len(wanted) and wanted[place] == index and last is not None:
                yield place, last
                place += 1
        if last is None:
            raise CorruptVideo("corrupt_video", "no frame could be decoded")
        # Some packets give no frame of their own; what they would have shown is what came last.
        for rest in range(place, len(wanted)):
            yield rest, last


def _check_size(sized: Any) -> None:
    if not 0 < sized.width * sized.height <= FRAME_PIXELS_MAX:
        raise CorruptVideo("video_too_large", f"{sized.width} × {sized.height}; {FRAME_PIXELS_MAX} pixels are allowed")
