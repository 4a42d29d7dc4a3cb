# Made of fabric/client/_async/operator.py by `make docs`; edit that one.
"""What an operator sees and decides about the people of a fabric."""

from fabric.client._sync.transport import Transport
from fabric.client.display import Rows, Shown


class Operator:
    """`client.operator`. Needs a log-in with the role operator."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    def users(self, *, email: str | None = None, limit: int | None = 100) -> Rows:
        """The people who have an account, newest first; with `email` those whose address contains it."""
        return self._transport.rows("/api/v1/operator/users", limit=limit, email=email)

    def set_role(self, user_id: str, role: str) -> Shown:
        """Make somebody `operator` or `user`."""
        return Shown(self._transport.request("PATCH", f"/api/v1/operator/users/{user_id}", json={"role": role}))

    def end_sessions(self, user_id: str) -> int:
        """End all log-ins of somebody; says how many."""
        return int((self._transport.request("DELETE", f"/api/v1/operator/users/{user_id}/sessions"))["ended"])

    def audit_log(self, *, user_id: str | None = None, act: str | None = None, limit: int | None = 100) -> Rows:
        """Security-relevant acts of everybody, newest first."""
        return self._transport.rows("/api/v1/operator/audit-log", limit=limit, user_id=user_id, act=act)
