"""Builds the FastAPI app: routes, middleware, error handlers.

    def build_app() -> FastAPI:                      # serve.ingress(build_app): an app with routers cannot be pickled, so
        return create_app(lambda: wiring.build(load_settings()))     # Ray Serve gets the function and calls it in the replica

Services, the event hub and the request counts are made when the app starts, on the replica's own loop, and closed when it stops.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from fabric import __version__
from fabric.api import errors
from fabric.api.middleware import BodyLimit, RequestContext
from fabric.api.rate_limit import RateLimiter
from fabric.api.routes import (
    auth,
    console,
    files,
    health,
    jobs,
    marketplace,
    models,
    operator,
    payouts,
    providers,
    quotes,
    statements,
    top_ups,
    wallet,
    webhooks,
)
from fabric.api.schemas.common import Problem
from fabric.core.telemetry import configure_logging
from fabric.events.stream import EventHub
from fabric.wiring import Services

DESCRIPTION = (
    "Machines that people own, as one metered place to run ONNX models. Errors are RFC 9457 problems with a stable `code`; money is "
    "integer nano-USD beside an exact decimal; a POST that makes something takes an `Idempotency-Key`; lists are cursor pages."
)
ROUTERS = (
    auth.router, files.router, models.router, quotes.router, jobs.router, wallet.router, top_ups.router,
    top_ups.page, payouts.router, webhooks.router,
    statements.router, providers.router, marketplace.router,  # statements before providers, whose paths have any word there
    operator.router, health.router, console.router,
)  # fmt: skip


def create_app(build_services: Callable[[], Services], routes: Sequence[APIRouter] = ROUTERS) -> FastAPI:
    """The app; `build_services` is called when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = build_services()
        configure_logging(services.settings.log_level)
        hub = EventHub(services.database, watchers_max=services.settings.limits.watchers_max)
        hub.start()
        app.state.services, app.state.events = services, hub
        app.state.limiter = RateLimiter(services.settings.limits.requests_per_minute)
        try:
            yield
        finally:
            await hub.close()
            await services.close()

    app = FastAPI(
        title="Fabric",
        description=DESCRIPTION,
        version=__version__,
        lifespan=lifespan,
        middleware=[Middleware(RequestContext), Middleware(BodyLimit)],
        responses={"default": {"model": Problem, "description": "A problem; its `code` says which."}},
        generate_unique_id_function=_operation_id,
        redoc_url=None,
    )
    errors.install(app)
    for router in routes:
        app.include_router(router)
    return app


def openapi() -> dict[str, Any]:
    """The OpenAPI document of the complete app; needs no services."""

    def none() -> Services:
        raise AssertionError("the document is made without starting the app")

    return create_app(none).openapi()


def _operation_id(route: APIRoute) -> str:
    return f"{route.tags[0]}_{route.name}" if route.tags else route.name
