"""What surrounds every request: its id, its log line and metrics, the last word on errors, and the limit of its body.

Plain ASGI, because wrappers that buffer would break streams.
"""

import re
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fabric.api.errors import problem, problem_of
from fabric.core import clock, telemetry
from fabric.core.errors import FabricError, TooLarge
from fabric.core.ids import RequestId
from fabric.core.settings import MIB, LimitSettings

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
QUIET_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
MULTIPART_BYTES = 1 * MIB  # what boundaries and part headers may add to an upload
UPLOADS: Mapping[tuple[str, str], str] = {
    ("POST", "/api/v1/files"): "upload_bytes_max",
    ("POST", "/api/v1/models"): "model_bytes_max",
}
"""Routes whose body is no JSON, with the limit that counts for them."""

log = telemetry.logger(__name__)


class RequestContext:
    """Gives each request its id (the caller's X-Request-Id if it is a decent one), logs, counts and never lets an error through.

    Every answer says in `Fabric-Livemode` whether this fabric's money is real.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Surround `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _wanted_id(scope) or str(RequestId.new())
        scope.setdefault("state", {})["request_id"] = request_id
        telemetry.clear_context()
        telemetry.bind_to_context(request_id=request_id)
        status = 0
        started_s = clock.monotonic_s()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                added = [(b"x-request-id", request_id.encode()), (b"fabric-livemode", _livemode(scope))]
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        with telemetry.HTTP_OPEN.track_inprogress():
            try:
                await self._app(scope, receive, sending)
            except Exception:
                log.exception("request_failed", method=scope["method"], path=scope["path"])
                if status:
                    raise  # the answer has begun; only breaking it off tells the caller
                error = FabricError()
                await problem(error.status, error.code, error.detail, request_id)(scope, receive, sending)
            finally:
                _account(scope, status, clock.monotonic_s() - started_s)


class BodyLimit:
    """Refuses a body over its limit: before it is read when its length is announced, else as soon as it is exceeded."""

    def __init__(self, app: ASGIApp) -> None:
        """Surround `app`, whose state has the services."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = body_bytes_max(scope["app"].state.services.settings.limits, scope["method"], scope["path"])
        announced = _content_length(scope)
        if announced is not None and announced > limit:
            response = problem_of(_too_large(limit), scope["state"]["request_id"])
            response.headers["Connection"] = "close"  # the body is still on its way and nobody will read it
            await response(scope, receive, send)
            return
        received = 0

        async def receiving() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                # The framework lets its own exception pass through where it reads bodies, and no other.
                raise HTTPException(413, _too_large(limit).detail, {"Connection": "close"})
            return message

        await self._app(scope, receiving, send)


def body_bytes_max(limits: LimitSettings, method: str, path: str) -> int:
    """How long the body of this request may be."""
    upload = UPLOADS.get((method, path.rstrip("/")))
    return limits.body_bytes_max if upload is None else int(getattr(limits, upload)) + MULTIPART_BYTES


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes.", bytes_max=limit)


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)


def _livemode(scope: Scope) -> bytes:
    return b"true" if scope["app"].state.services.payments.livemode else b"false"


def _wanted_id(scope: Scope) -> str | None:
    wanted = (_header(scope, b"x-request-id") or b"").decode("latin-1")
    return wanted if REQUEST_ID.fullmatch(wanted) else None


def _content_length(scope: Scope) -> int | None:
    value = _header(scope, b"content-length")
    return int(value) if value is not None and value.isdigit() else None


def _account(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "unmatched")
    method = scope["method"] if scope["method"] in METHODS else "other"  # strangers choose it, and labels stay for ever
    telemetry.HTTP_REQUESTS.labels(method, route, str(status or "closed")).inc()
    telemetry.HTTP_SECONDS.labels(method, route).observe(seconds)
    if scope["path"] not in QUIET_PATHS:
        user_id = scope["state"].get("user_id")
        log.info("request", method=scope["method"], path=scope["path"], status=status, seconds=round(seconds, 6), user_id=user_id)
