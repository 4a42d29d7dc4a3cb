"""`make soak-ledger`: random postings on a ledger whose Postgres is killed again and again; after each kill every audit is empty.

Several writers capture in groups, as the dispatcher does, and replay the rest of the money against a model. What a writer was told is
committed must be there when the server is back. It ends with the wanted number of postings, or when its time is over.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random
from uuid import UUID

import psycopg

from fabric.billing.ledger import AUDITS
from fabric.core.ids import JobId, ProviderId, SubtaskId, UserId
from fabric.db.migrate import ensure_application_role, migrate
from fabric.local.postgres import PostgresServer, start_postgres
from tests.fixtures.money_replay import MoneyReplay
from tests.fixtures.postgres import start_again

MACHINES = [ProviderId.new() for _ in range(16)]
GROUP = 256
GROUPS_PER_JOB = 12
REPLAY_STEPS = 25
REPLAY_SHARE = 0.04  # of a writer's turns; the others are jobs
KILL_S = (10.0, 30.0)
PASSWORD = "soak-soak-soak"
CAPTURE = "SELECT status FROM ledger.capture(%s::uuid[], %s::uuid[], %s::uuid[], %s::bigint[], %s::int[])"


class Story(MoneyReplay):
    """A replay that leaves the audits, which read all of history, to the end of each life of the server."""

    def check_audits(self) -> None:
        """Later."""


class Writer(threading.Thread):
    """Writes until its connection breaks, or it is asked to stop; `wrong` is what must never happen."""

    def __init__(self, url: str, seed: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.url, self.random, self.stop = url, Random(seed), stop
        self.postings = 0
        self.acknowledged: list[UUID] = []
        self.wrong: BaseException | None = None

    def run(self) -> None:
        try:
            with psycopg.connect(self.url) as connection:
                while not self.stop.is_set():
                    if self.random.random() < REPLAY_SHARE:
                        Story(connection, self.random).run(REPLAY_STEPS)
                        self.postings += REPLAY_STEPS
                    else:
                        self.one_job(connection)
        except psycopg.OperationalError:
            return  # the server was killed
        except BaseException as error:
            self.wrong = error

    def one_job(self, connection: psycopg.Connection) -> None:
        """A job from its top-up to its release, in groups of captures."""
        user, job = UUID(UserId.new().hex), UUID(JobId.new().hex)
        hold = GROUP * GROUPS_PER_JOB * 3_000
        connection.execute("SELECT ledger.top_up(%s, %s, %s)", [user, hold, job.hex])
        connection.execute("SELECT ledger.place_hold(%s, %s, %s)", [user, job, hold])
        connection.commit()
        self.postings += 2
        for _ in range(GROUPS_PER_JOB):
            subtasks = [UUID(SubtaskId.new().hex) for _ in range(GROUP)]
            machines = [UUID(self.random.choice(MACHINES).hex) for _ in subtasks]
            gross = [self.random.randint(1, 2_999) for _ in subtasks]
            rates = [self.random.choice((0, 1000, 2500)) for _ in subtasks]
            rows = connection.execute(CAPTURE, [subtasks, [job] * GROUP, machines, gross, rates]).fetchall()
            assert all(status == "captured" for (status,) in rows)
            connection.commit()
            self.acknowledged += subtasks
            self.postings += GROUP
        connection.execute("SELECT ledger.release_hold(%s, %s)", [user, job])
        connection.commit()
        self.postings += 1


def check(url: str, acknowledged: list[UUID]) -> tuple[int, float]:
    """Every audit is empty, debits equal credits, and what was acknowledged is there; how many postings there are, and how long it took."""
    started_s = time.monotonic()
    with psycopg.connect(url, options="-c work_mem=256MB") as connection:
        for name in AUDITS:
            found = connection.execute(f"SELECT * FROM ledger.{name} LIMIT 3").fetchall()  # type: ignore[arg-type]
            assert found == [], (name, found)
        assert connection.execute("SELECT coalesce(sum(abs(must_be_zero)), 0) FROM ledger.trial_balance").fetchone() == (0,)
        missing = connection.execute(
            "SELECT count(*) FROM unnest(%s::uuid[]) AS a(id) WHERE NOT EXISTS "
            "(SELECT 1 FROM ledger.transactions AS t WHERE t.subtask_id = a.id AND t.kind = 'capture')", [acknowledged],
        ).fetchone()  # fmt: skip
        assert missing == (0,), f"{missing} acknowledged captures are gone"
        row = connection.execute("SELECT count(*) FROM ledger.transactions").fetchone()
        assert row is not None
        return int(row[0]), time.monotonic() - started_s


def live(server: PostgresServer, url: str, seeds: range, enough: int, until_s: float, least_s: float) -> list[Writer]:
    """One life of the server: writers write for at least `least_s`, until it is killed or there is enough."""
    stop = threading.Event()
    writers = [Writer(url, seed, stop) for seed in seeds]
    for writer in writers:
        writer.start()
    end_s = min(until_s, time.monotonic() + max(least_s, Random(seeds[0]).uniform(*KILL_S)))
    while time.monotonic() < end_s and sum(w.postings for w in writers) < enough:
        time.sleep(0.1)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    stop.set()
    for writer in writers:
        writer.join()
        if writer.wrong is not None:
            raise writer.wrong
    return writers


def soak(wanted: int, seconds: float, writers: int, seed: int, folder: Path) -> int:
    """Live after life, until there are enough postings or the time is over; how many there are."""
    server = start_postgres(folder / "postgres", folder / "log")
    begun_s = time.monotonic()
    postings = kills = 0
    writing_s = audit_s = 0.0
    try:
        migrate(server.url)
        url = ensure_application_role(server.url, PASSWORD)
        while postings < wanted and time.monotonic() - begun_s < seconds:
            life_s = time.monotonic()
            seeds = range(seed + kills * writers, seed + (kills + 1) * writers)
            done = live(server, url, seeds, wanted - postings, begun_s + seconds, audit_s)
            wrote_s, before = time.monotonic() - life_s, postings
            writing_s += wrote_s
            kills += 1
            server = start_again(folder)
            back_s = time.monotonic() - life_s - wrote_s
            postings, audit_s = check(server.url, [subtask for writer in done for subtask in writer.acknowledged])
            print(
                f"{time.monotonic() - begun_s:6.0f} s  kill {kills}: {postings:,} postings ({(postings - before) / wrote_s:,.0f}/s), "
                f"back after {back_s:.1f} s, every audit empty in {audit_s:.1f} s", flush=True,
            )  # fmt: skip
    finally:
        server.stop()
    print(
        f"{postings:,} postings in {writing_s:.0f} s of writing ({postings / max(writing_s, 1):,.0f}/s), {kills} kills; the books are right"
    )
    return postings


def main() -> int:
    """0: the books were right after each kill. A broken one ends it with what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--postings", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=1800.0, help="no longer than this, and the audits after the last kill")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server and its folder go too
    folder = Path(tempfile.mkdtemp(prefix="fb-soak-"))
    folder.chmod(0o711)
    try:
        postings = soak(asked.postings, asked.seconds, asked.writers, asked.seed, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if postings < asked.postings:
        print(f"the time was over before {asked.postings:,} postings were written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
