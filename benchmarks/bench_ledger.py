"""Captures per second by group commit, beside one by one, on an embedded server that really writes to disk (fsync on)."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.table import Row, median, show
from fabric.billing import ledger
from fabric.core.ids import JobId, ProviderId, SubtaskId, UserId
from fabric.core.money import NANOS_PER_USD
from fabric.db.engine import Database
from fabric.db.migrate import ensure_application_role, migrate
from fabric.local.postgres import start_postgres

GROUPS = (128, 512, 2048)
CAPTURES_PER_ROUND = 8192
SINGLE_CAPTURES_PER_ROUND = 400
ROUNDS = 5
PROVIDERS = 8
JOBS = 4
GROSS_NANOS = 2_778  # one second of a CPU core
COMMISSION_BPS = 1000
REACH = 5000.0


class Books:
    """A ledger with a funded requestor, some jobs with holds and some providers."""

    def __init__(self, database: Database) -> None:
        """Fill them with `fund`."""
        self.database = database
        self.user_id = UserId.new()
        self.jobs = [JobId.new() for _ in range(JOBS)]
        self.providers = [ProviderId.new() for _ in range(PROVIDERS)]

    async def fund(self) -> None:
        """Credit, and a hold for each job."""
        async with self.database.transaction() as tx:
            await ledger.top_up(tx, self.user_id, 1000 * NANOS_PER_USD, "bench")
            for job_id in self.jobs:
                await ledger.place_hold(tx, self.user_id, job_id, 100 * NANOS_PER_USD)

    def captures(self, count: int) -> list[ledger.Capture]:
        """Fresh captures, spread over jobs and providers."""
        return [
            ledger.Capture(SubtaskId.new(), self.jobs[i % JOBS], self.providers[i % PROVIDERS], GROSS_NANOS, COMMISSION_BPS)
            for i in range(count)
        ]

    async def captures_per_s(self, total: int, group: int) -> float:
        """Capture `total` in transactions of `group` on one connection, as the dispatcher does."""
        groups = [self.captures(group) for _ in range(total // group)]
        started = time.perf_counter()
        for captures in groups:
            async with self.database.transaction() as tx:
                outcomes = await ledger.capture(tx, captures)
            assert all(outcome.status == "captured" for outcome in outcomes)
        return len(groups) * group / (time.perf_counter() - started)


async def measure(url: str) -> list[Row]:
    """Rounds in turn, so that a drifting machine moves all figures alike; then the books must still be right."""
    database = Database(url)
    books = Books(database)
    await books.fund()
    await books.captures_per_s(GROUPS[-1], GROUPS[-1])  # warm
    single: list[float] = []
    grouped: dict[int, list[float]] = {group: [] for group in GROUPS}
    for _ in range(ROUNDS):
        single.append(await books.captures_per_s(SINGLE_CAPTURES_PER_ROUND, 1))
        for group in GROUPS:
            grouped[group].append(await books.captures_per_s(CAPTURES_PER_ROUND, group))
    async with database.reading() as reader:
        assert await ledger.trial_balance(reader) == 0
        assert await ledger.audit(reader) == []
    await database.close()
    one = median(single)
    rows = [
        Row(f"ledger, {group} captures a commit", median(rates), "captures/s", "one by one", one, f"≥ {REACH:,.0f}/s")
        for group, rates in grouped.items()
    ]
    return [*rows, Row("ledger, one capture a commit", one, "captures/s")]


def run() -> list[Row]:
    """Start a server of its own, measure, end it."""
    folder = Path(tempfile.mkdtemp(prefix="fb-bench-"))
    folder.chmod(0o711)  # the server's unprivileged account must pass
    server = start_postgres(folder / "postgres", folder / "log")
    try:
        migrate(server.url)
        return asyncio.run(measure(ensure_application_role(server.url)))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    show("ledger", run())
