# Made of fabric/client/_async/market.py by `make docs`; edit that one.
"""What is on offer to everybody: machines, models, how busy it is."""

from fabric.client._sync.transport import Transport
from fabric.client.display import Rows, Shown


class Market:
    """`client.market`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    def offers(self, *, accelerator: str | None = None, region: str | None = None, limit: int | None = 100) -> Rows:
        """Slots that take work now, with their prices."""
        return self._transport.rows("/api/v1/marketplace/offers", limit=limit, accelerator=accelerator, region=region)

    def models(self, *, limit: int | None = 100) -> Rows:
        """Models that everybody may run."""
        return self._transport.rows("/api/v1/marketplace/models", limit=limit)

    def stats(self) -> Shown:
        """How many machines there are and how busy they are."""
        return Shown(self._transport.request("GET", "/api/v1/marketplace/stats"))
