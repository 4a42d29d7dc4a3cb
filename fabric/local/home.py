"""FABRIC_HOME: its folders, its secrets (mode 0600), its lock, and the files by which processes of one fabric find each other.

Invariant: at most one `fabric up` runs on one home; the lock on run/lock is held by the kernel for exactly as long as that
process lives, so a kill -9 frees it.
"""

import fcntl
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fabric.core.errors import Conflict, Invalid


@dataclass(frozen=True)
class Home:
    """One fabric's folder; every path below it."""

    path: Path

    @property
    def postgres(self) -> Path:
        """The database cluster; Postgres itself makes and owns it."""
        return self.path / "postgres"

    @property
    def objects(self) -> Path:
        """The disk store."""
        return self.path / "objects"

    @property
    def gcs(self) -> Path:
        """Ray's embedded RocksDB store."""
        return self.path / "gcs"

    @property
    def secrets(self) -> Path:
        """One file for each secret."""
        return self.path / "secrets"

    @property
    def logs(self) -> Path:
        """What the parts print."""
        return self.path / "logs"

    @property
    def run(self) -> Path:
        """State of the running fabric: lock, ports, processes, settings."""
        return self.path / "run"

    @property
    def environment_file(self) -> Path:
        """The settings, secrets included, that every control process reads."""
        return self.run / "fabric.env"

    def provider(self, number: int) -> Path:
        """The state of the local provider `number` (from 1)."""
        return self.path / "providers" / str(number)

    def prepare(self) -> None:
        """Make the folders, closed to other users."""
        self.path.mkdir(parents=True, exist_ok=True)
        for folder in (self.objects, self.gcs, self.secrets, self.logs, self.run, self.path / "providers"):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)

    def let_database_pass(self) -> None:
        """Started by root, open the home for passing through (not for reading): Postgres runs as an unprivileged user.

        Nothing above the home is touched.

        Raises:
            Invalid: that user cannot come as far as the home.
        """
        if os.geteuid() != 0:
            return
        if shut := [str(folder) for folder in self.path.parents if not folder.stat().st_mode & stat.S_IXOTH]:
            raise Invalid(
                f"PostgreSQL runs as an unprivileged user, who cannot pass {', '.join(shut)} to FABRIC_HOME {self.path}. "
                "Choose a FABRIC_HOME elsewhere, such as /var/lib/fabric, or start as another user."
            )
        self.path.chmod(stat.S_IMODE(self.path.stat().st_mode) | 0o011)

    def secret(self, name: str, *, make: bool = True) -> str | None:
        """The secret of that name; made (256 random bits) when there is none yet and `make` says so."""
        path = self.secrets / name
        if path.exists():
            return path.read_text().strip()
        if not make:
            return None
        self.keep_secret(name, value := secrets.token_urlsafe(32))
        return value

    def keep_secret(self, name: str, value: str) -> Path:
        """Store a secret in a file that only its owner can read; returns the file."""
        write_private(path := self.secrets / name, value)
        return path

    def read_state(self, name: str) -> dict[str, Any]:
        """What run/<name>.json holds; empty when there is no such file or it cannot be read."""
        try:
            state = json.loads((self.run / f"{name}.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def write_state(self, name: str, state: Mapping[str, Any]) -> None:
        """Replace run/<name>.json as a whole."""
        write_private(self.run / f"{name}.json", json.dumps(state, indent=1))

    def drop_state(self, name: str) -> None:
        """Remove run/<name>.json."""
        (self.run / f"{name}.json").unlink(missing_ok=True)

    def write_environment(self, variables: Mapping[str, str]) -> None:
        """Write run/fabric.env from FABRIC_* variables."""
        lines = ["# Written by `fabric up`; changed by each start."]
        lines += [f"{name}={_quoted(value)}" for name, value in sorted(variables.items())]
        write_private(self.environment_file, "\n".join(lines) + "\n")


class HomeLock:
    """Held by the one `fabric up` of a home; a context manager."""

    def __init__(self, home: Home) -> None:
        """Prepare to lock `home`; nothing is taken yet."""
        self._path = home.run / "lock"
        self._home = home
        self._file: BinaryIO | None = None

    def __enter__(self) -> "HomeLock":
        file = self._path.open("a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            running = self._home.read_state("fabric")
            where = f" at {running['url']}" if running.get("url") else ""
            raise Conflict(
                f"A fabric is already running on {self._home.path}{where} (pid {running.get('pid', 'unknown')}). "
                "Stop it first, or give this one another FABRIC_HOME."
            ) from None
        self._file = file
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def is_running(home: Home) -> bool:
    """Whether a `fabric up` holds this home now."""
    try:
        with (home.run / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole with one of mode 0600."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    Path(temporary).replace(path)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
