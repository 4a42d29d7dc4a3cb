"""What an operator sees and decides about the people of a fabric."""

from fabric.client._async.transport import Transport
from fabric.client.display import Rows, Shown


class Operator:
    """`client.operator`. Needs a log-in with the role operator."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    async def users(self, *, email: str | None = None, limit: int | None = 100) -> Rows:
        """The people who have an account, newest first; with `email` those whose address contains it."""
        return await self._transport.rows("/api/v1/operator/users", limit=limit, email=email)

    async def set_role(self, user_id: str, role: str) -> Shown:
        """Make somebody `operator` or `user`."""
        return Shown(await self._transport.request("PATCH", f"/api/v1/operator/users/{user_id}", json={"role": role}))

    async def end_sessions(self, user_id: str) -> int:
        """End all log-ins of somebody; says how many."""
        return int((await self._transport.request("DELETE", f"/api/v1/operator/users/{user_id}/sessions"))["ended"])

    async def audit_log(self, *, user_id: str | None = None, act: str | None = None, limit: int | None = 100) -> Rows:
        """Security-relevant acts of everybody, newest first."""
        return await self._transport.rows("/api/v1/operator/audit-log", limit=limit, user_id=user_id, act=act)
