"""The gRPC check behind the edge: each call is identified, decided, and forwarded to the GCS in raw bytes, or not.

It listens on a socket in the gate's own folder, so whoever reaches it is the edge, and `x-fabric-peer` is the edge's word.
"""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc

from fabric.core.errors import DatabaseUnavailable
from fabric.core.telemetry import logger
from fabric.gate import methods, sync
from fabric.gate.calls import CutOff
from fabric.gate.check import Claim, Refused, Swallowed, decide
from fabric.gate.enter import Denied, read_request
from fabric.gate.gate import Gate
from fabric.gate.gcs import GcsAway
from fabric.gate.grants import Caller
from fabric.gate.refusals import Refusals

PEER_HEADER = "x-fabric-peer"
PASSED_ON = ("authorization", "ray_cluster_id", "node_id")
"""All metadata that Ray's own processes send."""
SERVER_OPTIONS = (
    ("grpc.max_receive_message_length", methods.LARGE_BYTES + methods.KIB), ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 16 * methods.KIB), ("grpc.so_reuseport", 0),
)  # fmt: skip
TOKEN_DELAY_S = 1.0
"""After a change of the token a node of before asks again as fast as it is refused, thousands of times a second."""
DENIED = {"taken": grpc.StatusCode.FAILED_PRECONDITION}
log = logger(__name__)


