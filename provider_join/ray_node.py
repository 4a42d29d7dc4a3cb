"""Starts and stops this machine's Ray node, in a child process that dies with the agent.

The child (this module run with -m) owns the raylet. It is a session of its own, so that Ctrl-C reaches the agent only; it ends
the node when the agent dies (parent-death signal, and its standard input closing); it adopts whatever the node leaves behind and
ends that too. Its environment is made from a short list: no setting or secret of the owner gets through, and the cluster's token
only as the name of a file. Where the fabric has a gate, the child enters it first and takes its node's address from it.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import psutil

from provider_join.config import Credential, Home
from provider_join.gate import NotLetIn, address_for, enter
from provider_join.install import is_loopback
from provider_join.trust import trusted_file

OBJECT_STORE_BYTES = 100_000_000
TEMP_PREFIX = "fp-"  # short: socket paths may have 107 bytes
STOP_TIMEOUT_S = 10.0
KILL_TIMEOUT_S = 5.0
POLL_S = 0.2
CLUSTER_ONLY_WHEN_TOLD = {"win32", "darwin"}
"""Where Ray joins no cluster unless a variable says so; it calls that untested, see docs/providers-platforms.md."""
PORT_OPTIONS = {
    "node_manager": "node_manager_port", "object_manager": "object_manager_port",
    "runtime_env_agent": "runtime_env_agent_port", "dashboard_agent_grpc": "metrics_agent_port",
    "dashboard_agent_listen": "dashboard_agent_listen_port", "metrics_export": "metrics_export_port",
    "worker_min": "min_worker_port", "worker_max": "max_worker_port",
}  # fmt: skip
PASSED_ON = {
    "PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR", "CUDA_HOME", "CUDA_PATH",
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",
    "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE",
    "FABRIC_SANDBOX",  # else slots would run models otherwise than their offers say
}  # fmt: skip

Message = tuple[str, "RayNode | None", Any]
"""What comes into the agent's inbox: (ready, note, failed, ended or signal; the node; a detail)."""


