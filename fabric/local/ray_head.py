"""The Ray head of one fabric: started through Ray's own Node class in a process of ours, restartable over the same store.

`python -m fabric.local.ray_head <config.json>` starts it, writes its node id to the file that the configuration names, and stays.
`ray start` is not used: it scans the machine's command lines and refuses to restart a head whose providers still run, and
`ray stop` would end everybody's clusters. Every process started here dies with this one (the kernel sees to it), so nothing
of the head outlives a kill -9.
"""

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
CONTROL_CPUS = 16
"""Logical: room for Serve's actors, which wait more than they compute. Providers' slots are resources of their own."""
OBJECT_STORE_BYTES = 128 * MIB
"""Large payloads go by signed URL, so the plasma store stays nearly empty."""
MESSAGE_BYTES_MAX = 64 * MIB
"""Of any message that a control process accepts; 512 MiB by default, of which Ray would make three copies."""
CHECK_PERIOD_S = 0.5

SYSTEM_CONFIG: dict[str, Any] = {
    "max_direct_call_object_size": 8 * MIB,  # orders and receipts travel inside the RPC, never through plasma
    "task_rpc_inlined_bytes_limit": 64 * MIB,
    "gcs_rpc_server_reconnect_timeout_s": 600,  # providers outlive a restart of the head
    "health_check_initial_delay_ms": 5000,
    "health_check_period_ms": 2000,
    "health_check_timeout_ms": 4000,
    "health_check_failure_threshold": 4,  # sharper is dangerous on a WAN: a node falsely declared dead exits
    "prestart_worker_first_driver": False,  # it would start one idle worker for each logical CPU
    "enable_metrics_collection": False,  # its port answers anybody without the token; Fabric has /metrics of its own
}


@dataclass(frozen=True)
class HeadConfig:
    """What the head needs to know; no secret among it."""

    temp_dir: str
    node_ip: str
    gcs_port: int
    node_file: str
    """Gets {"node_id", "session_dir"} when the head is up."""

    def write(self, path: Path) -> None:
        """Store for the child process."""
        path.write_text(json.dumps(asdict(self)))


def head_environment(*, token_file: Path, gcs: Path) -> dict[str, str]:
    """The environment variables that Ray's own processes, and every worker of the control node, need."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file),
        "RAY_gcs_storage": "rocksdb",
        "RAY_gcs_storage_path": str(gcs),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # 15 by default, which would starve the control plane on a busy machine
        "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
        "RAY_ROTATION_MAX_BYTES": str(16 * MIB),
        "RAY_ROTATION_BACKUP_COUNT": "2",
        "RAY_DEDUP_LOGS": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_max_grpc_message_size": str(MESSAGE_BYTES_MAX),
    }


def start_head(config: HeadConfig) -> Any:
    """Start GCS, raylet and its agents; returns Ray's Node."""
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    class Head(Node):  # type: ignore[misc,unused-ignore]
        """A head without dashboard, job API, autoscaler monitor and log monitor."""

        def start_api_server(self, **_: Any) -> None:
            """Not here: with the dashboard off this process would only report usage statistics."""

    parameters = RayParams(
        gcs_server_port=config.gcs_port,
        node_ip_address=config.node_ip,
        node_name="fabric-control",
        temp_dir=config.temp_dir,
        num_cpus=CONTROL_CPUS,
        num_gpus=0,
        object_store_memory=OBJECT_STORE_BYTES,
        labels={"fabric.role": "control"},
        include_dashboard=False,
        include_log_monitor=False,
        no_monitor=True,
        dashboard_agent_listen_port=0,
        _system_config=dict(SYSTEM_CONFIG),
    )
    return Head(parameters, head=True, shutdown_at_exit=False, spawn_reaper=True)


def main(config_path: str) -> int:
    """Run the head until a signal ends it (0) or a part of it dies (1)."""
    config = HeadConfig(**json.loads(Path(config_path).read_text()))
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: stopping.append(received))
    node_file = Path(config.node_file)
    node_file.unlink(missing_ok=True)
    node = start_head(config)
    for number in (signal.SIGTERM, signal.SIGINT):  # Ray installed its own on the way
        signal.signal(number, lambda received, _: stopping.append(received))
    temporary = node_file.with_suffix(".new")
    temporary.write_text(json.dumps({"node_id": node.node_id, "session_dir": node.get_session_dir_path()}))
    temporary.replace(node_file)
    parent = os.getppid()
    while not stopping:
        dead = [f"{kind} (status {process.returncode})" for kind, process in node.dead_processes()]
        if dead:
            print(f"Ray's {', '.join(dead)} ended", file=sys.stderr, flush=True)
            node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
            return 1
        if os.getppid() != parent:
            break
        time.sleep(CHECK_PERIOD_S)
    node.kill_all_processes(check_alive=False, allow_graceful=True, wait=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
