"""Passes bytes between the gate and a machine, and ends the connection on which one answer grows too large.

gRPC looks at the size of a message when all of it is in memory. HTTP/2 says in its frames how much belongs to which answer, so here
the bytes of each are counted as they pass, and nothing is kept.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

CHUNK_BYTES = 256 * 1024
CONNECT_TIMEOUT_S = 10.0
HEADER_BYTES = 9
DATA, HEADERS, RST_STREAM = 0, 1, 3
END_STREAM = 1


class TooLarge(Exception):
    """One answer is larger than any may be."""


class FrameMeter:
    """Follows the frames of one HTTP/2 connection, in the direction of the answers."""

    def __init__(self, answer_bytes_max: int) -> None:
        """Nothing was seen yet."""
        self._max = answer_bytes_max
        self._seen: dict[int, int] = {}
        self._header = b""
        self._left = 0  # bytes of the present frame that are still to come

    def feed(self, chunk: bytes) -> None:
        """Count what passes.

        Raises:
            TooLarge: an answer has more bytes than it may.
        """
        at = 0
        while at < len(chunk):
            if self._left:
                step = min(self._left, len(chunk) - at)
                self._left -= step
                at += step
                continue
            wanted = HEADER_BYTES - len(self._header)
            self._header += chunk[at : at + wanted]
            at += wanted
            if len(self._header) == HEADER_BYTES:
                self._begin(self._header)
                self._header = b""

    def _begin(self, header: bytes) -> None:
        self._left = int.from_bytes(header[:3], "big")
        kind, flags, stream = header[3], header[4], int.from_bytes(header[5:9], "big") & 0x7FFFFFFF
        if kind == DATA:
            self._seen[stream] = self._seen.get(stream, 0) + self._left
            if self._seen[stream] > self._max:
                raise TooLarge
        if kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM):
            self._seen.pop(stream, None)


async def serve(
    socket: Path, host: str, port: int, answer_bytes_max: int, exceeded: Callable[[], None]
) -> Callable[[], Awaitable[None]]:
    """Listen at `socket` and pass everything on to that machine's listener; returns what ends it. `exceeded` hears of each cut."""
    relays: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        relays.add(task)
        meter = FrameMeter(answer_bytes_max)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                outer_reader, outer_writer = await asyncio.open_connection(host, port, limit=CHUNK_BYTES)
            try:
                await both_ways(pump(reader, outer_writer), pump(outer_reader, writer, meter.feed))
            finally:
                outer_writer.close()
        except TooLarge:
            exceeded()
            writer.transport.abort()
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # cancelled by `stop` alone; asyncio would write a stack trace
        finally:
            relays.discard(task)
            writer.close()

    server = await asyncio.start_unix_server(connected, str(socket), limit=CHUNK_BYTES)

    async def stop() -> None:
        server.close()
        for relay in list(relays):
            relay.cancel()
        socket.unlink(missing_ok=True)

    return stop


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: Callable[[bytes], None] | None = None) -> None:
    """Pass on what comes, until it ends. `look` sees it first."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            if look is not None:
                look(chunk)
            writer.write(chunk)
            await writer.drain()


async def both_ways(*pumps: Awaitable[None]) -> None:
    """Until either side ends; raises what ended it."""
    tasks = [asyncio.ensure_future(one) for one in pumps]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
