"""Webhooks of a user: made with a secret that is shown once, changed, tried, deleted; deliveries sent again."""

from typing import Any

import httpx

from fabric.core.errors import Conflict, Invalid, NotFound
from fabric.core.ids import DeliveryId, UserId, WebhookId
from fabric.core.settings import Settings, WebhookSettings
from fabric.db.engine import Reader, Transaction
from fabric.identity import audit
from fabric.identity.cipher import WEBHOOK, cipher
from fabric.identity.origin import Origin
from fabric.identity.store import lock_user
from fabric.webhooks import outbox, signature, store
from fabric.webhooks.store import Delivery, Webhook
from fabric.webhooks.target import checked_url

EVENTS = ("job.succeeded", "job.failed", "job.cancelled", "job.results_expiring")
"""What a webhook can be told of; `ping` is told when it is tried."""
DESCRIPTION_CHARACTERS_MAX = 200


async def create(
    tx: Transaction, settings: Settings, user_id: UserId, *, url: str, events: list[str] | None, description: str, origin: Origin
) -> tuple[Webhook, str]:
    """Make one; the second value is its secret, shown this once.

    Raises:
        Invalid: URL, events or description that make no sense.
        Conflict: the user has as many as one may have.
    """
    most = settings.webhooks.endpoints_max
    secret = signature.mint_secret()
    values = checked(
        settings.webhooks, {"url": url, "events": list(EVENTS) if events is None else events, "description": description}
    )
    await lock_user(tx, user_id)
    if await store.count_webhooks(tx, user_id) >= most:
        raise Conflict(f"You have {most} webhooks; delete one first.")
    values |= {"id": WebhookId.new(), "secret": cipher(settings.auth, WEBHOOK).encrypt(secret.encode())}
    made = await store.insert_webhook(tx, user_id, values)
    await audit.record(tx, "webhook_created", user_id, origin, webhook=str(made.id), host=httpx.URL(made.url).host)
    return made, secret


async def change(
    tx: Transaction, settings: WebhookSettings, user_id: UserId, webhook_id: WebhookId, said: dict[str, Any], origin: Origin
) -> Webhook:
    """Change `url`, `events`, `description` or `enabled`; what waits for one that is switched off is given up.

    Raises:
        Invalid: a value that makes no sense.
        NotFound: no such webhook of this user.
    """
    values = checked(settings, said)
    if "enabled" in values:
        values |= {"switched_off_because": None, "failing_since": None}
    changed = await (
        store.update_webhook(tx, user_id, webhook_id, values) if values else store.find_webhook(tx, user_id, webhook_id)
    )
    if changed is None:
        raise NotFound(f"There is no webhook {webhook_id} of yours.")
    if values.get("enabled") is False:
        await store.give_up_pending(tx, webhook_id, "The webhook was switched off.")
    if values:
        await audit.record(tx, "webhook_changed", user_id, origin, webhook=str(webhook_id), changed=sorted(said))
    return changed


async def remove(tx: Transaction, user_id: UserId, webhook_id: WebhookId, origin: Origin) -> None:
    """Delete one with all its deliveries.

    Raises:
        NotFound: no such webhook of this user.
    """
    if not await store.delete_webhook(tx, user_id, webhook_id):
        raise NotFound(f"There is no webhook {webhook_id} of yours.")
    await audit.record(tx, "webhook_deleted", user_id, origin, webhook=str(webhook_id))


async def find(reader: Reader, user_id: UserId, webhook_id: WebhookId) -> Webhook:
    """One of a user.

    Raises:
        NotFound: no such webhook of this user.
    """
    found = await store.find_webhook(reader, user_id, webhook_id)
    if found is None:
        raise NotFound(f"There is no webhook {webhook_id} of yours.")
    return found


async def ping(tx: Transaction, user_id: UserId, webhook_id: WebhookId) -> Delivery:
    """Have it told `ping`, to try it.

    Raises:
        NotFound: no such webhook of this user.
        Conflict: it is switched off, or too much waits for it.
    """
    await _require_room(tx, user_id, webhook_id)
    return await _delivery(tx, webhook_id, await outbox.queue_ping(tx, webhook_id))


async def redeliver(tx: Transaction, user_id: UserId, webhook_id: WebhookId, delivery_id: DeliveryId) -> Delivery:
    """Send something again, under the same id, with as many tries as at first.

    Raises:
        NotFound: no such delivery of a webhook of this user.
        Conflict: the webhook is switched off, or too much waits for it.
    """
    await _require_room(tx, user_id, webhook_id)
    await _delivery(tx, webhook_id, delivery_id)
    await store.make_due(tx, delivery_id, outbox.KEPT_TRYING_S)
    return await _delivery(tx, webhook_id, delivery_id)


def checked(settings: WebhookSettings, said: dict[str, Any]) -> dict[str, Any]:
    """The same values, as they are stored.

    Raises:
        Invalid: one makes no sense.
    """
    values = dict(said)
    if "url" in values:
        values["url"] = checked_url(values["url"], settings)
    if "events" in values:
        unknown = sorted(set(values["events"]) - set(EVENTS))
        if unknown or not values["events"]:
            raise Invalid(f"Events are some of {', '.join(EVENTS)}" + (f", not {unknown[0]!r}." if unknown else "."))
        values["events"] = [event for event in EVENTS if event in values["events"]]
    description = values.get("description", "")
    if len(description) > DESCRIPTION_CHARACTERS_MAX or not description.isprintable():
        raise Invalid(f"A description has at most {DESCRIPTION_CHARACTERS_MAX} printable characters.")
    return values


async def _require_room(tx: Transaction, user_id: UserId, webhook_id: WebhookId) -> None:
    if not (await find(tx, user_id, webhook_id)).enabled:
        raise Conflict("This webhook is switched off; switch it on first.")
    if await store.count_pending(tx, webhook_id) >= store.PENDING_MAX:
        raise Conflict(f"{store.PENDING_MAX} deliveries wait for this webhook already.")


async def _delivery(tx: Transaction, webhook_id: WebhookId, delivery_id: DeliveryId) -> Delivery:
    found = await store.find_delivery(tx, webhook_id, delivery_id)
    if found is None:
        raise NotFound(f"There is no delivery {delivery_id} of this webhook.")
    return found
