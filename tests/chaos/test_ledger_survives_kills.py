"""Postgres is killed again and again while captures are written; the books are right each time it is back."""

import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psycopg
import pytest

from fabric.db.migrate import ensure_application_role, migrate
from fabric.local.postgres import PostgresServer, start_postgres
from tests.fixtures.ledger_replay import Replay
from tests.fixtures.money_replay import MoneyReplay
from tests.fixtures.postgres import start_again

KILLS = 4
WRITERS = 3

pytestmark = pytest.mark.chaos


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fb-kill-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def start(folder: Path) -> PostgresServer:
    return start_postgres(folder / "postgres", folder / "log")  # with real fsync, unlike other tests


class Writer(threading.Thread):
    """Replays business until its connection breaks. Counts what it was told is committed."""

    def __init__(self, url: str, seed: int, enough: threading.Semaphore) -> None:
        super().__init__()
        self.url, self.random, self.enough = url, Random(seed), enough
        self.acknowledged: set[int] = set()

    def run(self) -> None:
        try:
            with psycopg.connect(self.url) as connection:
                while True:
                    replay = self.random.choice([Replay, MoneyReplay])(connection, self.random)
                    replay.run(10)
                    self.acknowledged |= {subtask.int for subtask in replay.captured}
                    self.enough.release()
        except psycopg.OperationalError:
            return


def test_no_acknowledged_capture_is_lost_and_every_audit_is_empty_after_each_kill(folder):
    # Given a ledger on a server that really writes to disk
    server = start(folder)
    migrate(server.url)
    url = ensure_application_role(server.url)
    acknowledged: set[int] = set()
    for kill in range(KILLS):
        # When it is killed amid the work of several writers
        enough = threading.Semaphore(0)
        writers = [Writer(url, seed=10 * kill + n, enough=enough) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        for _ in range(WRITERS):
            assert enough.acquire(timeout=60)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        for writer in writers:
            writer.join()
        acknowledged |= set().union(*(writer.acknowledged for writer in writers))
        # Then, back again, it knows every capture that it ever acknowledged, and the books balance
        server = start_again(folder)
        url = ensure_application_role(server.url)
        with psycopg.connect(url) as connection:
            rows = connection.execute("SELECT subtask_id FROM ledger.transactions WHERE kind = 'capture'").fetchall()
            assert acknowledged <= {subtask.int for (subtask,) in rows}
            Replay(connection, Random(kill)).check_audits()
    assert acknowledged
    server.stop()
