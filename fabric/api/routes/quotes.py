"""/api/v1/quotes: what a job would cost now."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from fabric.api.dependencies import JobsCaller, ServicesDep
from fabric.api.idempotency import idempotent, replayed
from fabric.api.schemas.quotes import QuoteIn, QuoteOut
from fabric.catalog import registry
from fabric.catalog.registry import ModelVersion
from fabric.core.ids import QuoteId, UserId
from fabric.db.engine import Transaction
from fabric.jobs.job import JobSpec
from fabric.jobs.requirements import Format
from fabric.jobs.resolve import resolve_job
from fabric.jobs.submit import hold_for, price_job
from fabric.marketplace import store
from fabric.marketplace.store import Terms
from fabric.wiring import Services

router = APIRouter(prefix="/api/v1/quotes", tags=["quotes"])


@router.post("", status_code=201, response_model=QuoteOut)
async def quote(request: Request, body: QuoteIn, principal: JobsCaller, services: ServicesDep) -> Response:
    """Price a job without submitting it; the inputs are checked as they would be at submit."""
    raw = await request.body()
    if (replay := await replayed(request, principal, services, raw)) is not None:
        return replay
    spec = body.spec(body.inputs or [])
    version, items = await _version_and_items(services, principal.user_id, spec, body.items)

    async def act(tx: Transaction) -> QuoteOut:
        priced = await price_job(
            tx, principal.user_id, spec, items=items, item_us=version.profile["item_us"], settings=services.settings,
            memory_bytes=version.profile["memory_bytes"], tells_capacity=True,
            model_format=Format.of(version.inspection), model_id=str(version.model_id),
        )  # fmt: skip
        quote_id = QuoteId.new()
        answer = QuoteOut.of(
            quote_id, f"{version.name}:{version.version}", priced, hold_for(spec, priced), livemode=services.payments.livemode
        )
        shown = answer.model_dump(mode="json")
        terms = Terms(version.id, items, priced.rate_nanos_per_hour_bound, hold_for(spec, priced), priced.commission_bps)
        await store.insert_quote(
            tx, quote_id, principal.user_id, request=spec.request, answer=shown, terms=terms, expires_at=priced.expires_at
        )
        return answer

    return await idempotent(request, principal, services, raw, act, status=201)


async def _version_and_items(services: Services, owner_id: UserId, spec: JobSpec, items: int | None) -> tuple[ModelVersion, int]:
    if items is None:
        resolved = await resolve_job(services.database, services.store, services.settings, owner_id, spec)
        return resolved.version, resolved.items_total
    async with services.database.reading() as reader:
        return await registry.find_version(reader, owner_id, spec.model), items
