"""Keeps the gate's knowledge fresh: told by Postgres at once, looked up every two seconds besides."""

import asyncio

import psycopg

from fabric.core.errors import DatabaseUnavailable
from fabric.core.telemetry import logger
from fabric.gate.gate import Gate
from fabric.providers.grants import GATE_CHANNEL

POLL_S = 2.0
TRY_AGAIN_S = 0.5
ALIVE_TIMEOUT_S = 5.0
log = logger(__name__)


class Watch:
    """Learns what changed and has the gate act on it."""

    def __init__(self, gate: Gate, url: str) -> None:
        """`url` is the application's (postgresql://…)."""
        self._gate, self._url = gate, url
        self.database_is_away = False

    async def run(self) -> None:
        """For ever. That Postgres is away is said once, and waited for."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError, TimeoutError, DatabaseUnavailable) as error:
                if not self.database_is_away:
                    log.warning("gate_database_away", error=type(error).__name__)
                self.database_is_away = True
            await asyncio.sleep(TRY_AGAIN_S)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, application_name="fabric gate", connect_timeout=5, keepalives_idle=5, keepalives_interval=2,
            keepalives_count=3,
        )  # fmt: skip
        try:
            await connection.execute(f"LISTEN {GATE_CHANNEL}")  # before the first look, so that nothing falls between the two
            while True:
                await self._gate.refresh()
                if self.database_is_away:
                    log.info("gate_database_back")
                    self.database_is_away = False
                await self._gate.clear_banned()
                async for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                    pass
                async with asyncio.timeout(ALIVE_TIMEOUT_S):
                    await connection.execute("SELECT 1")
        finally:
            await connection.close()
