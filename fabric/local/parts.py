"""The parts of a fabric on one machine, each with the same four acts: start, tell why it failed, clear, stop.

`start` returns when the part answers. `failure` is cheap, never blocks for long, and None while all is well. `clear` ends what a
crash left behind, so that `start` may follow. `stop` ends the part in an orderly way.
"""

import json
import os
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from fabric.local.deploy import DeployConfig
from fabric.local.postgres import PostgresServer, start_postgres
from fabric.local.processes import Mark, end, family, mark, spawn_module
from fabric.local.ray_head import HeadConfig

START_TIMEOUT_S = 120.0
DEPLOY_TIMEOUT_S = 240.0
POLL_S = 0.05
SILENT_S = 60.0  # Serve replaces a dead replica or proxy by itself within seconds; only then is it deployed again
PROBE_PERIOD_S = 2.0
LOG_TAIL_BYTES = 3000
WATCHED_ACTORS = ("ray::Serve", "ray::HAProxyManager", "ray::ProxyActor")


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
            process = spawn_module(self._module, self._arguments, log=self.log, environment=self._environment, stdin=stdin)
            self._process, self._mark = process, mark(process.pid)
            return process

    def give_up(self) -> None:
        """Let a start that is under way end soon, as failed."""
        self._stopping.set()

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


class PostgresPart(Part):
    """The embedded PostgreSQL."""

    name = "postgres"

    def __init__(self, data: Path, log: Path, sockets: Path | None) -> None:
        """Prepare the server of this data folder, with its socket in `sockets` (None: beside the data)."""
        self._data, self._log, self._sockets = data, log, sockets
        self._server: PostgresServer | None = None
        self._mark: Mark | None = None
        self._starting = threading.Lock()
        self._stopping = False

    @property
    def url(self) -> str:
        """The owner's URL."""
        assert self._server is not None, "not started"
        return self._server.url

    def start(self) -> None:
        """Start the server and wait until it answers, recovery included."""
        with self._starting:
            if self._stopping:
                raise PartFailed("postgres is being stopped")
            try:
                self._server = start_postgres(self._data, self._log, sockets=self._sockets)
            except RuntimeError as error:
                raise PartFailed(str(error)) from None
            self._mark = mark(self._server.process.pid)

    def failure(self) -> str | None:
        """The exit status of a server that ended."""
        if self._server is None:
            return "is not running"
        status = self._server.process.poll()
        return None if status is None else f"ended with status {status}"

    def marks(self) -> list[Mark]:
        """The postmaster."""
        return [self._mark] if self._mark else []

    def stop(self) -> None:
        """Fast shutdown."""
        self._stopping = True
        with self._starting:
            if self._server is not None:
                self._server.stop()


class ObjectServerPart(ChildPart):
    """The object server of the disk store."""

    def __init__(self, host: str, port: int, *, log: Path, environment: Mapping[str, str]) -> None:
        """Prepare the server at this address."""
        super().__init__(
            "objects", "fabric.storage.server", ["--host", host, "--port", str(port)], log=log, environment=environment
        )
        self._url = f"http://{reachable(host)}:{port}/livez"

    def is_ready(self) -> bool:
        """Whether it answers."""
        return answers(self._url)


class RayHeadPart(ChildPart):
    """The Ray head: GCS, raylet, agents, and every worker of the control node."""

    patience_s = 20.0

    def __init__(self, config: HeadConfig, config_file: Path, *, log: Path, environment: Mapping[str, str]) -> None:
        """Prepare the head."""
        super().__init__("ray-head", "fabric.local.ray_head", [str(config_file)], log=log, environment=environment)
        self._node_file = Path(config.node_file)
        config.write(config_file)
        self._actors: dict[Mark, str] = {}
        self.generation = 0
        """Grows with each start; the application is deployed for one generation."""

    def start(self) -> None:
        """Start it and wait for its node."""
        self._node_file.unlink(missing_ok=True)
        super().start()
        self.generation += 1

    def is_ready(self) -> bool:
        """Whether the head has written down its node."""
        return self._node_file.exists()

    def notices(self) -> list[str]:
        """Serve's actors that ended; its controller starts others."""
        if self.failure() is not None:
            self._actors = {}
            return []
        present = {m: name for m in family(self.marks()) if (name := process_title(m.pid)).startswith(WATCHED_ACTORS)}
        ended = [name.removeprefix("ray::") for m, name in self._actors.items() if m not in present]
        self._actors = present
        return [f"{name} ended; Ray Serve starts another" for name in ended]

    @property
    def node_id(self) -> str:
        """The Ray node that control deployments are pinned to; another one after each start."""
        return str(json.loads(self._node_file.read_text())["node_id"])


