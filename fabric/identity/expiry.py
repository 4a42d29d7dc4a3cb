"""What is forgotten in time: answers kept for idempotency keys, and tokens and counts that mean nothing any more."""

from fabric.db.engine import Database
from fabric.identity import proof_store, session_store, social_store, store

ANSWERS_KEPT_S = 48 * 3600  # promised: at least 24 hours
REFRESH_TOKENS_KEPT_S = 7 * 86_400  # after they expired, so that the reuse of one is still seen


async def forget_expired(database: Database) -> int:
    """One turn of the loop; returns how many rows went."""
    async with database.transaction() as tx:
        answers = await store.delete_old_answers(tx, ANSWERS_KEPT_S)
        tokens = await session_store.delete_old_refresh_tokens(tx, REFRESH_TOKENS_KEPT_S)
        proofs = await proof_store.delete_expired_proofs(tx)
        return answers + tokens + proofs + await social_store.delete_expired_log_ins(tx)
