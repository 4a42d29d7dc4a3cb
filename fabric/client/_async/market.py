"""What is on offer to everybody: machines, models, how busy it is."""

from fabric.client._async.transport import Transport
from fabric.client.display import Rows, Shown


class Market:
    """`client.market`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    async def offers(self, *, accelerator: str | None = None, region: str | None = None, limit: int | None = 100) -> Rows:
        """Slots that take work now, with their prices."""
        return await self._transport.rows("/api/v1/marketplace/offers", limit=limit, accelerator=accelerator, region=region)

    async def models(self, *, limit: int | None = 100) -> Rows:
        """Models that everybody may run."""
        return await self._transport.rows("/api/v1/marketplace/models", limit=limit)

    async def stats(self) -> Shown:
        """How many machines there are and how busy they are."""
        return Shown(await self._transport.request("GET", "/api/v1/marketplace/stats"))
