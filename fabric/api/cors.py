"""Which pages of other origins may call this endpoint from a browser (CORS), as the settings say.

Credentials are bearer tokens that a page must hold itself; cookies are never allowed across origins.
"""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SENT = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "Range", "If-None-Match", "X-Request-Id")
SHOWN = ("X-Request-Id", "Idempotency-Replayed", "Retry-After", "ETag", "Content-Range", "Accept-Ranges", "Location")
PREFLIGHT_S = 600


class CrossOrigin:
    """Surrounds the app; the settings are known when its first request comes."""

    def __init__(self, app: ASGIApp) -> None:
        """Surround `app`, whose state has the services."""
        self._app = app
        self._within: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._within is None:
            self._within = self._surrounded(scope["app"].state.services.settings.cors_origins)
        await self._within(scope, receive, send)

    def _surrounded(self, origins: str) -> ASGIApp:
        allowed = [origin.strip().rstrip("/") for origin in origins.split(",") if origin.strip()]
        if not allowed:
            return self._app
        return CORSMiddleware(
            self._app, allow_origins=allowed, allow_methods=METHODS, allow_headers=SENT, expose_headers=SHOWN,
            allow_credentials=False, max_age=PREFLIGHT_S,
        )  # fmt: skip
