"""/api/v1/marketplace: offers, models, statistics."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from fabric.api.dependencies import AnonymousDep, Caller, ServicesDep
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.common import Page
from fabric.api.schemas.marketplace import OfferOut, PricesOut, PublicModelOut, StatsOut
from fabric.catalog import registry
from fabric.core.ids import UserId
from fabric.db.census import market_counts
from fabric.jobs.capacity import asking_for
from fabric.marketplace import prices, store

NOBODY = UserId(int=0)  # owns no model, and so sees exactly the public ones

router = APIRouter(prefix="/api/v1/marketplace", tags=["marketplace"])


@router.get("/offers", response_model=Page[OfferOut])
async def list_offers(
    principal: Caller,
    services: ServicesDep,
    page: PageDep,
    accelerator: Annotated[Literal["cpu", "cuda", "rocm", "directml", "coreml", "openvino", "npu"] | None, Query()] = None,
    region: Annotated[str | None, Query(max_length=63)] = None,
    model: Annotated[
        str | None, Query(max_length=300, description="Only slots that run it, with what items of it take there.")
    ] = None,
) -> Page[OfferOut]:
    """Slots of machines that are online now, the cheapest first.

    With `model` those whose ONNX Runtime takes it and whose owners let it run, the cheapest for an item first, at what they ask for it.
    """
    async with services.database.reading() as reader:
        wanted = None if model is None else await registry.find_version(reader, principal.user_id, model)
        offers = await store.open_offers(reader)
    if wanted is not None:
        asking = asking_for(offers, wanted)
        offers = sorted(asking, key=lambda o: (o.rate_nanos_per_hour / o.speed, o.provider_id, o.slot))
    suiting = [o for o in offers if accelerator in {None, o.accelerator} and region in {None, o.region}]
    start = page.before_number or 0  # the cursor is a rank: offers come and go, and nothing better lasts
    ranked = list(enumerate(suiting, start=1))[start : start + page.fetch]
    return page_of(ranked, page, cursor=lambda pair: pair[0], render=lambda pair: OfferOut.of(pair[1], principal.user_id, wanted))


@router.get("/models", response_model=Page[PublicModelOut])
async def list_public_models(principal: Caller, services: ServicesDep, page: PageDep) -> Page[PublicModelOut]:
    """Models that everybody may run, the youngest first."""
    async with services.database.reading() as reader:
        rows = await registry.list_models(reader, NOBODY, before=page.before, limit=page.fetch)
    return page_of(rows, page, cursor=lambda row: row.model_id, render=PublicModelOut.of)


@router.get("/stats", response_model=StatsOut)
async def show_stats(principal: Caller, services: ServicesDep) -> StatsOut:
    """The marketplace in numbers."""
    async with services.database.reading() as reader:
        return StatsOut.of(await market_counts(reader))


@router.get("/prices", response_model=PricesOut)
async def show_prices(services: ServicesDep, _: AnonymousDep) -> PricesOut:
    """The present commission, device table and demand factors, for everybody; see docs/prices.md."""
    async with services.database.reading() as reader:
        return PricesOut(**PricesOut.facts(await prices.present(reader, services.settings.billing)))
