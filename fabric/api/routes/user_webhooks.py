"""/api/v1/webhooks: users' own addresses that are told what happens to their jobs. Its domain package is webhooks."""

from fastapi import APIRouter, Response

from fabric.api.dependencies import AccountCaller, OriginDep, ServicesDep
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.common import Page
from fabric.api.schemas.webhooks import DeliveryOut, WebhookChangeIn, WebhookCreated, WebhookIn, WebhookOut
from fabric.core.ids import DeliveryId, WebhookId
from fabric.webhooks import endpoints, store

router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"])


@router.post("", status_code=201, response_model=WebhookCreated)
async def create_webhook(
    body: WebhookIn, principal: AccountCaller, services: ServicesDep, response: Response, origin: OriginDep
) -> WebhookCreated:
    """Have an address told of your jobs; the answer shows the secret this once, so it is not kept for an Idempotency-Key."""
    events = None if body.events is None else [str(event) for event in body.events]
    async with services.database.transaction() as tx:
        made, secret = await endpoints.create(
            tx, services.settings, principal.user_id, url=body.url, events=events, description=body.description,
            origin=origin.of(principal),
        )  # fmt: skip
    response.headers["Cache-Control"] = "no-store"
    return WebhookCreated(secret=secret, **dict(WebhookOut.of(made)))


@router.get("", response_model=Page[WebhookOut])
async def list_webhooks(principal: AccountCaller, services: ServicesDep, page: PageDep) -> Page[WebhookOut]:
    """Your webhooks, newest first."""
    async with services.database.reading() as reader:
        rows = await store.select_webhooks(reader, principal.user_id, page.before, page.fetch)
    return page_of(rows, page, cursor=lambda webhook: webhook.id, render=WebhookOut.of)


@router.get("/{webhook_id}", response_model=WebhookOut)
async def show_webhook(webhook_id: str, principal: AccountCaller, services: ServicesDep) -> WebhookOut:
    """One webhook."""
    async with services.database.reading() as reader:
        return WebhookOut.of(await endpoints.find(reader, principal.user_id, WebhookId.parse(webhook_id)))


@router.patch("/{webhook_id}", response_model=WebhookOut)
async def change_webhook(
    webhook_id: str, body: WebhookChangeIn, principal: AccountCaller, services: ServicesDep, origin: OriginDep
) -> WebhookOut:
    """Change a webhook, or switch it off and on."""
    said = body.model_dump(exclude_none=True)
    wanted = WebhookId.parse(webhook_id)
    settings, by = services.settings.webhooks, origin.of(principal)
    changed = await services.database.retrying(lambda tx: endpoints.change(tx, settings, principal.user_id, wanted, said, by))
    return WebhookOut.of(changed)


@router.delete("/{webhook_id}", status_code=204)
async def delete_webhook(webhook_id: str, principal: AccountCaller, services: ServicesDep, origin: OriginDep) -> None:
    """Delete a webhook with all its deliveries; nothing more is sent."""
    async with services.database.transaction() as tx:
        await endpoints.remove(tx, principal.user_id, WebhookId.parse(webhook_id), origin.of(principal))


@router.get("/{webhook_id}/deliveries", response_model=Page[DeliveryOut])
async def list_deliveries(webhook_id: str, principal: AccountCaller, services: ServicesDep, page: PageDep) -> Page[DeliveryOut]:
    """What a webhook was told, newest first, and what became of it."""
    async with services.database.reading() as reader:
        webhook = await endpoints.find(reader, principal.user_id, WebhookId.parse(webhook_id))
        rows = await store.select_deliveries(reader, webhook.id, page.before, page.fetch)
    return page_of(rows, page, cursor=lambda delivery: delivery.id, render=DeliveryOut.of)


@router.post("/{webhook_id}/ping", status_code=202, response_model=DeliveryOut)
async def ping_webhook(webhook_id: str, principal: AccountCaller, services: ServicesDep) -> DeliveryOut:
    """Send it a `ping`, to try it; its deliveries show what became of that."""
    async with services.database.transaction() as tx:
        return DeliveryOut.of(await endpoints.ping(tx, principal.user_id, WebhookId.parse(webhook_id)))


@router.post("/{webhook_id}/deliveries/{delivery_id}/redeliver", status_code=202, response_model=DeliveryOut)
async def redeliver(webhook_id: str, delivery_id: str, principal: AccountCaller, services: ServicesDep) -> DeliveryOut:
    """Send something again, under the same id."""
    wanted, delivery = WebhookId.parse(webhook_id), DeliveryId.parse(delivery_id)
    async with services.database.transaction() as tx:
        return DeliveryOut.of(await endpoints.redeliver(tx, principal.user_id, wanted, delivery))
