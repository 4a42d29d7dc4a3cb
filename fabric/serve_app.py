"""Ray Serve entry point: binds Gateway, Dispatcher and Clerk to deployments. No logic.

`fabric.serve_app:app` is what `serve run`, `serve build` and `fabric up` deploy. No secret is in Serve's configuration or in any
argument: each replica reads the settings in its own process. Everything is placed on the control node; its label alone would be
a claim that any node can make, so its node id is asked for as well where it is known.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve._private import replica as serve_replica
from ray.serve.handle import DeploymentHandle
from ray.util import get_node_ip_address

from fabric import wiring
from fabric.api.app import create_app
from fabric.billing import modes
from fabric.core.settings import Settings, load_settings
from fabric.core.telemetry import configure_logging
from fabric.dispatch.dispatcher import Dispatcher
from fabric.dispatch.ray_fleet import RayFleet
from fabric.gate.control import ask
from fabric.loops import run_loops
from fabric.wiring import Services

HEALTH_CHECK_PERIOD_S = 1.0
CONTROL_CPUS = 0.01
EVERY_INTERFACE = "[::]:"


def close_side_doors() -> None:
    """Have the replicas of this process listen on the node's own address instead of on every interface.

    Each replica opens a gRPC port for its fellow deployments, unpickles what comes there, and asks for the cluster's token only,
    which every machine on offer holds: reachable from outside, it would be a way around the gate.
    """
    open_port = serve_replica.add_port_to_grpc_server
    if getattr(open_port, "is_closed", False):
        return

    def open_port_inside(server: Any, address: str) -> int:
        if address.startswith(EVERY_INTERFACE):
            host = get_node_ip_address()
            address = f"{f'[{host}]' if ':' in host else host}:{address.removeprefix(EVERY_INTERFACE)}"
        return int(open_port(server, address))

    open_port_inside.is_closed = True  # type: ignore[attr-defined]
    serve_replica.add_port_to_grpc_server = open_port_inside


close_side_doors()


def build_api() -> FastAPI:
    """The HTTP app; called in the replica."""
    settings = load_settings()
    return create_app(lambda: wiring.build(settings), ask_gate=partial(ask, settings.home / "run" / "gate.sock"))


async def dispatch(services: Services) -> None:
    """Dispatch until cancelled."""
    fleet = RayFleet()
    await Dispatcher(settings=services.settings, database=services.database, store=services.store, fleet=fleet).run()


class Background:
    """One act that runs for as long as its replica lives. When it ends, the replica is unhealthy and Serve starts another."""

    def __init__(self, act: Callable[[Services], Coroutine[Any, Any, None]]) -> None:
        """Start it on the replica's loop."""
        self._act = act
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        services = wiring.build(load_settings())
        configure_logging(services.settings.log_level)
        try:
            await modes.claim(services.database, services.settings.billing)
            await self._act(services)
        finally:
            await services.close()

    def check(self) -> None:
        """Raises what ended it."""
        if self._task.done():
            self._task.result()
            raise RuntimeError("it ended")

    async def stop(self) -> None:
        """End it and wait."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@serve.ingress(build_api)
class GatewayReplica:
    """HTTP. It is bound to the other two only so that they are deployed along; they are reached through Postgres."""

    def __init__(self, dispatcher: DeploymentHandle, clerk: DeploymentHandle) -> None:
        """Nothing to keep."""


class DispatcherReplica:
    """Leases, plans, sends, settles."""

    async def __init__(self) -> None:  # type: ignore[misc]
        """Start on the replica's own loop."""
        self._background = Background(dispatch)

    def check_health(self) -> None:
        """Called by Serve."""
        self._background.check()

    async def __del__(self) -> None:
        """Called by Serve at a graceful end: actors are released, and the lock with the connection."""
        await self._background.stop()


class ClerkReplica:
    """The recurring acts of `loops.LOOPS`."""

    async def __init__(self) -> None:  # type: ignore[misc]
        """Start on the replica's own loop."""
        self._background = Background(run_loops)

    def check_health(self) -> None:
        """Called by Serve."""
        self._background.check()

    async def __del__(self) -> None:
        """Called by Serve at a graceful end."""
        await self._background.stop()


def placement(settings: Settings) -> dict[str, Any]:
    """Options that keep a replica on the control node.

    The processor is a token: for an actor that needs nothing at all, the GCS asks any node that it likes, a provider's included.
    """
    selector = {"fabric.role": "control"}
    if settings.ray.control_node_id is not None:
        selector["ray.io/node-id"] = settings.ray.control_node_id
    return {"num_cpus": CONTROL_CPUS, "label_selector": selector}


def build_application(settings: Settings) -> serve.Application:
    """The application with its deployments."""
    common = {"ray_actor_options": placement(settings), "health_check_period_s": HEALTH_CHECK_PERIOD_S}
    single = {"num_replicas": 1, "max_ongoing_requests": 1, "graceful_shutdown_timeout_s": 5.0, **common}
    dispatcher = serve.deployment(name="Dispatcher", **single)(DispatcherReplica)
    clerk = serve.deployment(name="Clerk", **single)(ClerkReplica)
    # Every watcher of a job is a request that lasts up to a minute or, as an event stream, for hours. The default of 5 would let
    # five watchers stop the API; twice the watchers leaves as much again for everybody else. Beyond that: 429, come back.
    gateway = serve.deployment(
        name="Gateway",
        num_replicas=settings.ray.gateway_replicas,
        max_ongoing_requests=2 * settings.limits.watchers_max,
        max_queued_requests=settings.limits.watchers_max,
        backpressure_config={"status_code": 429, "retry_after_s": 1},
        **common,
    )(GatewayReplica)
    return gateway.bind(dispatcher.bind(), clerk.bind())


app = build_application(load_settings())
