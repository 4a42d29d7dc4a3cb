"""Bytes in and out through signed URLs: exact ranges, sizes and hashes checked, short outages ridden out.

No redirect is followed, no credential is sent, nothing is read beyond the bytes that were asked for.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import urllib3
from urllib3.exceptions import HTTPError

from fabric.actors.cancellation import Cancellation
from fabric.actors.pace import Pace

ATTEMPTS_MAX = 4
PAUSE_S = 0.1  # before the second attempt; doubled before each further one
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
PARALLEL = 4
OBJECT_BYTES_MAX = 8 * 1024**3
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
Result = TypeVar("Result")


class TransferFailed(Exception):
    """The bytes did not come or go. `code` is fetch_failed, fetch_refused, hash_mismatch, upload_failed or upload_refused."""

    def __init__(self, code: str, detail: str):
        self.code = code
        super().__init__(detail)


class _Outage(Exception):
    """Trying again may help."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`length` bytes of what lies behind a signed URL, from `offset` on."""

    url: str
    offset: int
    length: int


class Transfer:
    """Connections that are kept and used again. Safe to use from several threads; `close` it."""

    def __init__(self, *, pause_s: float = PAUSE_S, read_timeout_s: float = READ_TIMEOUT_S, bytes_per_s: int | None = None):
        """Nothing is opened yet. `bytes_per_s` is what may come, and what may go; None: no limit."""
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=read_timeout_s)
        self._http = urllib3.PoolManager(num_pools=8, maxsize=2 * PARALLEL, timeout=timeout, retries=False)
        self._threads = ThreadPoolExecutor(PARALLEL, thread_name_prefix="transfer")
        self._pause_s = pause_s
        self._inward, self._outward = Pace(bytes_per_s), Pace(bytes_per_s)

    def fetch(self, wanted: ByteRange, cancellation: Cancellation, into: memoryview | None = None) -> memoryview:
        """Exactly these bytes, in `into` where it is given, else in an aligned buffer of their own.

        Raises:
            TransferFailed: they cannot be had.
            Cancelled: the wish came first.
        """
        return self._patiently("fetch", lambda: self._fetch_once(wanted, cancellation, into), cancellation)

    def fetch_all(
        self, ranges: list[ByteRange], cancellation: Cancellation, into: Sequence[memoryview] | None = None
    ) -> list[memoryview | TransferFailed]:
        """All of them, each like `fetch`, some at a time; a failure takes its place in the list.

        Raises:
            Cancelled: the wish came first.
        """
        places: Sequence[memoryview | None] = into or [None] * len(ranges)
        if len(ranges) == 1:
            return [self._fetched_or_failure(ranges[0], cancellation, places[0])]
        return list(self._threads.map(lambda wanted, at: self._fetched_or_failure(wanted, cancellation, at), ranges, places))

    def fetch_object(
        self, url: str, size: int, sha256: str, cancellation: Cancellation, into: memoryview | None = None
    ) -> memoryview:
        """A whole object whose size and hash are known, like `fetch`.

        Raises:
            TransferFailed: it cannot be had, or is another one.
            Cancelled: the wish came first.
        """
        content = self.fetch(ByteRange(url, 0, size), cancellation, into)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise TransferFailed("hash_mismatch", "the object behind the URL is not the one that was ordered")
        return content

    def put(self, url: str, body: bytes | memoryview, cancellation: Cancellation) -> None:
        """Store the body.

        Raises:
            TransferFailed: it was refused, or the store cannot be reached.
            Cancelled: the wish came first.
        """
        self._patiently("upload", lambda: self._put_once(url, body, cancellation), cancellation)

    def put_soon(self, url: str, body: bytes | memoryview, cancellation: Cancellation) -> "Future[None]":
        """`put` beside whatever goes on."""
        return self._threads.submit(self.put, url, body, cancellation)

    def close(self) -> None:
        """Drop all connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._http.clear()

    def _fetched_or_failure(
        self, wanted: ByteRange, cancellation: Cancellation, into: memoryview | None
    ) -> memoryview | TransferFailed:
        try:
            return self.fetch(wanted, cancellation, into)
        except TransferFailed as error:
            return error

    def _patiently(self, verb: str, act: Callable[[], Result], cancellation: Cancellation) -> Result:
        pause_s = self._pause_s
        for attempt in range(1, ATTEMPTS_MAX + 1):
            cancellation.check()
            try:
                return act()
            except (HTTPError, OSError, _Outage) as error:
                if attempt == ATTEMPTS_MAX:
                    # Only the kind: messages of urllib3 hold the URL, and its signature is a credential.
                    said = str(error) if isinstance(error, _Outage) else type(error).__name__
                    raise TransferFailed(f"{verb}_failed", said) from None
            cancellation.pause(pause_s)
            pause_s *= 2
        raise AssertionError("the last attempt returns or raises")

    def _fetch_once(self, wanted: ByteRange, cancellation: Cancellation, into: memoryview | None) -> memoryview:
        if not 0 <= wanted.length <= OBJECT_BYTES_MAX:
            raise TransferFailed("fetch_refused", f"{wanted.length} bytes cannot be fetched")
        if wanted.length == 0:
            return memoryview(b"")
        last = wanted.offset + wanted.length - 1
        # Accept-Encoding is spelled out, or a proxy on the way might compress and the range would mean something else.
        headers = {"Range": f"bytes={wanted.offset}-{last}", "Accept-Encoding": "identity"}
        response = self._http.request(
            "GET", wanted.url, headers=headers, preload_content=False, decode_content=False, redirect=False
        )  # fmt: skip
        whole = False
        try:
            _check_status(response.status, "fetch", {200, 206})
            _check_extent(response, wanted)
            buffer = np.empty(wanted.length, np.uint8).data if into is None else into[: wanted.length]
            filled = 0
            while filled < wanted.length:
                cancellation.check()
                count = response.readinto(buffer[filled : filled + self._inward.piece_bytes])
                if not count:
                    raise _Outage(f"the body ended after {filled} of {wanted.length} bytes")
                filled += count
                if owed_s := self._inward.owed_s(count):
                    cancellation.pause(owed_s)
            whole = not response.read(1)
            return buffer
        finally:
            # A connection with a rest on it cannot be used again.
            (response.release_conn if whole else response.close)()

    def _put_once(self, url: str, body: bytes | memoryview, cancellation: Cancellation) -> None:
        content: Any = body  # urllib3 takes whatever has a buffer, and says less
        headers = {"Content-Type": "application/octet-stream"}
        if self._outward.is_limited:
            content, headers["Content-Length"] = self._slowly(body, cancellation), str(len(body))
        response = self._http.request("PUT", url, body=content, headers=headers, redirect=False)
        if response.status == 409:
            return  # an earlier try arrived and only its answer was lost; what lies there is hashed before it is believed
        _check_status(response.status, "upload", {200, 201, 204})

    def _slowly(self, body: bytes | memoryview, cancellation: Cancellation) -> Iterator[bytes]:
        step = self._outward.piece_bytes
        for begin in range(0, len(body), step):
            piece = bytes(body[begin : begin + step])
            yield piece
            cancellation.pause(self._outward.owed_s(len(piece)))


def _check_status(status: int, verb: str, expected: set[int]) -> None:
    if status in expected:
        return
    if status in _RETRYABLE:
        raise _Outage(f"the store answered {status}")
    raise TransferFailed(f"{verb}_refused", f"the store answered {status}")


def _check_extent(response: urllib3.BaseHTTPResponse, wanted: ByteRange) -> None:
    announced = response.headers.get("Content-Length", "")
    if announced and announced != str(wanted.length):
        raise TransferFailed("fetch_refused", f"{announced} bytes were sent where {wanted.length} were asked for")
    if response.status == 206:
        sent = response.headers.get("Content-Range", "")
        if not sent.startswith(f"bytes {wanted.offset}-{wanted.offset + wanted.length - 1}/"):
            raise TransferFailed("fetch_refused", f"the range {sent[:60]!r} was sent")
    elif wanted.offset:
        raise TransferFailed("fetch_refused", "the store does not serve ranges")
