"""/livez, /readyz and /metrics."""

from typing import Literal

from fastapi import APIRouter, Request, Response

from fabric.api.dependencies import EventsDep, ServicesDep
from fabric.api.schemas.common import Body
from fabric.billing import ledger
from fabric.core import clock, telemetry
from fabric.core.errors import DatabaseUnavailable, StorageUnavailable
from fabric.core.telemetry import Fact, Values
from fabric.db.census import census, device_readings
from fabric.db.engine import Reader
from fabric.wiring import Services

BOOKS_PERIOD_S = 60.0
"""The trial balance reads every entry of the ledger, so scrapes share one for this long."""

router = APIRouter(tags=["operations"])


class Health(Body):
    """The answer of a probe."""

    status: Literal["ok"] = "ok"


@router.get("/livez", response_model=Health)
async def livez() -> Health:
    """Whether this process answers at all."""
    return Health()


@router.get("/readyz", response_model=Health)
async def readyz(services: ServicesDep) -> Health:
    """Whether requests can be served: database and object storage answer. Machines are not needed to accept work."""
    if not await services.database.is_reachable():
        raise DatabaseUnavailable
    try:
        await services.store.check()
    except StorageUnavailable as error:
        raise StorageUnavailable from error  # its own words may name paths and buckets
    return Health()


@router.get("/metrics", response_class=Response)
async def metrics(request: Request, services: ServicesDep, hub: EventsDep) -> Response:
    """Prometheus metrics: HTTP of this process, and jobs, subtasks, machines, their devices and books of the whole fabric."""
    facts: list[tuple[Fact, Values]] = [(telemetry.WATCHERS, {"": hub.watchers}), *await _facts(request, services)]
    return Response(telemetry.exposition(facts), headers={"Content-Type": telemetry.METRICS_TYPE})


async def _facts(request: Request, services: Services) -> list[tuple[Fact, Values]]:
    try:
        async with services.database.reading() as reader:
            counts = await census(reader)
            readings = await device_readings(reader)
            balance = await _trial_balance(request, reader)
    except DatabaseUnavailable:
        return []  # what this process counts is worth telling most when the database is away
    return [
        (telemetry.JOBS, counts.jobs),
        (telemetry.SUBTASKS, counts.subtasks),
        (telemetry.PROVIDERS, counts.providers),
        (telemetry.TRIAL_BALANCE, {"": balance}),
        *((fact, readings.get(name, {})) for name, fact in telemetry.DEVICES.items()),
    ]


async def _trial_balance(request: Request, reader: Reader) -> int:
    state, now_s = request.app.state, clock.monotonic_s()
    read_at_s, balance = getattr(state, "trial_balance", (None, 0))
    if read_at_s is None or now_s - read_at_s > BOOKS_PERIOD_S:
        balance = await ledger.trial_balance(reader)
        state.trial_balance = (now_s, balance)
    return int(balance)
