"""The gate's other direction: whatever control processes ask of providers' machines passes here, and so does each answer.

Ray's own gRPC clients are told to reach everything beyond loopback through an HTTP proxy, which is this: `CONNECT host:port` is
granted for the address of a machine that entered, and leads to a gRPC check that asks the machine itself. So a machine's answer is
rewritten (`fabric.gate.replies`) before any process of Ray's sees a byte of it, and an answer that is too large is not read at all.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

import grpc

from fabric.core.errors import DatabaseUnavailable
from fabric.core.telemetry import logger
from fabric.gate import meter, methods, replies
from fabric.gate.calls import Calls, CutOff
from fabric.gate.grants import Caller
from fabric.gate.refusals import Refusals

HEAD_BYTES_MAX = 8 * 1024
HEAD_TIMEOUT_S = 5.0
PASSED_ON = ("authorization", "ray_cluster_id")
ERRORS_PASSED_ON = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
"""Any other becomes UNKNOWN: Ray gives meanings of its own to some, and reads their texts."""
SERVER_OPTIONS = (
    ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0),
)  # fmt: skip
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", replies.REPLY_BYTES_MAX), ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 16 * 1024), ("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 1000),
)  # fmt: skip
log = logger(__name__)


class Known(Protocol):
    """What the gate knows about machines (`fabric.gate.gate.Gate`)."""

    calls: Calls

    def caller(self, peer: str) -> Caller | None:
        """The machine at this address."""
        ...

    async def refresh(self) -> None:
        """Learn what is new."""
        ...


@dataclass
class _Target:
    """One listener of one machine: its raylet, or one of its workers."""

    socket: Path
    connections: int = 0
    answers_cut: int = 0
    relays: set[asyncio.Task[None]] = field(default_factory=set)
    ends: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    def cut(self) -> None:
        """An answer was too large: its connection has ended."""
        self.answers_cut += 1


class Outward:
    """The proxy and its checks."""

    def __init__(self, gate: Known, refusals: Refusals, folder: Path) -> None:
        """`folder` is the gate's own; names in it are short."""
        self._gate, self._refusals, self._folder = gate, refusals, folder
        self._targets: dict[tuple[str, int], _Target] = {}
        self._opening = asyncio.Lock()
        self._number = 0

    async def serve(self, port: int) -> Callable[[], Awaitable[None]]:
        """Listen on loopback; returns what ends it.

        Raises:
            OSError: the port is taken.
        """
        server = await asyncio.start_server(self._connected, "127.0.0.1", port, limit=HEAD_BYTES_MAX)

        async def stop() -> None:
            server.close()
            for target in list(self._targets.values()):
                for relay in target.relays:
                    relay.cancel()
                await target.ends.aclose()

        return stop

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_TIMEOUT_S):
                place = _place((await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0])
            if place is None or await self._machine(place[0]) is None:
                self._refusals.refuse(methods.CONNECT, "unbound", f"{place}", peer=place[0] if place else "", provider=None)
                writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
                return
            await self._relay(place, reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            return  # cancelled by `stop` alone; asyncio would write a stack trace
        finally:
            writer.close()

    async def _relay(self, place: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = await self._target(place)
        task = asyncio.current_task()
        assert task is not None
        target.relays.add(task)
        try:
            inner_reader, inner_writer = await asyncio.open_unix_connection(str(target.socket), limit=meter.CHUNK_BYTES)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                await meter.both_ways(meter.pump(reader, inner_writer), meter.pump(inner_reader, writer))
            finally:
                inner_writer.close()
        finally:
            target.relays.discard(task)
            target.connections -= 1
            if not target.connections and self._targets.get(place) is target:
                del self._targets[place]
                await target.ends.aclose()

    async def _target(self, place: tuple[str, int]) -> _Target:
        async with self._opening:
            if place not in self._targets:
                self._targets[place] = await self._open(*place)
            target = self._targets[place]
            target.connections += 1
            return target

    async def _open(self, host: str, port: int) -> _Target:
        self._number += 1
        target = _Target(self._folder / f"o{self._number}.sock")
        metered = self._folder / f"m{self._number}.sock"
        target.ends.push_async_callback(await meter.serve(metered, host, port, replies.REPLY_BYTES_MAX, target.cut))
        channel = grpc.aio.insecure_channel(f"unix:{metered}", options=CHANNEL_OPTIONS)
        target.ends.push_async_callback(channel.close)
        server = grpc.aio.server(options=SERVER_OPTIONS)
        server.add_generic_rpc_handlers((_Check(self, host, channel, target),))
        server.add_insecure_port(f"unix:{target.socket}")
        await server.start()
        target.ends.push_async_callback(server.stop, 0)
        return target

    async def _machine(self, host: str) -> Caller | None:
        if (caller := self._gate.caller(host)) is None:
            with contextlib.suppress(DatabaseUnavailable):
                await self._gate.refresh()
            caller = self._gate.caller(host)
        # An address on loopback stands for machines of this host; control processes reach those directly.
        return caller if caller is not None and caller.node_ip == host else None

    async def ask(self, path: str, host: str, request: bytes, channel: Any, target: _Target, context: Any) -> bytes:
        """Ask the machine, rewrite its answer."""
        caller = await self._machine(host)
        if caller is None:
            await _abort(context, grpc.StatusCode.UNAVAILABLE, "no machine that may be reached")
        if not replies.is_known(path):
            self._count(path, caller, "method", "nothing that the control side asks of a machine")
            await _abort(context, grpc.StatusCode.PERMISSION_DENIED, "refused by the gate")
        machine = replies.Machine(caller.node_id, caller.node_ip)
        if (instead := replies.not_for(path, request, machine)) is not None:
            return self._told(path, caller, instead)
        provider_id = caller.grant.provider_id
        metadata = tuple((key, value) for key, value in context.invocation_metadata() if key in PASSED_ON)
        cut_before = target.answers_cut
        call = channel.unary_unary(path)(request, metadata=metadata, timeout=context.time_remaining())
        try:
            with self._gate.calls.under_way(provider_id, call):
                reply: bytes = await call
        except CutOff:
            await _abort(context, grpc.StatusCode.UNAVAILABLE, "cut off")
        except grpc.aio.AioRpcError as error:
            if target.answers_cut > cut_before or error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                return self._told(path, caller, replies.refuse(path, request, "an answer that is too large"))
            code = error.code() if error.code() in ERRORS_PASSED_ON else grpc.StatusCode.UNKNOWN
            await _abort(context, code, f"the machine answered {error.code().name}")
        if path != replies.PUSH and len(reply) > replies.SMALL_REPLY_BYTES_MAX:
            return self._told(path, caller, replies.refuse(path, request, "an answer that is too large"))
        present = self._gate.caller(host) or caller
        machine = replies.Machine(present.node_id, present.node_ip)
        return self._told(path, caller, replies.rewrite(path, request, reply, machine))

    def _told(self, path: str, caller: Caller, answer: replies.Answer) -> bytes:
        self._refusals.count_call(path, "withheld" if answer.refused else "answered")
        if answer.refused:
            self._count(path, caller, "answer", answer.refused)
        return answer.reply

    def _count(self, path: str, caller: Caller, reason: str, detail: str) -> None:
        who = str(caller.grant.provider_id)
        self._refusals.refuse(path, reason, detail, peer=caller.grant.peer or "", provider=who)


class _Check(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The handler of every call to one listener of one machine."""

    def __init__(self, outward: Outward, host: str, channel: Any, target: _Target) -> None:
        self._outward, self._host, self._channel, self._target = outward, host, channel, target

    def service(self, details: Any) -> Any:
        path = details.method

        async def unary(request: bytes, context: Any) -> bytes:
            return await self._outward.ask(path, self._host, request, self._channel, self._target, context)

        return grpc.unary_unary_rpc_method_handler(unary)


def _place(line: bytes) -> tuple[str, int] | None:
    """Host and port of `CONNECT host:port HTTP/1.1`."""
    words = line.split()
    if len(words) != 3 or words[0] != b"CONNECT":
        return None
    host, _, port = words[1].decode("ascii", "replace").rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65535:
        return None
    return host.strip("[]"), int(port)


async def _abort(context: Any, code: Any, detail: str) -> NoReturn:
    await context.abort(code, detail)
    raise AssertionError("unreachable")
