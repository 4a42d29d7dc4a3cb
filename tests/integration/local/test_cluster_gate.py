"""The gate that cluster.yaml starts on the head, by its own commands, on a machine that has the tunnel it listens in."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from fabric.gate.config import GateConfig
from fabric.gate.control import ask
from tests.fixtures.trivial_fabric import eventually

ROOT = Path(__file__).parents[3]
HEAD = ROOT / "cluster.yaml"
TUNNEL = """
set -e
mount -t sysfs sysfs /sys
ip link set lo up
ip tuntap add mode tun name tunnel0
ip address add 10.88.0.1/24 dev tunnel0
ip link set tunnel0 up
"""
KNOCK = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).close()"


@pytest.fixture
def home() -> Iterator[Path]:
    """The home of the user `fabric` on the head, as `setup_commands` leave it."""
    folder = Path(tempfile.mkdtemp(prefix="fb-", dir="/tmp"))
    for name in ("run", "logs", "gate"):
        (folder / ".fabric" / name).mkdir(parents=True)
    python = folder / ".fabric/venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (folder / ".fabric/token").write_text("not the token of any cluster")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_the_heads_gate_starts_in_the_tunnel_and_knows_nobody_yet(home: Path, app_url: str):
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("needs root and TUN devices")
    commands = [one for one in yaml.safe_load(HEAD.read_text())["head_start_ray_commands"] if "gate.json" in one]
    assert ["printf" in commands[0], "fabric.gate.run" in commands[-1], len(commands)] == [True, True, 2]
    # Given what the head of cluster.yaml says it needs
    environment = home / ".fabric/run/fabric.env"
    environment.write_text(f"FABRIC_DATABASE_APP_URL={app_url}\n")
    environment.chmod(0o600)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FABRIC_", "RAY_"))}
    # When its commands run
    machine = subprocess.Popen(
        ["unshare", "--net", "--mount", "sh", "-c", "\n".join([TUNNEL, *commands, "exec cat"])], stdin=subprocess.PIPE, cwd=ROOT,
        env={**kept, "HOME": str(home), "RAY_HEAD_IP": "192.0.2.10", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        log = home / ".fabric/logs/gate.log"
        eventually(lambda: log.exists() and "ready" in log.read_text(), "the gate did not start")
        # Then it answers, at its place in the tunnel too
        config = GateConfig.read(home / ".fabric/run/gate.json")
        assert ask(Path(config.control_socket), "status")["peers"] == {}
        knock = [
            "nsenter",
            "--target",
            str(machine.pid),
            "--net",
            "--",
            sys.executable,
            "-c",
            KNOCK,
            str(config.host),
            str(config.port),
        ]
        assert subprocess.run(knock, timeout=20, check=False).returncode == 0
    finally:
        gate = psutil.Process(int((home / ".fabric/gate.pid").read_text()))
        gate.send_signal(signal.SIGTERM)
        psutil.wait_procs([gate], timeout=20)
        assert machine.stdin is not None
        machine.stdin.close()
        machine.wait(10)
