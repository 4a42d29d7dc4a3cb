# Made of fabric/client/_async/prices.py by `make docs`; edit that one.
"""Prices of a fabric: what counts now, for everybody; and an operator's decisions on them."""

from typing import Any

from fabric.client._sync.transport import Transport
from fabric.client.display import Rows


class Prices:
    """`client.prices`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    def present(self) -> dict[str, Any]:
        """Commission, device table and demand factors of now."""
        return dict(self._transport.request("GET", "/api/v1/marketplace/prices"))

    def decided(self) -> dict[str, Any]:
        """The same with the latest decisions; for operators."""
        return dict(self._transport.request("GET", "/api/v1/operator/prices"))

    def decide(self, reason: str, **changes: Any) -> dict[str, Any]:
        """Change `commission_bps`, `devices` (the whole table) or both, from `effective_at` on; for operators.

        Jobs that were submitted before keep what they have.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        return dict(self._transport.request("PUT", "/api/v1/operator/prices", json={"reason": reason, **given}))

    def changes(self, *, limit: int = 100) -> Rows:
        """What was decided, newest first; for operators."""
        return self._transport.rows("/api/v1/operator/prices/changes", limit=limit)
