"""What a part of a local fabric is: the same four acts for each (start, tell why it failed, clear, stop), and child processes.

`start` returns when the part answers. `failure` is cheap, never blocks for long, and None while all is well. `clear` ends what a
crash left behind, so that `start` may follow. `stop` ends the part in an orderly way.
"""

import os
import signal
import ssl
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from fabric.local.processes import Mark, end, family, mark, spawn_module

START_TIMEOUT_S = 120.0
POLL_S = 0.05
LOG_TAIL_BYTES = 3000


class PartFailed(Exception):
    """A part did not start; the message holds the end of its log."""


class Part(ABC):
    """One supervised part."""

    name: str

    @abstractmethod
    def start(self) -> None:
        """Start it; returns when it answers.

        Raises:
            PartFailed: it did not.
        """

    @abstractmethod
    def failure(self) -> str | None:
        """Why it needs to be started again; None when it runs."""

    @abstractmethod
    def stop(self) -> None:
        """End it and everything that it started."""

    def clear(self) -> None:
        """End what a crash left behind, at once."""
        end(family(self.marks()), signal_number=signal.SIGKILL)

    def notices(self) -> list[str]:
        """What ended inside the part since the last call and is replaced by the part itself; one line each."""
        return []

    def marks(self) -> list[Mark]:
        """The processes that lead its families."""
        return []


class ChildPart(Part):
    """A part that is one child process with its descendants."""

    patience_s = 10.0

    def __init__(self, name: str, module: str, arguments: list[str], *, log: Path, environment: Mapping[str, str]) -> None:
        """Prepare `python -m module …`; nothing is started yet."""
        self.name, self.log = name, log
        self._module, self._arguments, self._environment = module, arguments, environment
        self._process: subprocess.Popen[bytes] | None = None
        self._mark: Mark | None = None
        self._stopping = threading.Event()
        self._spawning = threading.Lock()

    def start(self) -> None:
        """Start the child and wait until `is_ready`."""
        self.spawn()
        self.wait_until(self.is_ready, START_TIMEOUT_S)

    def spawn(self, *, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start the child, unless the part is being stopped: then nobody would end it."""
        with self._spawning:
            if self._stopping.is_set():
                raise PartFailed(f"{self.name} is being stopped")
            process = self.launch(stdin)
            self._process, self._mark = process, mark(process.pid)
            return process

    def launch(self, stdin: int) -> subprocess.Popen[bytes]:
        """Start the child's process, as the leader of a session of its own; by default a Python module."""
        return spawn_module(self._module, self._arguments, log=self.log, environment=self._environment, stdin=stdin)

    def give_up(self) -> None:
        """Let a start that is under way end soon, as failed."""
        self._stopping.set()

    @property
    def is_ending(self) -> bool:
        """Whether it was told to end, or to give up."""
        return self._stopping.is_set()

    def is_ready(self) -> bool:
        """Whether the child answers; by default as soon as it runs."""
        return True

    def wait_until(self, is_done: Callable[[], bool], timeout_s: float) -> None:
        """Wait for a condition of a child that has just been started.

        Raises:
            PartFailed: the child ended, the time is over, or the part is being stopped.
        """
        deadline = time.monotonic() + timeout_s
        while not is_done():
            if why := self.failure():
                raise PartFailed(f"{self.name} {why}:\n{tail(self.log)}")
            if time.monotonic() > deadline:
                raise PartFailed(f"{self.name} did not answer within {timeout_s:.0f} s:\n{tail(self.log)}")
            if self._stopping.wait(POLL_S):
                raise PartFailed(f"{self.name} was stopped while it started")

    def failure(self) -> str | None:
        """The exit status of a child that ended."""
        if self._process is None:
            return "is not running"
        status = self._process.poll()
        if status is None:
            return None
        return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"

    def marks(self) -> list[Mark]:
        """The child."""
        return [self._mark] if self._mark else []

    def stop(self) -> None:
        """SIGTERM to the child, patience, then an end to its whole family."""
        self._stopping.set()
        with self._spawning:
            if self._process is None:
                return
        self.end_orderly()

    def end_orderly(self) -> None:
        """The same to a part that will be started again; the caller sees to it that nobody else starts it meanwhile."""
        if self._process is None:
            return
        marks = self.marks()
        members = family(marks)
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(self.patience_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        left = {m for m in [*members, *family(marks)] if m.is_alive()}
        end(left)


def process_name(pid: int) -> str:
    """The program's name, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def process_title(pid: int) -> str:
    """What the process calls itself (Ray's actors set it), empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def reachable(host: str) -> str:
    """The address under which this machine reaches what listens on `host`."""
    return "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host


def answers(url: str, *, certificate: str | None = None) -> bool:
    """Whether a GET succeeds within 5 s; of an endpoint with a certificate of ours exactly that one is accepted."""
    verify: ssl.SSLContext | bool = True
    if certificate:
        verify = ssl.create_default_context(cafile=certificate)
        verify.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # its own issuer need not be known
    try:
        return httpx.get(url, timeout=5.0, trust_env=False, verify=verify).status_code == 200
    except httpx.HTTPError:
        return False


def tail(log: Path) -> str:
    """The end of a log."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - LOG_TAIL_BYTES))
        return file.read().decode(errors="replace")
