"""The audit log: security-relevant acts, written in the transaction of the act, never changed.

    await audit.record(tx, "password_changed", user_id, origin)

The application's database role may add lines and read them; only the traces of a deleted account can be erased, by a function of
the database that looks for itself whether the account is deleted.
"""

from typing import Any
from uuid import UUID

from fabric.core.ids import UserId
from fabric.db.engine import Reader, Transaction
from fabric.identity import audit_store
from fabric.identity.audit_store import AuditLine
from fabric.identity.origin import Origin

ACTS = frozenset({
    "registered", "logged_in", "log_in_failed", "logged_out", "session_ended", "all_sessions_ended", "refresh_token_reused",
    "password_changed", "password_reset_asked", "password_reset", "email_change_asked", "email_changed", "email_verified",
    "api_key_created", "api_key_deleted", "second_factor_on", "second_factor_off", "second_factor_refused",
    "recovery_codes_made", "recovery_code_used", "identity_linked", "identity_unlinked", "data_exported", "account_deleted",
    "role_changed", "provider_banned", "credit_given", "webhook_created", "webhook_changed", "webhook_deleted",
})  # fmt: skip
"""Every act that is kept."""


async def record(tx: Transaction, act: str, user_id: UserId | None, origin: Origin, **details: Any) -> None:
    """Add a line about an act; `details` hold no secret."""
    assert act in ACTS, act
    await audit_store.insert_line(tx, act, user_id, origin, details)


async def lines(
    reader: Reader, *, user_id: UserId | None = None, act: str | None = None, before: UUID | None, limit: int
) -> list[AuditLine]:
    """Lines, newest first: those about `user_id` or by them; None: everybody's."""
    return await audit_store.select_lines(reader, user_id=user_id, act=act, before=before, limit=limit)


async def forget(tx: Transaction, user_id: UserId) -> None:
    """Erase addresses and details from the lines of a deleted account."""
    await audit_store.forget(tx, user_id)
