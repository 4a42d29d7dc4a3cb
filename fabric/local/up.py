"""A whole fabric on this machine: starts every part in the right order, keeps them running, ends them all.

`LocalFabric` is the same as an object, for the demo and the tests. Postgres is the only memory: Ray's store lives as long as one
run, so that the head can be restarted within it, and each run begins with an empty one.
"""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, TypeVar

from fabric.core.settings import default_home, load_settings
from fabric.gate.tunnels import interfaces
from fabric.local import addresses, orphans
from fabric.local.addresses import Addresses, choose_addresses
from fabric.local.assembly import Assembly
from fabric.local.bootstrap import Credentials, bootstrap, last_heartbeats
from fabric.local.control_parts import PostgresPart, RayHeadPart, ServePart
from fabric.local.control_socket import ControlSocket
from fabric.local.database import prepare_database
from fabric.local.deploy import APPLICATION, prepared_file
from fabric.local.gate_part import GatePart
from fabric.local.home import Home, HomeLock
from fabric.local.machine_part import ProviderPart
from fabric.local.parts import ChildPart, Part, PartFailed
from fabric.local.ports import Reservations, choose_ports
from fabric.local.rotation import ROTATE, Rotation, await_machines, nodes_of_machines, replace_head, wait_until_ready
from fabric.local.supervisor import Supervisor, Tell
from fabric.local.tls import TlsChoice, prepare_tls

MACHINES_TIMEOUT_S = 120.0
POLL_S = 0.05

Result = TypeVar("Result")