def clean_environment(home: Home, scratch: Path, session_env: dict[str, str], system: str = sys.platform) -> dict[str, str]:
    """The whole environment of everything that runs strangers' models on a `system`; of the session only RAY_… names count."""
    kept = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("LC_")}
    given = {name: value for name, value in session_env.items() if name.startswith("RAY_")}
    fixed = {
        "HOME": str(home.ray_home), "TMPDIR": str(scratch), "TMP": str(scratch), "TEMP": str(scratch),
        "RAY_USAGE_STATS_ENABLED": "0", "ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # slots are our own resources, Ray must not hide the GPU from them
    }  # fmt: skip
    if system in CLUSTER_ONLY_WHEN_TOLD:
        fixed["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "1"  # else Ray takes loopback for this machine's address
    if system == "win32":
        fixed |= dict.fromkeys(("USERPROFILE", "APPDATA", "LOCALAPPDATA"), str(home.ray_home))  # what HOME is elsewhere
    trusted = trusted_file(home)
    return {**kept, **given, **fixed, **({"SSL_CERT_FILE": str(trusted)} if trusted.exists() else {})}


class RayNode:
    """This machine's Ray node: a child process, and what it said."""

    def __init__(self, url: str, me: Credential, session: dict[str, Any], home: Home, inbox: "SimpleQueue[Message]") -> None:
        """Start it; `ready`, `failed` or `ended` come into `inbox`. Call on the main thread: the child dies with its thread."""
        self._home = home
        self.node_id: str | None = None
        self.temp_dir = Path(tempfile.mkdtemp(prefix=TEMP_PREFIX, dir="/tmp" if os.name == "posix" else None))  # noqa: S108
        ray_temp = self.temp_dir / "r"  # Ray opens its folder to everybody; the one around it stays closed
        scratch = self.temp_dir / "tmp"
        scratch.mkdir()
        environment = clean_environment(home, scratch, session["ray"].get("env") or {})
        if token := session["ray"].get("token"):
            home.write_private(self.temp_dir / "token", token)
            environment["RAY_AUTH_TOKEN_PATH"] = str(self.temp_dir / "token")
        self._log = (home.logs / "ray_node.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "provider_join.ray_node"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment, cwd=home.run,
            start_new_session=True,
        )  # fmt: skip
        self._tree: dict[int, float] = {}
        self.remember()
        order = {
            **{name: session.get(name) for name in ("labels", "resources", "node_ip", "ports")}, "temp_dir": str(ray_temp),
            "address": address_for(url, session["ray"]), "gate_key": session["ray"].get("gate_key"), "provider_id": me.provider_id,
        }  # fmt: skip
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def _listen(self, inbox: "SimpleQueue[Message]") -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                inbox.put((said["event"], self, said.get("detail")))
        inbox.put(("ended", self, None))

    def remember(self) -> None:
        """Write down which processes belong to the node, so that the next start can end them should this agent be killed."""
        with contextlib.suppress(psutil.Error):
            child = psutil.Process(self.process.pid)
            for process in [child, *child.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    self._tree[process.pid] = process.create_time()
        alive = {pid: created for pid, created in self._tree.items() if _find(pid, created)}
        self._tree = alive
        record = {"temp_dir": str(self.temp_dir), "processes": sorted(alive.items())}
        self._home.write_private(self._home.run / "node.json", json.dumps(record))

    def stop(self) -> None:
        """End the node and everything it started, orderly if it can, and remove its temp folder."""
        self.remember()
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self._log):
            with contextlib.suppress(OSError):
                _close(pipe)
        end_processes(self._tree)
        self._keep_logs()
        shutil.rmtree(self.temp_dir, ignore_errors=True)
        (self._home.run / "node.json").unlink(missing_ok=True)

    def _keep_logs(self) -> None:
        last = self._home.logs / "last-node"
        shutil.rmtree(last, ignore_errors=True)
        for source in self.temp_dir.glob("r/session_2*/logs"):
            with contextlib.suppress(OSError, shutil.Error):
                shutil.copytree(source, last, symlinks=True, dirs_exist_ok=True)


def _close(pipe: IO[str] | None) -> None:
    if pipe is not None:
        pipe.close()


def end_orphans(home: Home) -> int:
    """End what a killed agent left behind (same pid *and* same start time) and remove its temp folder; how many processes."""
    record_path = home.run / "node.json"
    try:
        record = json.loads(record_path.read_text())
        tree = {int(pid): float(created) for pid, created in record["processes"]}
        temp_dir = Path(record["temp_dir"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    ended = end_processes(tree)
    if temp_dir.name.startswith(TEMP_PREFIX) and temp_dir.is_dir() and not temp_dir.is_symlink():
        shutil.rmtree(temp_dir, ignore_errors=True)
    record_path.unlink(missing_ok=True)
    return ended


def end_processes(tree: dict[int, float]) -> int:
    """End exactly these processes (pid and start time): ask, wait, insist; how many there were."""
    found = [process for pid, created in tree.items() if (process := _find(pid, created))]
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(found, timeout=KILL_TIMEOUT_S)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=KILL_TIMEOUT_S)
    return len(found)


def _find(pid: int, created: float) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if abs(process.create_time() - created) < 0.05 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


# ── the child ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _die_with_parent() -> None:
    """Have the kernel end us when the agent dies, and make us the parent of whatever a dead raylet leaves behind."""
    if not sys.platform.startswith("linux"):
        return
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    set_parent_death_signal, set_child_subreaper = 1, 36
    prctl(set_parent_death_signal, signal.SIGTERM, 0, 0, 0)
    prctl(set_child_subreaper, 1, 0, 0, 0)


def _end_when_closed(stdin: IO[str]) -> None:
    stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _free(ports: dict[str, int]) -> bool:
    """Whether nobody here listens on any of these ports."""
    for name, port in ports.items():
        if not name.startswith("worker"):
            with socket.socket() as listener:
                try:
                    listener.bind(("", port))
                except OSError:
                    return False
    return True


def _enter(order: dict[str, Any]) -> None:
    """Let the gate know this machine, and take the address by which it does. Before Ray is imported: it reads the environment."""
    if order["gate_key"] is None:
        return
    order["node_ip"] = enter(order["address"], order["provider_id"], order["gate_key"])
    if is_loopback(order["node_ip"]):
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's switch for "this node is loopback only"


def undetected() -> dict[str, float]:
    """Have Ray look for no accelerator by itself: what it found would be registered beside the grant, and the gate refuse the node."""
    from ray._private.accelerators import get_all_accelerator_resource_names

    return dict.fromkeys(get_all_accelerator_resource_names() - {"GPU"}, 0)  # of GPUs `num_gpus` says the same


def _start(order: dict[str, Any], tell: Callable[[str, str], None]) -> Any:
    from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    granted = order["ports"] or {}
    if not _free(granted):
        tell("note", "the ports that the fabric granted are taken; using free ones, which a firewall may not let through")
        granted = {}
    ports = dict.fromkeys(PORT_OPTIONS, 0) | {"worker_min": None, "worker_max": None} | granted
    ensure_token_if_auth_enabled(None, create_token_if_missing=False)
    resources = {**undetected(), **order["resources"]}
    parameters = RayParams(
        gcs_address=order["address"], node_ip_address=order["node_ip"], num_cpus=0, num_gpus=0, resources=resources,
        labels=order["labels"], object_store_memory=OBJECT_STORE_BYTES, temp_dir=order["temp_dir"], include_log_monitor=False,
        **{PORT_OPTIONS[name]: port for name, port in ports.items() if name in PORT_OPTIONS},
    )  # fmt: skip
    if parameters.node_ip_address is None:
        from ray._private.services import get_node_ip_address

        parameters.node_ip_address = get_node_ip_address(order["address"])
    return Node(parameters, head=False, shutdown_at_exit=False, spawn_reaper=True)


def _end_descendants() -> None:
    """End what is left of the node: everything it started is our descendant, because we adopt orphans."""
    tree: dict[int, float] = {}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            tree[process.pid] = process.create_time()
    end_processes(tree)


def _main() -> None:
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # nothing that Ray prints may get into the channel

    def tell(event: str, detail: Any = None) -> None:
        with contextlib.suppress(OSError):
            channel.write(json.dumps({"event": event, "detail": detail}) + "\n")

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_when_closed, args=(sys.stdin,), daemon=True).start()
    node = None
    try:
        _enter(order)
        node = _start(order, tell)
        signal.signal(signal.SIGTERM, end)  # importing Ray may have taken it
        tell("ready", node.node_id)
        while not (dead := node.dead_processes()):
            time.sleep(POLL_S)
        tell("failed", ", ".join(f"{kind} ended with {process.returncode}" for kind, process in dead))
    except SystemExit:
        pass
    except NotLetIn as error:
        tell("failed", str(error))
    except Exception as error:
        tell("failed", f"{type(error).__name__}: {error}"[:2000])
    if node is not None:
        node.kill_all_processes(check_alive=False, allow_graceful=True)
    _end_descendants()
    os._exit(0)  # not by the interpreter's own way: a thread still reads standard input


if __name__ == "__main__":
    _main()
