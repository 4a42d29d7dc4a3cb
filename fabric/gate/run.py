"""The gate's process: `python -m fabric.gate.run <config.json>` prints `ready` when it listens, and ends with its HAProxy.

First it learns from Postgres who may speak, then it listens: a gate that knows nobody would turn living nodes away.
"""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from fabric.core.errors import DatabaseUnavailable
from fabric.core.settings import load_settings
from fabric.core.telemetry import configure_logging, logger
from fabric.db.engine import Database
from fabric.gate import control, proxy
from fabric.gate.calls import Calls
from fabric.gate.config import GateConfig
from fabric.gate.gate import Gate
from fabric.gate.gcs import Gcs, TokenFile
from fabric.gate.haproxy import CHECK_SOCKET, Edge
from fabric.gate.outward import Outward
from fabric.gate.refusals import Refusals
from fabric.gate.tunnels import interfaces, plain_way
from fabric.gate.watch import Watch

DATABASE_WAIT_S = 0.5
POOL_SIZE = 3
log = logger(__name__)


async def run(config: GateConfig, database: Database) -> int:
    """Keep the gate until a signal (0), or until its HAProxy ends (1)."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    refusals, calls = Refusals(), Calls()
    token = TokenFile(Path(config.token_file))
    gcs = Gcs(config.gcs_address, token.value)
    gate: Gate

    def refused_at_the_edge(peer: str, method: str, reason: str) -> None:
        caller = gate.caller(peer)
        who = None if caller is None else str(caller.grant.provider_id)
        refusals.refuse(method, reason, "refused at the edge", peer=peer, provider=who)

    edge = Edge(config, refused_at_the_edge)
    gate = Gate(config, database, gcs, edge, calls)
    watch = Watch(gate, database.url)
    if not await _learn(gate, stopping):
        return 0
    async with contextlib.AsyncExitStack() as ends:
        ends.push_async_callback(gcs.close)
        ends.push_async_callback(await proxy.serve(proxy.Check(gate, refusals, token.value), f"unix:{CHECK_SOCKET}"))
        ends.push_async_callback(edge.stop)
        await edge.start()
        if config.outward_port is not None:
            ends.push_async_callback(await Outward(gate, refusals, Path()).serve(config.outward_port))
        server = await control.serve(Path(config.control_socket), _answers(gate, edge, refusals, watch))
        ends.callback(server.close)
        print("ready", flush=True)
        return await _until_something_ends(edge, watch, stopping)


async def _learn(gate: Gate, stopping: asyncio.Event) -> bool:
    """Wait until Postgres said who may speak; False when a signal came first."""
    is_said = False
    while not stopping.is_set():
        try:
            await gate.refresh()
        except DatabaseUnavailable:
            if not is_said:
                log.warning("gate_waits_for_database")
            is_said = True
            await asyncio.sleep(DATABASE_WAIT_S)
        else:
            return True
    return False


async def _until_something_ends(edge: Edge, watch: Watch, stopping: asyncio.Event) -> int:
    told = asyncio.ensure_future(stopping.wait())
    lost = asyncio.ensure_future(edge.wait())
    watching = asyncio.ensure_future(watch.run())
    try:
        await asyncio.wait({told, lost, watching}, return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            log.error("gate_haproxy_ended", status=lost.result())
        elif watching.done():
            watching.result()  # it never returns, so it raises
        return 0 if told.done() else 1
    finally:
        for task in (told, lost, watching):
            task.cancel()


def _answers(gate: Gate, edge: Edge, refusals: Refusals, watch: Watch) -> control.Answers:
    async def status() -> dict[str, Any]:
        facts = {"pid": os.getpid(), "database": "away" if watch.database_is_away else "here"}
        return {
            **facts,
            **gate.status(),
            "connections_rejected": await _rejected(edge),
            "refused_total": refusals.refused.total(),
        }

    async def refused() -> dict[str, Any]:
        return {**refusals.as_json(), "connections_rejected": await _rejected(edge)}

    async def metrics() -> dict[str, Any]:
        under_way = gate.calls.count()
        gauges = {
            "fabric_gate_machines": len(gate.grants.by_peer),
            "fabric_gate_calls_under_way": under_way.total(),
            "fabric_gate_connections_rejected": await _rejected(edge),
        }
        return {"text": refusals.as_prometheus(gauges)}

    return {"status": status, "refusals": refused, "metrics": metrics}


async def _rejected(edge: Edge) -> int:
    try:
        return await edge.rejected_connections()
    except (OSError, TimeoutError, IndexError, ValueError):
        return -1  # HAProxy is ending


def main(config_path: str) -> int:
    """Run one gate."""
    config = GateConfig.read(Path(config_path).absolute())
    settings = load_settings()
    configure_logging(settings.log_level)
    if settings.database.app_url is None:
        print("The gate needs FABRIC_DATABASE_APP_URL, or FABRIC_HOME with its run/fabric.env.", file=sys.stderr)
        return 2
    way = plain_way(config.host, interfaces()) if config.host and not config.allow_plaintext else None
    if way is not None:
        print(f"The gate would listen at {way}, and nothing that passes it is encrypted by it. Give it a tunnel's address as `host`, "
              "or say `allow_plaintext` in its configuration.", file=sys.stderr)  # fmt: skip
        return 2
    folder = Path(config.folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)  # whoever reached its sockets could be any machine
    os.chdir(folder)  # its sockets are named relatively: a socket's path is short
    return asyncio.run(_run(config, settings.database.app_url.get_secret_value()))


async def _run(config: GateConfig, url: str) -> int:
    database = Database(url, pool_size=POOL_SIZE)
    try:
        return await run(config, database)
    finally:
        await database.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
