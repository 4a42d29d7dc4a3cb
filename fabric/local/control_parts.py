"""The parts of the control plane: PostgreSQL, object server, Ray head, and the Serve application on it."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fabric.local.deploy import HEAD_RUNS, SETTINGS_COMPLETE, DeployConfig, prepared_file
from fabric.local.parts import POLL_S, ChildPart, Part, PartFailed, answers, process_title, reachable, tail
from fabric.local.postgres import PostgresServer, start_postgres
from fabric.local.processes import Mark, family, mark
from fabric.local.ray_head import HeadConfig

DEPLOY_TIMEOUT_S = 240.0
SILENT_S = 60.0  # Serve replaces a dead replica or proxy by itself within seconds; only then is it deployed again
PROBE_PERIOD_S = 2.0
WATCHED_ACTORS = ("ray::Serve", "ray::HAProxyManager", "ray::ProxyActor")


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
        self._actors = {}  # those of the head before ended with it
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
        self._prepared_file = prepared_file(config_file)
        self.url = f"http://{reachable(config.host)}:{config.port}"
        self._told_generation = self._deployed_generation = 0
        self._last_answer_s = self._last_probe_s = 0.0

    def prepare(self) -> None:
        """Start the child early: its imports take seconds, which pass while the head starts."""
        self._told_generation = 0
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self.spawn(stdin=subprocess.PIPE)

    def is_prepared(self) -> bool:
        """Whether the child waits for its head."""
        try:
            return self._process is not None and self._prepared_file.read_text() == str(self._process.pid)
        except FileNotFoundError:
            return False

    def begin(self) -> None:
        """Let the child start Serve on the head, which runs by now; does not wait."""
        self._told_generation = self._head.generation
        self._say(HEAD_RUNS)

    def _say(self, word: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(f"{word}\n".encode())
            self._process.stdin.flush()
        except OSError:
            raise PartFailed(f"serve could not be deployed:\n{tail(self.log)}") from None

    def start(self) -> None:
        """Deploy on the present head; returns when the endpoint answers."""
        if self._process is None or self._process.poll() is not None:
            self.prepare()
        if self._told_generation != self._head.generation:
            self.begin()
        process, generation = self._process, self._told_generation
        assert process is not None and process.stdin is not None
        self._before_deploy()
        self._say(SETTINGS_COMPLETE)
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
