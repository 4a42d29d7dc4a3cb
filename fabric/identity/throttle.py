"""Attempts in a window of time, counted in the database for all gateways together.

An attempt is counted before it is looked at, so that guesses sent at once all count. Keys are stored hashed: a table of who
mistyped a password would itself be worth stealing.
"""

import hashlib
import math
from dataclasses import dataclass

from fabric.core.errors import RateLimited
from fabric.db.engine import Database, Transaction
from fabric.identity import proof_store


@dataclass(frozen=True, slots=True)
class Throttle:
    """So many attempts in so long."""

    name: str
    attempts: int
    window_s: int


LOG_IN_BY_PAIR = Throttle("log-in of an account from an address", 10, 900)
LOG_IN_BY_ACCOUNT = Throttle("log-in of an account", 100, 3600)
LOG_IN_BY_ADDRESS = Throttle("log-in from an address", 100, 900)
SECOND_FACTOR = Throttle("code of a second factor", 10, 900)
PASSWORD_PROOF = Throttle("password shown by somebody logged in", 20, 900)
MAIL_BY_RECIPIENT = Throttle("mail to an address", 5, 3600)
MAIL_BY_ADDRESS = Throttle("mail asked for from an address", 30, 3600)
TOKEN_BY_ADDRESS = Throttle("mailed token shown from an address", 60, 900)
EXPORT = Throttle("export of an account", 10, 3600)


async def take(database: Database, throttle: Throttle, *subject: str | None) -> None:
    """Count one attempt.

    Raises:
        RateLimited: there were too many; with `retry_after_s`.
    """
    async with database.transaction() as tx:
        count, left_s = await proof_store.count_attempt(tx, _key(throttle, subject), throttle.window_s)
    if count > throttle.attempts:
        raise RateLimited(f"Too many attempts ({throttle.name}); wait.", retry_after_s=max(1, math.ceil(left_s)))


async def give_back(tx: Transaction, throttle: Throttle, *subject: str | None) -> None:
    """The attempt was a good one and does not count."""
    await proof_store.uncount_attempt(tx, _key(throttle, subject))


async def clear(tx: Transaction, throttle: Throttle, *subject: str | None) -> None:
    """Begin to count anew."""
    await proof_store.clear_attempts(tx, _key(throttle, subject))


def _key(throttle: Throttle, subject: tuple[str | None, ...]) -> bytes:
    words = [throttle.name, *(word or "" for word in subject)]
    return hashlib.sha256("\0".join(words).encode()).digest()
