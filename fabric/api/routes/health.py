"""/livez, /readyz and /metrics."""

from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter, Response

from fabric.api.dependencies import EventsDep, ServicesDep
from fabric.api.schemas.common import Body
from fabric.billing import ledger
from fabric.core import telemetry
from fabric.core.errors import DatabaseUnavailable, StorageUnavailable
from fabric.core.telemetry import Fact
from fabric.db.census import census
from fabric.wiring import Services

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
async def metrics(services: ServicesDep, hub: EventsDep) -> Response:
    """Prometheus metrics: HTTP of this process, and jobs, subtasks, machines and books of the whole fabric."""
    facts: list[tuple[Fact, Mapping[str, float]]] = [(telemetry.WATCHERS, {"": hub.watchers}), *await _facts(services)]
    return Response(telemetry.exposition(facts), headers={"Content-Type": telemetry.METRICS_TYPE})


async def _facts(services: Services) -> list[tuple[Fact, Mapping[str, float]]]:
    try:
        async with services.database.reading() as reader:
            counts = await census(reader)
            balance = await ledger.trial_balance(reader)
    except DatabaseUnavailable:
        return []  # what this process counts is worth telling most when the database is away
    return [
        (telemetry.JOBS, counts.jobs),
        (telemetry.SUBTASKS, counts.subtasks),
        (telemetry.PROVIDERS, counts.providers),
        (telemetry.TRIAL_BALANCE, {"": balance}),
    ]
