"""Webhooks: addresses of your own that are told what happens to your jobs."""

from collections.abc import Sequence
from typing import Any

from fabric.client._async.transport import Transport
from fabric.client.display import Rows, Shown

WEBHOOKS = "/api/v1/webhooks"


class Webhooks:
    """`client.webhooks`. Needs a credential with the scope `account`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    async def list(self) -> Rows:
        """Your webhooks, newest first."""
        return await self._transport.rows(WEBHOOKS)

    async def get(self, webhook_id: str) -> Shown:
        """One webhook."""
        return Shown(await self._transport.request("GET", f"{WEBHOOKS}/{webhook_id}"))

    async def create(self, url: str, *, events: Sequence[str] | None = None, description: str = "") -> dict[str, Any]:
        """Have an address told; `secret`, which verifies signatures, is shown this once. Without `events` it is told everything.

        Raises:
            InvalidInput: not an https URL that leads out into the world, or an event that there is not.
        """
        body = {"url": url, "events": list(events) if events else None, "description": description}
        return dict(await self._transport.request("POST", WEBHOOKS, json=body))

    async def change(
        self, webhook_id: str, *, url: str | None = None, events: Sequence[str] | None = None, description: str | None = None,
        enabled: bool | None = None,
    ) -> Shown:  # fmt: skip
        """Change what is given; `enabled=False` switches it off, and what waits is given up."""
        body = {"url": url, "events": list(events) if events else None, "description": description, "enabled": enabled}
        return Shown(await self._transport.request("PATCH", f"{WEBHOOKS}/{webhook_id}", json=body))

    async def delete(self, webhook_id: str) -> None:
        """Delete it with its deliveries; nothing more is sent."""
        await self._transport.send("DELETE", f"{WEBHOOKS}/{webhook_id}")

    async def ping(self, webhook_id: str) -> Shown:
        """Send it a `ping`; its deliveries show what became of that.

        Raises:
            Conflict: it is switched off.
        """
        return Shown(await self._transport.request("POST", f"{WEBHOOKS}/{webhook_id}/ping"))

    async def deliveries(self, webhook_id: str, *, limit: int = 50) -> Rows:
        """What it was told, newest first."""
        return await self._transport.rows(f"{WEBHOOKS}/{webhook_id}/deliveries", limit=limit)

    async def redeliver(self, webhook_id: str, delivery_id: str) -> Shown:
        """Send something again, under the same id.

        Raises:
            Conflict: the webhook is switched off.
        """
        return Shown(await self._transport.request("POST", f"{WEBHOOKS}/{webhook_id}/deliveries/{delivery_id}/redeliver"))
