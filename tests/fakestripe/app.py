"""The ASGI server: credentials, routes, typed parameters, idempotency, faults, expansion."""

import asyncio
import copy
import json
from typing import Any

from tests.fakestripe.faults import FaultPlan, Kind
from tests.fakestripe.idempotency import Keys
from tests.fakestripe.parameters import checked, read_form, read_json
from tests.fakestripe.refusals import Refused
from tests.fakestripe.routes import ROUTES, Route
from tests.fakestripe.world import PLATFORM, World

KEY = "sk_test_fake0123456789"


class ConnectionLost(Exception):
    """Breaks the connection off: the caller learns nothing."""


class FakeStripe:
    """One Stripe with its world, its keys and its faults."""

    def __init__(self) -> None:
        self.world = World()
        self.keys = Keys(self.world)
        self.faults = FaultPlan()
        self.refusals: dict[
            tuple[str, str], Refused
        ] = {}  # by method and path: what it refuses for certain, until it is taken away
        self.hold: asyncio.Event | None = None  # requests that move something wait for it, half-way
        self.held = asyncio.Event()  # one of them does

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        body = await _body(receive)
        headers = {k.decode().lower(): v.decode() for k, v in scope["headers"]}
        try:
            status, answer, replayed = await self._answer(scope, headers, body)
        except Refused as refused:
            status, answer, replayed = refused.status, {"error": refused.error}, False
        except ConnectionLost:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
            await send({"type": "http.response.body", "body": b"{", "more_body": False})
            return
        content = json.dumps(answer).encode()
        more = [(b"idempotent-replayed", b"true")] if replayed else []
        await send({
            "type": "http.response.start", "status": status,
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode()), *more],
        })  # fmt: skip
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: dict[str, Any], headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any], bool]:
        if headers.get("authorization") != f"Bearer {KEY}":
            raise Refused(401, "invalid_request_error", "Invalid API Key provided")
        method, path = scope["method"], scope["path"]
        account = headers.get("stripe-account") or headers.get("stripe-context") or PLATFORM
        if account not in self.world.objects:
            raise Refused(403, "invalid_request_error", f"The provided key does not have access to account '{account}'")
        route, parts = _route(method, path)
        fault = self.faults.take(method, path)
        _fail_before(fault)
        if path.startswith("/v2/") and method == "POST":
            raw = read_json(body)
        else:
            raw = read_form((body if method == "POST" else scope["query_string"]).decode())
        given = checked(route.parameters, raw)
        self.world.calls.append((method, path, given))
        if method != "POST":
            return 200, self._run(route, given, account, parts), False
        status, answer, replayed = await self._once(headers, (method, path, body), route, given, account, parts, fault)
        if fault == "timeout_after":
            raise ConnectionLost
        return status, answer, replayed

    async def _once(
        self, headers: dict[str, str], asked: tuple[str, str, bytes], route: Route, given: dict[str, Any], account: str,
        parts: tuple[str, ...], fault: Kind | None,
    ) -> tuple[int, dict[str, Any], bool]:  # fmt: skip
        key = headers.get("idempotency-key")
        if key is None:
            raise AssertionError(f"{asked[0]} {asked[1]} without an idempotency key")
        if (kept := self.keys.begin(account, key, *asked)) is not None:
            assert kept.status is not None and kept.body is not None
            return kept.status, copy.deepcopy(kept.body), True
        if self.hold is not None:
            self.held.set()
            await self.hold.wait()
        try:
            if (refusal := self.refusals.get(asked[:2])) is not None:
                raise refusal
            status, answer = 200, self._run(route, given, account, parts)
        except Refused as refused:
            status, answer = refused.status, {"error": refused.error}
        except BaseException:
            self.keys.drop(account, key)
            raise
        if fault == "500_after":
            status, answer = 500, {"error": {"type": "api_error", "message": "An unknown error occurred"}}
        self.keys.end(account, key, status, answer)
        return status, copy.deepcopy(answer), False

    def _run(self, route: Route, given: dict[str, Any], account: str, parts: tuple[str, ...]) -> dict[str, Any]:
        paths = given.pop("expand", [])
        return self.world.shown(route.act(self.world, given, account, *parts), paths, account)


def _fail_before(fault: Kind | None) -> None:
    if fault == "timeout_before":
        raise ConnectionLost
    if fault == "500_before":
        raise Refused(500, "api_error", "An unknown error occurred")
    if fault == "429":
        raise Refused(429, "invalid_request_error", "Too many requests", code="rate_limit")
    if fault == "409":
        raise Refused(409, "invalid_request_error", "This object cannot be accessed right now.", code="lock_timeout")


def _route(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    for route in ROUTES:
        if route.method == method and (match := route.path.match(path)) is not None:
            return route, match.groups()
    raise Refused(404, "invalid_request_error", f"Unrecognized request URL ({method}: {path}).")


async def _body(receive: Any) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
