"""Prices of a fabric: what counts now, for everybody; and an operator's decisions on them."""

from typing import Any

from fabric.client._async.transport import Transport
from fabric.client.display import Rows


class Prices:
    """`client.prices`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    async def present(self) -> dict[str, Any]:
        """Commission, device table and demand factors of now."""
        return dict(await self._transport.request("GET", "/api/v1/marketplace/prices"))

    async def decided(self) -> dict[str, Any]:
        """The same with the latest decisions; for operators."""
        return dict(await self._transport.request("GET", "/api/v1/operator/prices"))

    async def decide(self, reason: str, **changes: Any) -> dict[str, Any]:
        """Change `commission_bps`, `devices` (the whole table) or both, from `effective_at` on; for operators.

        Jobs that were submitted before keep what they have.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        return dict(await self._transport.request("PUT", "/api/v1/operator/prices", json={"reason": reason, **given}))

    async def changes(self, *, limit: int = 100) -> Rows:
        """What was decided, newest first; for operators."""
        return await self._transport.rows("/api/v1/operator/prices/changes", limit=limit)
