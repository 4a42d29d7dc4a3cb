"""What is forgotten in time: answers kept for idempotency keys, and refresh tokens that nobody can use any more."""

from fabric.db.engine import Database
from fabric.identity import store

ANSWERS_KEPT_S = 48 * 3600  # promised: at least 24 hours
REFRESH_TOKENS_KEPT_S = 7 * 86_400  # after they expired, so that the reuse of one is still seen


async def forget_expired(database: Database) -> int:
    """One turn of the loop; returns how many rows went."""
    async with database.transaction() as tx:
        answers = await store.delete_old_answers(tx, ANSWERS_KEPT_S)
        return answers + await store.delete_old_refresh_tokens(tx, REFRESH_TOKENS_KEPT_S)
