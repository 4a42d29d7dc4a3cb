"""`make mutants`: puts each wrong line into a fresh ledger; the replays must find it. Exit code 1 when one survives.

First they must pass on the ledger as it is and reach every state, or a mutant that is found would prove nothing.
"""

import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from fabric.db.migrate import ensure_application_role, migrate
from fabric.local.postgres import PostgresServer, start_postgres
from tests.fixtures.replays import JOB_STATES, MONEY_STATES, replay_jobs, replay_money
from tests.mutants.table import OF_JOBS, OF_MONEY, Mutant

WORKERS = 2
TEMPLATE = "template_fabric"
DEFINITION = (
    "SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
    "WHERE n.nspname = 'ledger' AND p.proname = %s"
)

Replays = Callable[[str], object]


@contextmanager
def a_server() -> Iterator[PostgresServer]:
    """A server with a migrated template."""
    folder = Path(tempfile.mkdtemp(prefix="fb-mutants-"))
    folder.chmod(0o711)
    server = start_postgres(folder / "postgres", folder / "log", fast=True)
    try:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
        migrate(server.database_url(TEMPLATE))
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@contextmanager
def fresh_database(server: PostgresServer) -> Iterator[str]:
    """The owner's URL of a copy of the template."""
    name = f"m{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        create = "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"
        connection.execute(sql.SQL(create).format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
        yield server.database_url(name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(f"{name}_app")))


def apply(owner_url: str, mutant: Mutant) -> None:
    """Put the wrong line in.

    Raises:
        LookupError: the line is not there, so the mutant is no mutant any more.
    """
    with psycopg.connect(owner_url) as owner:
        row = owner.execute(DEFINITION, [mutant.function]).fetchone()
        if row is None or mutant.line not in row[0]:
            raise LookupError(f"{mutant.function} has no line {mutant.line!r}")
        owner.execute(row[0].replace(mutant.line, mutant.mutant))


def killed_by(owner_url: str, mutant: Mutant, replays: Replays) -> str | None:
    """How the replays found it, in a line; None: they did not."""
    apply(owner_url, mutant)
    try:
        replays(ensure_application_role(owner_url))
    except (AssertionError, psycopg.Error) as error:
        lines = str(error).strip().splitlines() or ["another answer than that of the model"]
        return f"{type(error).__name__}: {lines[0]}"
    return None


def judge(server: PostgresServer, mutant: Mutant, replays: Replays) -> tuple[str | None, float]:
    """The same in a database of its own, with how long it took."""
    started_s = time.monotonic()
    with fresh_database(server) as owner_url:
        return killed_by(owner_url, mutant, replays), time.monotonic() - started_s


def unreached(server: PostgresServer) -> set[str]:
    """States that the replays do not reach twice on the ledger as it is, where they must pass."""
    with fresh_database(server) as owner_url:
        app_url = ensure_application_role(owner_url)
        jobs, money = replay_jobs(app_url), replay_money(app_url)
    return {state for state in JOB_STATES if jobs[state] < 2} | {state for state in MONEY_STATES if money[state] < 2}


def run(mutants: Iterable[tuple[Mutant, Replays]], server: PostgresServer, console: Console) -> int:
    """Judge all of them and print a table; how many survived."""
    table = Table(
        "mutant", "invariant that must find it", "found by", "s", title="One-line mutants of the ledger", title_justify="left"
    )
    chosen = list(mutants)
    with ProcessPoolExecutor(WORKERS) as pool:
        answers = pool.map(judge, [_handed(server)] * len(chosen), *zip(*chosen, strict=True))
        survived = 0
        for (mutant, _), (found, seconds) in zip(chosen, answers, strict=True):
            survived += found is None
            verdict = "[red]SURVIVED[/red]" if found is None else found[:70].replace("[", "(")
            table.add_row(str(mutant).replace("[", "("), mutant.invariant, verdict, f"{seconds:.1f}")
    console.print(table)
    console.print(f"{len(chosen)} mutants, {survived} survived")
    return survived


def _handed(server: PostgresServer) -> PostgresServer:
    """Without the process, which cannot be handed to another process."""
    return PostgresServer(None, server.sockets, server.password)  # type: ignore[arg-type]


def main() -> int:
    """0: each was found."""
    console = Console(width=180, highlight=False)
    with a_server() as server:
        if missed := unreached(server):
            console.print(f"the replays do not reach: {', '.join(sorted(missed))}")
            return 1
        mutants = [(mutant, replay_jobs) for mutant in OF_JOBS] + [(mutant, replay_money) for mutant in OF_MONEY]
        return 1 if run(mutants, server, console) else 0


if __name__ == "__main__":
    sys.exit(main())
