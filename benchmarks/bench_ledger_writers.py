"""Captures per second with 1, 8 and 32 writers, one by one and grouped, with and without a hot job, beside pgbench's TPC-B-like rate.

Both are driven by `pgbench` with as many clients, on one embedded server that really writes to disk, in turns of the same run. So the
client costs both the same, and the ratio says what the ledger costs.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

from benchmarks.table import Row, median, show
from fabric.billing.ledger import AUDITS
from fabric.core.ids import UserId
from fabric.core.money import NANOS_PER_USD
from fabric.db.migrate import ensure_application_role, migrate
from fabric.local.postgres import PostgresServer, binaries, start_postgres

WRITERS = (1, 8, 32)
GROUPS = (1, 128)
JOBS = {"one hot job": 1, "64 jobs": 64}
MACHINES = 64
ROUNDS = 2
ROUND_S = 4
PGBENCH_SCALE = 40  # more branches than clients, so that TPC-B is not measured against its own hot row
GROSS_NANOS = 2_778
HOLD_NANOS = 10_000 * NANOS_PER_USD
REFERENCE = "pgbench TPC-B-like, as many clients, transactions/s"

CAPTURES = """
SELECT count(*) FROM ledger.capture(
  ARRAY(SELECT uuidv7() FROM generate_series(1, {group})),
  ARRAY(SELECT CAST('00000000-0000-0000-0001-' || lpad(CAST(1 + floor(random() * {jobs}) AS text), 12, '0') AS uuid)
          FROM generate_series(1, {group})),
  ARRAY(SELECT CAST('00000000-0000-0000-0002-' || lpad(CAST(1 + floor(random() * {machines}) AS text), 12, '0') AS uuid)
          FROM generate_series(1, {group})),
  array_fill(CAST({gross} AS bigint), ARRAY[{group}]), array_fill(1000, ARRAY[{group}]));
"""


def fund(owner_url: str) -> None:
    """Credit, and a hold for each job."""
    user = UserId.new().hex
    with psycopg.connect(owner_url) as connection:
        connection.execute("SELECT ledger.top_up(%s, %s, 'bench')", [user, 2 * 64 * HOLD_NANOS])
        for n in range(1, 65):
            connection.execute("SELECT ledger.place_hold(%s, %s, %s)", [user, f"00000000-0000-0000-0001-{n:012d}", HOLD_NANOS])


def pgbench(server: PostgresServer, database: str, *options: str) -> str:
    """Run it; what it printed."""
    environment = {"PGPASSWORD": server.password, "PGHOST": str(server.sockets), "PGUSER": "fabric", "PGDATABASE": database}
    command = [str(binaries() / "pgbench"), *options]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def rate(printed: str) -> float:
    """Transactions per second.

    Raises:
        RuntimeError: some of them failed.
    """
    failed = re.search(r"failed transactions: (\d+)", printed)
    if failed is not None and int(failed[1]):
        raise RuntimeError(printed)
    found = re.search(r"tps = ([0-9.]+)", printed)
    assert found is not None, printed
    return float(found[1])


def measure(server: PostgresServer, folder: Path) -> list[Row]:
    """Rounds in turn, so that a drifting machine moves all figures alike; then the books must still be right."""
    rates: dict[tuple[int, int, str], list[float]] = {}
    reference: dict[int, list[float]] = {writers: [] for writers in WRITERS}
    for _ in range(ROUNDS):
        for writers in WRITERS:
            run = ["-n", "-c", str(writers), "-j", "2", "-T", str(ROUND_S), "-M", "prepared"]
            reference[writers].append(rate(pgbench(server, "tpcb", *run)))
            for group in GROUPS:
                for heat, jobs in JOBS.items():
                    script = folder / "captures.sql"
                    script.write_text(
                        " ".join(CAPTURES.format(group=group, jobs=jobs, machines=MACHINES, gross=GROSS_NANOS).split())
                    )
                    captures = rate(pgbench(server, "fabric", *run, "-f", str(script))) * group
                    rates.setdefault((writers, group, heat), []).append(captures)
    return [
        Row(
            f"ledger, {writers} writers, {group} captures a commit, {heat}", median(found), "captures/s", REFERENCE,
            median(reference[writers]),
        )
        for (writers, group, heat), found in rates.items()
    ]  # fmt: skip


def check_books(owner_url: str) -> None:
    """Every capture that was counted is there, each audit is empty, and debits equal credits."""
    with psycopg.connect(owner_url) as connection:
        for name in AUDITS:
            assert connection.execute(f"SELECT * FROM ledger.{name} LIMIT 1").fetchall() == [], name  # type: ignore[arg-type]
        assert connection.execute("SELECT sum(abs(must_be_zero)) FROM ledger.trial_balance").fetchone() == (0,)
        row = connection.execute("SELECT sum(debits) FROM ledger.accounts WHERE kind = 'job:*:hold'").fetchone()
        count = connection.execute("SELECT count(*) FROM ledger.transactions WHERE kind = 'capture'").fetchone()
        assert row is not None and count is not None and row[0] == count[0] * GROSS_NANOS


def run() -> list[Row]:
    """Start a server of its own, measure, end it."""
    folder = Path(tempfile.mkdtemp(prefix="fb-bench-"))
    folder.chmod(0o711)  # the server's unprivileged account must pass
    server = start_postgres(folder / "postgres", folder / "log")
    try:
        migrate(server.url)
        ensure_application_role(server.url)
        fund(server.url)
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE tpcb")
        pgbench(server, "tpcb", "-i", "-q", "-s", str(PGBENCH_SCALE))
        rows = measure(server, folder)
        check_books(server.url)
        return rows
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    show("ledger-writers", run())
