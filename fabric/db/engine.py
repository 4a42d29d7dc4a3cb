"""The pool and `transaction()`, the only code that commits.

One request or one turn of a loop is one transaction. Outside services are never called inside one.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NewType, TypeVar

from psycopg import errors as pg
from sqlalchemy import make_url, text
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from fabric.core.errors import DatabaseUnavailable, Invalid

Transaction = NewType("Transaction", AsyncConnection)  # may write; commits when its block ends
Result = TypeVar("Result")
Reader = AsyncConnection | Transaction  # a function that takes a Reader writes nothing

RETRIES_MAX = 5
POOL_WAIT_S = 10.0


def sqlalchemy_url(url: str) -> str:
    """A libpq URL (postgresql://…) in SQLAlchemy's spelling with the psycopg driver."""
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


class Database:
    """Connections to Postgres. One for each process."""

    def __init__(self, url: str, *, pool_size: int = 10, statement_timeout_s: float = 30.0) -> None:
        """Connect lazily to a libpq URL."""
        self.url = url
        self._engine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_WAIT_S,
            pool_pre_ping=False,
            connect_args={
                "options": f"-c statement_timeout={int(statement_timeout_s * 1000)} -c timezone=UTC",
                "connect_timeout": 5,
                "application_name": "fabric",
            },
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A read-write transaction: committed when the block ends, rolled back when it raises.

        Raises:
            DatabaseUnavailable: Postgres cannot be reached, or was lost on the way (then nothing is known of the commit).
        """
        async with self._connection() as connection, connection.begin():
            yield Transaction(connection)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reader]:
        """A read-only transaction: a statement that writes fails.

        Raises:
            DatabaseUnavailable: Postgres cannot be reached.
        """
        async with self._connection() as connection, connection.begin():
            await connection.execute(text("SET TRANSACTION READ ONLY"))
            yield connection

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                yield connection
        except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
            if isinstance(error, DBAPIError) and is_serialisation_failure(error):
                raise
            raise DatabaseUnavailable from error
        except (DataError, UnicodeEncodeError) as error:
            if isinstance(error, DataError) and not is_unstorable_text(error):
                raise
            raise Invalid("A text holds a character that cannot be stored: NUL, or half of a surrogate pair.") from None

    async def retrying(self, act: Callable[[Transaction], Awaitable[Result]]) -> Result:
        """Run `act` in a transaction of its own; again after a deadlock or serialisation failure (at most 5 times)."""
        for attempt in range(1, RETRIES_MAX + 1):
            try:
                async with self.transaction() as transaction:
                    return await act(transaction)
            except DBAPIError as error:
                if attempt == RETRIES_MAX or not is_serialisation_failure(error):
                    raise
                await asyncio.sleep(random.uniform(0.005, 0.02) * 2**attempt)
        raise AssertionError("unreachable")

    async def is_reachable(self) -> bool:
        """Whether a trivial query succeeds now."""
        try:
            async with self.reading() as reader:
                await reader.execute(text("SELECT 1"))
        except DatabaseUnavailable:
            return False
        return True

    async def close(self) -> None:
        """Give all connections back."""
        await self._engine.dispose()


def is_unstorable_text(error: DataError) -> bool:
    """Whether a text that somebody sent is what Postgres cannot keep: it has no NUL, and no halves of characters."""
    told = str(error.orig)
    return (
        isinstance(error.orig, pg.CharacterNotInRepertoire | pg.UntranslatableCharacter) or "NUL" in told or "surrogate" in told
    )


def is_serialisation_failure(error: DBAPIError) -> bool:
    """Whether trying the whole transaction again may help."""
    return isinstance(error.orig, pg.DeadlockDetected | pg.SerializationFailure)
