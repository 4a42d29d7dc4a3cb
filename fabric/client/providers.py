"""Your machines: list, price, pause, drain, remove, and tokens that let machines join."""

from typing import Any

from fabric.client.transport import Transport


class Providers:
    """`client.providers`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    def list(self) -> list[dict[str, Any]]:
        """Your machines."""
        return list(self._transport.request("GET", "/api/v1/providers", params={"limit": 200})["data"])

    def create_join_token(self, label: str, *, uses: int = 1, expires_s: int = 3600) -> dict[str, Any]:
        """A token for `provider-join`, shown once."""
        body = {"label": label, "uses_max": uses, "expires_s": expires_s}
        return dict(self._transport.request("POST", "/api/v1/providers/join-tokens", json=body))

    def update(self, provider_id: str, **changes: Any) -> dict[str, Any]:
        """Change name, state ("paused" or "online") or prices of slots."""
        return dict(self._transport.request("PATCH", f"/api/v1/providers/{provider_id}", json=changes))

    def drain(self, provider_id: str) -> dict[str, Any]:
        """Let the machine finish what it runs and take nothing new."""
        return dict(self._transport.request("POST", f"/api/v1/providers/{provider_id}/drain"))

    def ban(self, provider_id: str, reason: str) -> None:
        """Cut anybody's machine off for good; for operators."""
        self._transport.send("POST", f"/api/v1/operator/providers/{provider_id}/ban", json={"reason": reason})

    def remove(self, provider_id: str) -> None:
        """Cut the machine off."""
        self._transport.send("DELETE", f"/api/v1/providers/{provider_id}")
