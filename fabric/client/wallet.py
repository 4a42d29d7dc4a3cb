"""Balance, entries and top-ups."""

from decimal import Decimal
from typing import Any

from fabric.client.transport import Transport


class Wallet:
    """`client.wallet`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    def balance(self) -> dict[str, Any]:
        """Available, held and earned, each as {"usd_nanos", "usd"}."""
        return dict(self._transport.request("GET", "/api/v1/wallet"))

    def entries(self, *, limit: int = 100) -> list[dict[str, Any]]:
        """The ledger's lines on your wallet, newest first."""
        return list(self._transport.request("GET", "/api/v1/wallet/entries", params={"limit": limit})["data"])

    def top_up(self, usd: str | Decimal) -> dict[str, Any]:
        """Put money in. Without Stripe keys it is play money and the answer says `"livemode": false`."""
        return dict(self._transport.request("POST", "/api/v1/wallet/top-ups", json={"amount_usd": str(usd)}))