class LocalFabric:
    """A whole fabric on this machine; a context manager that leaves no process, socket or temp folder behind."""

    def __init__(
        self,
        *,
        home: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        providers: int = 2,
        trust_providers: bool = False,
        gate: bool | None = None,
        gate_host: str | None = None,
        tls: TlsChoice | None = None,
        name: str | None = None,
        allow_plaintext: bool = False,
        tell: Tell | None = None,
        application: str = APPLICATION,
    ) -> None:
        """Prepare; nothing is started before `start` (or `with`).

        Args:
            home: FABRIC_HOME; default as in the settings.
            host: Where the endpoint listens.
            port: 0 takes 8700 or the next free port.
            providers: Provider nodes joined on this machine.
            trust_providers: Needed beyond loopback without the gate.
            gate: Whether providers reach Ray through the gate only; None: as FABRIC_RAY_GATE says, else yes.
            gate_host: Where the gate listens for machines elsewhere, a tunnel's address; None: beside the endpoint.
            tls: The certificate; None: plain HTTP.
            name: Under which name others reach the endpoint; default: one that the certificate is for.
            allow_plaintext: Needed beyond loopback without a certificate, and for a gate beyond loopback that is in no tunnel.
            tell: Gets one line for each step, crash and return.
            application: Another Serve application; then there are neither users nor machines.

        Raises:
            Invalid: beyond loopback with neither gate nor trust in machines, without a certificate, or with a gate in no tunnel.
        """
        self.home = Home((home or default_home()).absolute())
        is_gated = load_settings(home=self.home.path / "none").ray.gate if gate is None else gate
        self.addresses: Addresses = choose_addresses(
            host, trust_providers=trust_providers, is_gated=is_gated, gate_host=gate_host
        )
        addresses.check_machine_count(providers, is_gated=is_gated)
        addresses.check_encryption(self.addresses, is_encrypted=tls is not None, allow_plaintext=allow_plaintext)
        addresses.check_machines_encryption(self.addresses, interfaces(), allow_plaintext=allow_plaintext)
        self._tls, self._name, self._allow_plaintext = tls, name, allow_plaintext
        self._port, self._provider_count, self._application = port, providers, application
        self._tell = tell or (lambda _: None)
        self._credentials: Credentials | None = None
        self._assembly: Assembly | None = None
        self._lock: HomeLock | None = None
        self._parts: list[Part] = []
        self._supervisor: Supervisor | None = None
        self._control: ControlSocket | None = None
        self._recording = threading.Lock()
        self._reservations = Reservations()
        self._app_url = ""

    # ── what others use ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def assembly(self) -> Assembly:
        """The facts of this run: ports, temp folder, settings."""
        assert self._assembly is not None, "not started"
        return self._assembly

    @property
    def credentials(self) -> Credentials:
        """What this fabric hands out."""
        assert self._credentials is not None, "not started"
        return self._credentials

    @property
    def url(self) -> str:
        """The endpoint's address."""
        return self.assembly.url

    @property
    def api_key(self) -> str:
        """A requestor's key, with play money in its wallet."""
        return self.credentials.api_key

    @property
    def owner_api_key(self) -> str:
        """The key of the local machines' owner."""
        return self.credentials.owner_api_key

    @property
    def join_command(self) -> str:
        """What the owner of one more machine types."""
        is_clear = not self.addresses.is_loopback and (self._tls is None or addresses.machines_way(self.addresses, interfaces()))
        trust = "--allow-plaintext " if is_clear else ""
        if (tls := self.assembly.tls) is not None and tls.certificate.is_self_signed:
            trust += f"--fingerprint {tls.certificate.fingerprint} "
        return f"provider-join --url {self.url} {trust}--token {self.credentials.join_token}"

    @property
    def database_url(self) -> str:
        """The application's URL of the database."""
        return self._app_url

    @property
    def providers(self) -> list[ProviderPart]:
        """The local machines on offer, counted from 0."""
        return [part for part in self._parts if isinstance(part, ProviderPart)]

    def part(self, name: str) -> Part:
        """The part of that name: postgres, objects, ray-head, serve, provider-1 …"""
        return next(part for part in self._parts if part.name == name)

    def provider_pids(self) -> list[dict[str, list[int]]]:
        """For each local machine its processes by name (`agent`, `raylet`, …)."""
        return [part.pids for part in self.providers]

    def kill_provider(self, index: int) -> None:
        """Kill the raylet of one local machine, as a power failure would; its agent joins again by itself."""
        for pid in self.providers[index].pids.get("raylet", []):
            os.kill(pid, signal.SIGKILL)

    def rotate_token(self, tell: Tell) -> dict[str, Any]:
        """Give the cluster another token: a new head, and every machine back on it by itself; what it took, in seconds.

        Raises:
            PartFailed: a part did not come back in time; it is started again and again, with the new token.
        """
        head, serve = self.part("ray-head"), self.part("serve")
        assert isinstance(head, RayHeadPart)
        assert isinstance(serve, ServePart)
        assert self._supervisor is not None, "not started"
        before = nodes_of_machines(self.home)
        with self._supervisor.hold(head, serve):
            begun_s, endpoint_back_s = replace_head(self.assembly, head, serve, self._ready_path, tell)
        self._record()
        back, back_s = await_machines(self.home, before, begun_s, lambda: serve.is_ending)
        return asdict(Rotation(endpoint_back_s, len(before), back, back_s))

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything; returns when the endpoint and the local machines are ready.

        Raises:
            Conflict: a fabric is already running on this home.
            PartFailed: a part did not start; everything has been ended again.
            BootstrapFailed: the endpoint answers, but not as it should; everything has been ended again.
        """
        self.home.prepare()
        lock = HomeLock(self.home)
        lock.__enter__()
        self._lock = lock
        try:
            self._begin()
            self._start_control()
            if self._application == APPLICATION:
                self._start_machines()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything in order: machines first, so that they can finish and leave; the database last."""
        if self._supervisor is not None:
            self._supervisor.stop()
        if self._control is not None:
            for part in self._parts:
                if isinstance(part, RayHeadPart | ServePart):
                    part.give_up()  # an act that restarts them ends soon
            self._control.close()
            self._control = None
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(lambda part: part.stop(), self.providers))
        order = (ServePart, RayHeadPart, ChildPart, PostgresPart)
        rest = [part for part in self._parts if not isinstance(part, ProviderPart)]
        for part in sorted(rest, key=lambda part: next(n for n, kind in enumerate(order) if isinstance(part, kind))):
            part.stop()
        if self._supervisor is not None:
            self._supervisor.join()
        self._clean_up()

    def _clean_up(self) -> None:
        if self._lock is None:
            return
        if self._assembly is not None:
            keep_ray_logs(self._assembly)
            orphans.end_orphans(self.home)  # of this very run: what a part let go of; the temp folder as well
            shutil.rmtree(self.home.gcs, ignore_errors=True)
        for name in ("fabric", "ray-head", "deploy", "ray-node", "gate"):
            self.home.drop_state(name)
        prepared_file(self.home.run / "deploy.json").unlink(missing_ok=True)
        self.home.environment_file.unlink(missing_ok=True)
        self._parts = []
        self._reservations.release()
        self._lock.__exit__()
        self._lock = None

    # ── start, step by step ──────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        for name, count in orphans.end_orphans(self.home).items():
            self._tell(f"ended {count} processes of {name} that an earlier, killed run had left")
        self.home.environment_file.unlink(missing_ok=True)  # settings come from the environment; the file is our output
        settings = load_settings(home=self.home.path)
        addresses.check_store_encryption(settings.storage, allow_plaintext=self._allow_plaintext)
        host, advertised = self.addresses.host, self.addresses.advertised
        tls = prepare_tls(self._tls, self.home, host=host, advertised=advertised, name=self._name) if self._tls else None
        shutil.rmtree(self.home.gcs, ignore_errors=True)
        self.home.gcs.mkdir(mode=0o700)
        ports = choose_ports(
            self.home.read_state("ports"), self._reservations, host=host, http=self._port or settings.port,
            gate=settings.ray.gate_port,
        )  # fmt: skip
        self.home.write_state("ports", ports.as_dict())
        self._assembly = Assembly.prepare(self.home, self.addresses, ports, settings, tls)
        self._record()
        self._assembly.write_environment()
        self.home.write_state(
            "fabric", {"pid": os.getpid(), "url": self.url, "certificate": str(tls.public_file) if tls else None}
        )

    def _start_control(self) -> None:
        head = self.assembly.ray_head()
        serve = self.assembly.serve(head, self._application, lambda: self._know(head))
        steps = [
            self._start_database_and_gate,
            lambda: self._start_head(head, serve),
            lambda: self._start_part("opening the front (HAProxy)", self.assembly.front()),
        ]
        if (objects := self.assembly.object_server()) is not None:
            steps.append(lambda: self._start_part("starting the object server", objects))
        self._parts.append(serve)
        serve.prepare()
        self._together(steps)
        self._record()
        self._timed("deploying Gateway, Dispatcher and Clerk on Ray Serve behind HAProxy", serve.start)
        wait_until_ready(serve, self._ready_path)
        for part in self._parts:
            if isinstance(part, GatePart):
                self._timed("waiting for the gate", part.await_ready)
        self._supervisor = Supervisor(self._tell, record=self._record, logs=self.home.logs)
        self._supervisor.watch(list(self._parts))
        self._control = ControlSocket(self.home, {ROTATE: self.rotate_token})

    def _together(self, steps: list[Callable[[], None]]) -> None:
        with ThreadPoolExecutor(max_workers=len(steps)) as pool:
            running = [pool.submit(step) for step in steps]
            try:
                for step in running:
                    step.result()
            except BaseException:  # Ctrl-C too: the others must not be waited for to the end
                for part in list(self._parts):
                    if isinstance(part, ChildPart):
                        part.give_up()
                raise

    def _start_database_and_gate(self) -> None:
        self._start_database()
        if (gate := self.assembly.gate()) is not None:  # it reads its grants there
            self.assembly.write_environment(app_url=self._app_url)
            self._parts.append(gate)
            gate.spawn()  # nobody needs it before machines join

    def _start_database(self) -> None:
        postgres = self.assembly.postgres()
        if postgres is not None:
            self.home.let_database_pass()
            self._start_part("starting PostgreSQL", postgres)
            owner_url = postgres.url
        else:
            self._tell("using the PostgreSQL that FABRIC_DATABASE_URL names")
            assert self.assembly.settings.database.url is not None
            owner_url = self.assembly.settings.database.url.get_secret_value()
        self._app_url = self._timed("migrating the database", lambda: prepare_database(owner_url, self.assembly.settings))

    def _start_head(self, head: RayHeadPart, serve: ServePart) -> None:
        self._start_part("starting the Ray head (token, RocksDB store)", head)
        serve.begin()

    def _start_part(self, what: str, part: Part) -> None:
        self._parts.append(part)
        self._timed(what, part.start)
        self._record()

    def _know(self, head: RayHeadPart) -> None:
        """Tell the control processes what was not known before: the database and the node they are pinned to."""
        self.assembly.write_environment(app_url=self._app_url, control_node_id=head.node_id)

    @property
    def _ready_path(self) -> str:
        return "readyz" if self._application == APPLICATION else "livez"

    def _start_machines(self) -> None:
        local_url = self.assembly.local_url
        self._credentials = self._timed(
            "making users, API key and join token", lambda: bootstrap(local_url, self.home, self._app_url)
        )
        if not self._provider_count:
            return
        threads = max(1, (os.cpu_count() or 1) // self._provider_count)
        parts = [
            self.assembly.provider(number, self._credentials.join_token, threads)
            for number in range(1, self._provider_count + 1)
        ]  # fmt: skip
        before = last_heartbeats(local_url, self.owner_api_key)  # of an earlier run
        for part in parts:
            self._parts.append(part)
            part.start()
        self._record()
        assert self._supervisor is not None
        self._supervisor.watch(parts)
        self._timed(f"joining {len(parts)} provider nodes", lambda: self._wait_for_machines(local_url, parts, before))

    def _wait_for_machines(self, url: str, parts: list[ProviderPart], before: dict[str, str]) -> None:
        deadline = time.monotonic() + MACHINES_TIMEOUT_S
        names = {part.machine_name for part in parts}
        while not names <= {name for name, _ in last_heartbeats(url, self.owner_api_key).items() - before.items()}:
            if time.monotonic() > deadline:
                logs = ", ".join(str(part.log) for part in parts)
                raise PartFailed(f"the provider nodes were not ready within {MACHINES_TIMEOUT_S:.0f} s; see {logs}")
            time.sleep(POLL_S)

    # ── the small things ─────────────────────────────────────────────────────────────────────────────────────────────

    def _record(self) -> None:
        with self._recording:
            marks = {part.name: part.marks() for part in list(self._parts)}
            orphans.record(self.home, run_id=self.assembly.run_id, temp_dirs=self.assembly.temp_dirs, parts=marks)

    def _timed(self, what: str, act: Callable[[], Result]) -> Result:
        started_s = time.monotonic()
        result = act()
        self._tell(f"{what} … {time.monotonic() - started_s:.1f} s")
        return result


def keep_ray_logs(assembly: Assembly) -> None:
    """Copy the logs of this run's Ray session from the temp folder to logs/ray, in place of the last run's."""
    kept = assembly.home.logs / "ray"
    shutil.rmtree(kept, ignore_errors=True)
    for source in assembly.temp_dir.glob("r/session_2*/logs"):
        shutil.copytree(source, kept, symlinks=True, dirs_exist_ok=True, ignore_dangling_symlinks=True)