class ServePart(ChildPart):
    """The Serve application on the head. Its child only deploys; afterwards Serve's own controller keeps it."""

    def __init__(
        self,
        config: DeployConfig,
        config_file: Path,
        head: RayHeadPart,
        *,
        log: Path,
        environment: Mapping[str, str],
        before_deploy: Callable[[], None],
    ) -> None:
        """Prepare the deployment; `before_deploy` runs each time the head is known and nothing is deployed yet."""
        super().__init__("serve", "fabric.local.deploy", [str(config_file)], log=log, environment=environment)
        config.write(config_file)
        self._head, self._before_deploy = head, before_deploy
        self.url = f"http://{reachable(config.host)}:{config.port}"
        self._deployed_generation = 0
        self._last_answer_s = self._last_probe_s = 0.0

    def prepare(self) -> None:
        """Start the child early: its imports take seconds, which pass while the head starts."""
        self.spawn(stdin=subprocess.PIPE)

    def start(self) -> None:
        """Deploy on the present head; returns when the endpoint answers."""
        if self._process is None or self._process.poll() is not None:
            self.prepare()
        process, generation = self._process, self._head.generation
        assert process is not None and process.stdin is not None
        self._before_deploy()
        try:
            process.stdin.write(b"deploy\n")
            process.stdin.close()
        except BrokenPipeError:
            raise PartFailed(f"serve could not be deployed:\n{tail(self.log)}") from None
        self._await_deployment(process, generation)
        self._deployed_generation = generation
        self._last_answer_s = time.monotonic()

    def _await_deployment(self, process: subprocess.Popen[bytes], generation: int) -> None:
        deadline = time.monotonic() + DEPLOY_TIMEOUT_S
        while process.poll() is None or not answers(f"{self.url}/livez"):
            if process.poll():
                raise PartFailed(f"serve could not be deployed (status {process.poll()}):\n{tail(self.log)}")
            if self._head.failure() or self._head.generation != generation:
                raise PartFailed("the Ray head went away meanwhile")  # a driver would wait ten minutes for it
            if time.monotonic() > deadline:
                raise PartFailed(f"{self.url} did not answer within {DEPLOY_TIMEOUT_S:.0f} s:\n{tail(self.log)}")
            if self._stopping.wait(POLL_S):
                raise PartFailed("serve is being stopped")

    def failure(self) -> str | None:
        """Whether it must be deployed again: the head is another one, or Serve did not heal by itself."""
        if self._head.failure() is not None:
            self._last_answer_s = time.monotonic()
            return None  # first the head
        if self._deployed_generation != self._head.generation:
            return "must be deployed on the new head"
        now = time.monotonic()
        if now - self._last_probe_s >= PROBE_PERIOD_S:
            self._last_probe_s = now
            if answers(f"{self.url}/livez"):
                self._last_answer_s = now
        silent_s = now - self._last_answer_s
        return f"has not answered for {silent_s:.0f} s" if silent_s > SILENT_S else None


class ProviderPart(ChildPart):
    """One machine on offer: the real `provider-join`, with its own Ray node."""

    patience_s = 30.0

    def __init__(
        self, number: int, url: str, token: str, *, home: Path, threads: int, log: Path, environment: Mapping[str, str]
    ) -> None:
        """Prepare provider `number` (from 1) with one CPU slot."""
        self.machine_name = f"local-{number}"
        arguments = [
            "--url", url, "--name", self.machine_name, "--home", str(home), "--slots", "1", "--threads", str(threads),
            "--region", "local",
        ]  # fmt: skip
        super().__init__(
            f"provider-{number}", "provider_join", arguments, log=log,
            environment={**environment, "FABRIC_JOIN_TOKEN": token},  # not on the command line, which everybody can read
        )  # fmt: skip

    @property
    def pids(self) -> dict[str, list[int]]:
        """Its processes by name: the agent itself (`agent`), its `raylet`, and the rest."""
        found: dict[str, list[int]] = {}
        for member in family(self.marks()):
            is_agent = self._process is not None and member.pid == self._process.pid
            found.setdefault("agent" if is_agent else process_name(member.pid), []).append(member.pid)
        return found


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


def answers(url: str) -> bool:
    """Whether a GET succeeds within 5 s."""
    try:
        return httpx.get(url, timeout=5.0, trust_env=False).status_code == 200
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
