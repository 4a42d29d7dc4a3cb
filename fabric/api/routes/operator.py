"""/api/v1/operator: what only an operator of this fabric may do: ban machines, decide on prices, look after accounts."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Query
from fastapi.responses import Response

from fabric.api.dependencies import AccountOperator, OperatorCaller, OriginDep, ServicesDep
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.accounts import AuditLineOut, RoleIn, SessionsEnded, UserOut
from fabric.api.schemas.common import Page
from fabric.api.schemas.marketplace import PricesOut
from fabric.api.schemas.operator import BanIn, DecidedPricesOut, PriceChangeIn, PriceChangeOut
from fabric.core.errors import NotFound
from fabric.core.ids import ProviderId, UserId
from fabric.db.engine import Reader
from fabric.identity import audit, refresh, users
from fabric.identity import store as user_store
from fabric.marketplace import prices
from fabric.marketplace.device_table import DeviceTable
from fabric.providers import presence
from fabric.wiring import Services

CHANGES_SHOWN = 20

router = APIRouter(prefix="/api/v1/operator", tags=["operator"])
log = structlog.get_logger(__name__)


@router.post("/providers/{provider_id}/ban", status_code=204)
async def ban_provider(
    provider_id: str, body: BanIn, principal: OperatorCaller, services: ServicesDep, origin: OriginDep
) -> Response:
    """Cut a machine off for good: its credential is refused, the gate ends its connections and its node, all at once."""
    banned = ProviderId.parse(provider_id)
    async with services.database.transaction() as tx:
        await presence.ban(tx, banned, body.reason)
        await audit.record(tx, "provider_banned", None, origin.of(principal), provider=provider_id, reason=body.reason)
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


@router.get("/users", response_model=Page[UserOut])
async def list_users(
    principal: AccountOperator,
    services: ServicesDep,
    page: PageDep,
    email: Annotated[str | None, Query(max_length=254, description="Only who has this address.")] = None,
    part: Annotated[str | None, Query(min_length=1, max_length=254, description="Only whose address holds this.")] = None,
) -> Page[UserOut]:
    """Users, newest first."""
    async with services.database.reading() as reader:
        rows = await user_store.select_users(reader, email, page.before, page.fetch, part=part)
    return page_of(rows, page, cursor=lambda user: user.id, render=UserOut.of)


@router.patch("/users/{user_id}", response_model=UserOut)
async def change_role(
    user_id: str, body: RoleIn, principal: AccountOperator, services: ServicesDep, origin: OriginDep
) -> UserOut:
    """Make a user an operator, or an operator a user, from their next request on; somebody must remain."""
    async with services.database.transaction() as tx:
        return UserOut.of(await users.set_role(tx, UserId.parse(user_id), body.role, origin.of(principal)))


@router.delete("/users/{user_id}/sessions", response_model=SessionsEnded)
async def end_sessions_of(user_id: str, principal: AccountOperator, services: ServicesDep, origin: OriginDep) -> SessionsEnded:
    """Log somebody out everywhere."""
    wanted = UserId.parse(user_id)
    async with services.database.transaction() as tx:
        if await user_store.user_by_id(tx, wanted) is None:
            raise NotFound(f"There is no user {wanted}.")
        return SessionsEnded(ended=await refresh.end_all_sessions(tx, wanted, origin.of(principal)))


@router.get("/audit-log", response_model=Page[AuditLineOut])
async def list_acts(
    principal: AccountOperator,
    services: ServicesDep,
    page: PageDep,
    user_id: Annotated[str | None, Query(max_length=40, description="Only about or by this user.")] = None,
    act: Annotated[str | None, Query(max_length=50, description="Only these, such as logged_in.")] = None,
) -> Page[AuditLineOut]:
    """Security-relevant acts of everybody, newest first."""
    wanted = None if user_id is None else UserId.parse(user_id)
    async with services.database.reading() as reader:
        rows = await audit.lines(reader, user_id=wanted, act=act, before=page.before, limit=page.fetch)
    return page_of(rows, page, cursor=lambda line: line.id, render=AuditLineOut.of)
