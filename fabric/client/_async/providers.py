"""Your machines: list, price, pause, drain, remove, and tokens that let machines join."""

from typing import Any

from fabric.client._async.transport import Transport
from fabric.client.display import Rows, Shown


class Providers:
    """`client.providers`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    async def list(self) -> Rows:
        """Your machines."""
        return await self._transport.rows("/api/v1/providers")

    async def get(self, provider_id: str) -> Shown:
        """One of your machines: slots, prices, what its agent says."""
        return Shown(await self._transport.request("GET", f"/api/v1/providers/{provider_id}"))

    async def join_tokens(self) -> Rows:
        """Tokens that let machines join; never their secrets."""
        return await self._transport.rows("/api/v1/providers/join-tokens")

    async def revoke_join_token(self, token_id: str) -> None:
        """Let nobody else join with it."""
        await self._transport.send("DELETE", f"/api/v1/providers/join-tokens/{token_id}")

    async def create_join_token(self, label: str, *, uses: int = 1, expires_s: int = 3600) -> dict[str, Any]:
        """A token for `provider-join`, shown once."""
        body = {"label": label, "uses_max": uses, "expires_s": expires_s}
        return dict(await self._transport.request("POST", "/api/v1/providers/join-tokens", json=body))

    async def update(self, provider_id: str, **changes: Any) -> dict[str, Any]:
        """Change name, state ("paused" or "online"), prices of slots or `schedule` (see `set_schedule`)."""
        return dict(await self._transport.request("PATCH", f"/api/v1/providers/{provider_id}", json=changes))

    async def set_schedule(
        self, provider_id: str, hours: str | None, *, idle_only: bool | None = None, idle_minutes: float | None = None
    ) -> dict[str, Any]:
        """Lend in certain hours by the machine's own clock ("mo-fr 22-7, sa-su 0-24"; None: always), or only while nobody uses it.

        The machine takes it with its next heartbeat; until then the answer's `schedule_wanted` has it.
        """
        quiet = {"idle_only": idle_only, "idle_minutes": idle_minutes}
        said = {"hours": hours, **{name: value for name, value in quiet.items() if value is not None}}
        return await self.update(provider_id, schedule=said)

    async def drain(self, provider_id: str) -> dict[str, Any]:
        """Let the machine finish what it runs and take nothing new."""
        return dict(await self._transport.request("POST", f"/api/v1/providers/{provider_id}/drain"))

    async def ban(self, provider_id: str, reason: str) -> None:
        """Cut anybody's machine off for good; for operators."""
        await self._transport.send("POST", f"/api/v1/operator/providers/{provider_id}/ban", json={"reason": reason})

    async def remove(self, provider_id: str) -> None:
        """Cut the machine off."""
        await self._transport.send("DELETE", f"/api/v1/providers/{provider_id}")
