"""/api/v1/operator: what only an operator of this fabric may do: ban machines, decide on prices."""

import structlog
from fastapi import APIRouter
from fastapi.responses import Response

from fabric.api.dependencies import OperatorCaller, ServicesDep
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.common import Page
from fabric.api.schemas.marketplace import PricesOut
from fabric.api.schemas.operator import BanIn, DecidedPricesOut, PriceChangeIn, PriceChangeOut
from fabric.core.ids import ProviderId
from fabric.db.engine import Reader
from fabric.marketplace import prices
from fabric.marketplace.device_table import DeviceTable
from fabric.providers import presence
from fabric.wiring import Services

CHANGES_SHOWN = 20

router = APIRouter(prefix="/api/v1/operator", tags=["operator"])
log = structlog.get_logger(__name__)


@router.post("/providers/{provider_id}/ban", status_code=204)
async def ban_provider(provider_id: str, body: BanIn, principal: OperatorCaller, services: ServicesDep) -> Response:
    """Cut a machine off for good: its credential is refused, the gate ends its connections and its node, all at once."""
    banned = ProviderId.parse(provider_id)
    async with services.database.transaction() as tx:
        await presence.ban(tx, banned, body.reason)
    log.warning("provider_banned", provider_id=provider_id, operator=str(principal.user_id), reason=body.reason)
    return Response(status_code=204)


@router.get("/prices", response_model=DecidedPricesOut)
async def show_prices(principal: OperatorCaller, services: ServicesDep) -> DecidedPricesOut:
    """Commission, device table and demand factors of now, and the latest decisions."""
    async with services.database.reading() as reader:
        return await _decided(reader, services)


@router.put("/prices", response_model=DecidedPricesOut)
async def change_prices(body: PriceChangeIn, principal: OperatorCaller, services: ServicesDep) -> DecidedPricesOut:
    """Decide on commission, device table or both, now or for later. Jobs that were submitted before keep what they have."""
    table = None if body.devices is None else DeviceTable.of(body.devices.model_dump())
    async with services.database.transaction() as tx:
        if body.commission_bps is not None:
            await prices.change_commission(
                tx, principal.user_id, body.commission_bps, reason=body.reason, effective_at=body.effective_at
            )
        if table is not None:
            await prices.change_devices(tx, principal.user_id, table, reason=body.reason, effective_at=body.effective_at)
        decided = await _decided(tx, services)
    log.warning("prices_changed", operator=str(principal.user_id), commission_bps=body.commission_bps, devices=table is not None)
    return decided


@router.get("/prices/changes", response_model=Page[PriceChangeOut])
async def list_price_changes(principal: OperatorCaller, services: ServicesDep, page: PageDep) -> Page[PriceChangeOut]:
    """Every decision on prices: who, when, why, and from which time on; newest first. None is ever changed or removed."""
    async with services.database.reading() as reader:
        rows = await prices.list_changes(reader, before=page.before, limit=page.fetch)
    return page_of(rows, page, cursor=lambda change: change.id, render=PriceChangeOut.of)


async def _decided(reader: Reader, services: Services) -> DecidedPricesOut:
    facts = PricesOut.facts(await prices.present(reader, services.settings.billing))
    changes = await prices.list_changes(reader, before=None, limit=CHANGES_SHOWN)
    return DecidedPricesOut(**facts, changes=[PriceChangeOut.of(change) for change in changes])
