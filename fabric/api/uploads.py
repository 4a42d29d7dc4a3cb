"""Reads bodies that are too large for memory, raw or multipart, piece by piece.

Nothing is spooled here: pieces go on to where they are kept. The limit of the whole body is enforced around every route
(api/middleware.py), the limit of what is kept by whoever keeps it.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from fabric.core.errors import Malformed, TooLarge, UnsupportedMedia

HEADERS_MAX = 16
DEFAULT_MEDIA_TYPE = "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")


@dataclass(frozen=True, slots=True)
class PartStart:
    """From here on bytes belong to this part of a multipart body."""

    field: str
    filename: str | None  # None: a plain field
    media_type: str


def is_multipart(request: Request) -> bool:
    """Whether the body is multipart/form-data."""
    return media_type_of(request.headers.get("Content-Type")) == "multipart/form-data"


def media_type_of(header: str | None) -> str:
    """The media type without parameters; application/octet-stream for none or one that is spelled wrongly."""
    essence = (header or "").partition(";")[0].strip().lower()
    return essence if _MEDIA_TYPE.fullmatch(essence) else DEFAULT_MEDIA_TYPE


async def body_chunks(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes.

    Raises:
        UnsupportedMedia: it is compressed.
        Malformed: the caller hung up.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("uploads are not taken compressed")
    try:
        async for chunk in request.stream():
            if chunk:
                yield chunk
    except ClientDisconnect:
        raise Malformed("the body ended before it was complete") from None


async def parts(request: Request, *, parts_max: int) -> AsyncIterator[PartStart | bytes]:
    """The parts of a multipart body, each begun by a `PartStart`.

    Raises:
        TooLarge: too many parts.
        UnsupportedMedia: it is compressed.
        Malformed: it is no multipart body, or ends early.
    """
    reader = _MultipartReader(request.headers.get("Content-Type", ""), parts_max)
    async for chunk in body_chunks(request):
        for item in reader.feed(chunk):
            yield item
    reader.check_end()


class _MultipartReader:
    """Turns the parser's callbacks into a list for each chunk."""

    def __init__(self, content_type: str, parts_max: int) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise Malformed("the Content-Type of a multipart body names its boundary")
        self._items: list[PartStart | bytes] = []
        self._parts_left = parts_max
        self._headers: dict[str, bytes] = {}
        self._field = self._value = b""
        self._is_complete = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._extend_field,
                    "on_header_value": self._extend_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._start_part,
                    "on_part_data": lambda data, start, end: self._items.append(data[start:end]),
                    "on_end": self._end,
                },
                max_header_count=HEADERS_MAX,
            )
        except FormParserError as error:
            raise Malformed(f"the multipart body cannot be read: {error}") from None

    def feed(self, chunk: bytes) -> list[PartStart | bytes]:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise Malformed(f"the multipart body cannot be read: {error}") from None
        items, self._items = self._items, []
        return items

    def check_end(self) -> None:
        if not self._is_complete:
            raise Malformed("the multipart body ends early")

    def _begin_part(self) -> None:
        self._parts_left -= 1
        if self._parts_left < 0:
            raise TooLarge("the body has too many parts")
        self._headers = {}

    def _extend_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _extend_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value
        self._field = self._value = b""

    def _start_part(self) -> None:
        disposition, options = parse_options_header(self._headers.get("content-disposition"))
        if disposition != b"form-data" or b"name" not in options:
            raise Malformed("each part of a multipart body needs `Content-Disposition: form-data; name=…`")
        filename = options.get(b"filename")
        media_type = media_type_of(self._headers.get("content-type", b"").decode("latin-1"))
        field = options[b"name"].decode(errors="replace")
        self._items.append(PartStart(field, None if filename is None else filename.decode(errors="replace"), media_type))

    def _end(self) -> None:
        self._is_complete = True
