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
from fabric.api.cors import CrossOrigin
from fabric.api.dependencies import AskGate
from fabric.api.middleware import BodyLimit, RequestContext
from fabric.api.rate_limit import RateLimiter
from fabric.api.routes import (
    account,
    auth,
    console,
    events,
    files,
    health,
    jobs,
    join,
    limits,
    marketplace,
    models,
    operator,
    oversight,
    payouts,
    providers,
    quotes,
    recovery,
    repeats,
    second_factor,
    sessions,
    social,
    statements,
    top_ups,
    user_webhooks,
    wallet,
    webhooks,
)
from fabric.api.schemas.common import Problem
from fabric.billing import modes
from fabric.core.addresses import networks
from fabric.core.errors import DatabaseUnavailable, WrongMoney
from fabric.core.telemetry import configure_logging, logger
from fabric.events.stream import EventHub
from fabric.wiring import Services

log = logger(__name__)

DESCRIPTION = (
    "Machines that people own, as one metered place to run ONNX models. Errors are RFC 9457 problems with a stable `code`; money is "
    "integer nano-USD beside an exact decimal, and every answer says in `Fabric-Livemode` whether it is real; a POST that makes something "
    "takes an `Idempotency-Key`; lists are cursor pages."
)
REAL, NOT_REAL = "Money here is real.", "Money here is not real: `livemode` is false (play money, or Stripe's test money)."
ROUTERS = (
    auth.router, account.router, sessions.router, recovery.router, recovery.pages, second_factor.router, social.router,
    files.router, limits.router, models.router, quotes.router, repeats.router, jobs.router, wallet.router, top_ups.router,
    top_ups.page, payouts.router, webhooks.router,
    statements.router, providers.router, marketplace.router,  # statements before providers, whose paths have any word there
    user_webhooks.router, events.router, operator.router, oversight.router, health.router, join.router, console.router,
)  # fmt: skip


def create_app(
    build_services: Callable[[], Services], routes: Sequence[APIRouter] = ROUTERS, ask_gate: AskGate | None = None
) -> FastAPI:
    """The app; `build_services` is called when it starts. `ask_gate` puts a question to the gate, where there is one beside it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = build_services()
        configure_logging(services.settings.log_level)
        await _claim_mode(services)
        hub = EventHub(services.database, watchers_max=services.settings.limits.watchers_max)
        hub.start()
        app.state.services, app.state.events, app.state.ask_gate = services, hub, ask_gate
        app.description = f"{DESCRIPTION} {REAL if services.payments.livemode else NOT_REAL}"
        app.state.trusted_proxies = networks(services.settings.trusted_proxies)
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
        middleware=[Middleware(RequestContext), Middleware(CrossOrigin), Middleware(BodyLimit)],
        responses={"default": {"model": Problem, "description": "A problem; its `code` says which."}},
        generate_unique_id_function=_operation_id,
        redoc_url=None,
    )
    errors.install(app)
    for router in routes:
        app.include_router(router)
    return app


async def _claim_mode(services: Services) -> None:
    """No endpoint serves books of another kind of money. While the database is away nothing can be read or written anyway."""
    try:
        await modes.claim(services.database, services.settings.billing)
    except DatabaseUnavailable:
        log.warning("books_unseen")
    except WrongMoney:
        await services.close()
        raise


def openapi() -> dict[str, Any]:
    """The OpenAPI document of the complete app; needs no services."""

    def none() -> Services:
        raise AssertionError("the document is made without starting the app")

    return create_app(none).openapi()


def _operation_id(route: APIRoute) -> str:
    return f"{route.tags[0]}_{route.name}" if route.tags else route.name