class Check(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The one handler of every method."""

    def __init__(self, gate: Gate, refusals: Refusals, token: Callable[[], str]) -> None:
        """`token` is the cluster's present token: who does not show it is refused before anything is looked at."""
        self._gate, self._refusals, self._token = gate, refusals, token

    def service(self, details: Any) -> Any:
        """How a method is served; gRPC asks for each call."""
        path = details.method

        async def unary(request: bytes, context: Any) -> bytes:
            return await self._unary(path, request, context)

        async def stream(_: Any, context: Any) -> None:
            await self._stream(path, context)

        async def enter(request: bytes, context: Any) -> bytes:
            return await self._enter(request, context)

        if path == methods.ENTER:
            return grpc.unary_unary_rpc_method_handler(enter)
        if path in methods.METHODS and methods.METHODS[path].rule == "stream":
            return grpc.stream_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)

    async def _unary(self, path: str, request: bytes, context: Any) -> bytes:
        caller = await self._identify(path, context)
        decision: Any = decide(path, request, caller)
        claim: Claim | None = None
        if not isinstance(decision, Refused | Swallowed):
            claim = decision.claim
            decision = await self._settled(claim, caller, context) or decision
        if isinstance(decision, Refused):
            await self._refuse(path, caller, decision, context)
        if isinstance(decision, Swallowed):
            self._refusals.count_call(path, "swallowed")
            return decision.reply
        reply = await self._forward(path, decision.request, caller, context)
        await self._gate.after(claim, caller)
        return reply

    async def _settled(self, claim: Claim | None, caller: Caller, context: Any) -> Refused | Swallowed | None:
        try:
            return await self._gate.settle(claim, caller)
        except (DatabaseUnavailable, GcsAway) as error:
            await _abort(context, grpc.StatusCode.UNAVAILABLE, f"the gate cannot find out now: {error}")

    async def _forward(self, path: str, request: bytes, caller: Caller, context: Any) -> bytes:
        provider_id = await self._still(caller, context)
        upstream = self._gate.gcs.channel_of(provider_id).unary_unary(path)
        call = upstream(request, metadata=_metadata(context), timeout=context.time_remaining())
        try:
            with self._gate.calls.under_way(provider_id, call):
                reply: bytes = await call
        except CutOff:
            await _abort(context, grpc.StatusCode.PERMISSION_DENIED, "cut off")
        except grpc.aio.AioRpcError as error:
            self._refusals.count_call(path, "failed")
            await _abort(context, error.code(), error.details() or "")
        self._refusals.count_call(path, "forwarded")
        return reply

    async def _stream(self, path: str, context: Any) -> None:
        caller = await self._identify(path, context)
        if dict(context.invocation_metadata()).get("node_id") != (caller.grant.node_id or ""):
            await self._refuse(path, caller, Refused("node_id", "a resource stream of a node that is not its own"), context)
        provider_id = await self._still(caller, context)
        self._refusals.count_call(path, "forwarded")
        call = self._gate.gcs.channel_of(provider_id).stream_stream(path)(metadata=_metadata(context))
        try:
            with self._gate.calls.under_way(provider_id, call):
                await self._both_ways(path, caller, call, context)
        except CutOff:
            await _abort(context, grpc.StatusCode.PERMISSION_DENIED, "cut off")
        except grpc.aio.AioRpcError as error:
            await _abort(context, error.code(), error.details() or "")

    async def _both_ways(self, path: str, caller: Caller, call: Any, context: Any) -> None:
        upwards = asyncio.ensure_future(self._upwards(path, caller, call, context))
        try:
            await context.send_initial_metadata(_reply_metadata(await call.initial_metadata()))
            while (message := await call.read()) is not grpc.aio.EOF:
                await context.write(message)
            if (code := await call.code()) is not grpc.StatusCode.OK:
                await _abort(context, code, await call.details() or "")
        finally:
            upwards.cancel()

    async def _upwards(self, path: str, caller: Caller, call: Any, context: Any) -> None:
        peer = caller.grant.peer or ""
        try:
            while (message := await context.read()) is not grpc.aio.EOF:
                # Looked up for each message: the grant may have been renewed, the node replaced.
                present = self._gate.caller(peer)
                if present is None or present.grant.provider_id != caller.grant.provider_id:
                    call.cancel()
                    return
                synced = sync.check_batch(message, present)
                for reason, detail in synced.refused:
                    self._count(path, present, Refused(reason, detail))
                if synced.forwarded is not None:
                    await call.write(synced.forwarded)
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
            call.cancel()  # the other direction says why

    async def _enter(self, request: bytes, context: Any) -> bytes:
        peer = dict(context.invocation_metadata()).get(PEER_HEADER, "")
        said = read_request(request)
        try:
            answer = Denied("malformed", "this is no request to enter") if said is None else await self._gate.enter(peer, *said)
        except (DatabaseUnavailable, GcsAway) as error:
            await _abort(context, grpc.StatusCode.UNAVAILABLE, f"nobody can enter now: {error}")
        if isinstance(answer, Denied):
            who = None if said is None or answer.reason == "key" else str(said[0])
            self._refusals.refuse(methods.ENTER, answer.reason, answer.detail, peer=peer, provider=who)
            await _abort(context, DENIED.get(answer.reason, grpc.StatusCode.PERMISSION_DENIED), answer.detail)
        self._refusals.count_call(methods.ENTER, "entered")
        return json.dumps({"node_ip": answer}).encode()

    async def _identify(self, path: str, context: Any) -> Caller:
        metadata = dict(context.invocation_metadata())
        peer = str(metadata.get(PEER_HEADER, ""))
        caller = self._gate.caller(peer)
        if caller is None or path not in methods.METHODS:
            reason = "unbound" if caller is None else "method"
            self._refusals.refuse(path, reason, "nobody entered from there", peer=peer, provider=None)
            await _abort(context, grpc.StatusCode.PERMISSION_DENIED, f"refused by the gate ({reason})")
        shown = str(metadata.get("authorization", ""))
        if not hmac.compare_digest(shown.encode(), f"Bearer {self._token()}".encode()):
            self._count(path, caller, Refused("token", "not the cluster's token"))
            await asyncio.sleep(TOKEN_DELAY_S)
            await _abort(context, grpc.StatusCode.UNAUTHENTICATED, "not the cluster's token")
        return caller

    async def _still(self, caller: Caller, context: Any) -> Any:
        """Its id, unless it was cut off or moved since it was identified."""
        present = self._gate.caller(caller.grant.peer or "")
        if present is None or present.grant.provider_id != caller.grant.provider_id:
            await _abort(context, grpc.StatusCode.PERMISSION_DENIED, "cut off")
        return present.grant.provider_id

    async def _refuse(self, path: str, caller: Caller, refused: Refused, context: Any) -> NoReturn:
        self._count(path, caller, refused)
        await _abort(context, grpc.StatusCode.PERMISSION_DENIED, f"refused by the gate ({refused.reason}): {refused.detail}")

    def _count(self, path: str, caller: Caller, refused: Refused) -> None:
        who = str(caller.grant.provider_id)
        self._refusals.refuse(path, refused.reason, refused.detail, peer=caller.grant.peer or "", provider=who)


async def serve(check: Check, address: str) -> Callable[[], Awaitable[None]]:
    """Listen at `address` (unix:…); returns what ends it."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((check,))
    server.add_insecure_port(address)
    await server.start()

    async def stop() -> None:
        await server.stop(0)

    return stop


async def _abort(context: Any, code: Any, detail: str) -> NoReturn:
    await context.abort(code, detail[:500])
    raise AssertionError("unreachable")


def _metadata(context: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((key, value) for key, value in context.invocation_metadata() if key in PASSED_ON)


def _reply_metadata(metadata: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((key, value) for key, value in metadata if key == "node_id")
