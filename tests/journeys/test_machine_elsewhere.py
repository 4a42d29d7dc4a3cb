"""A stranger's machine joins from another network: it reaches front and gate and nothing else, works, and is banned."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from benchmarks.trivial import upload_trivial
from fabric.client import Client
from fabric.core.settings import load_settings
from fabric.gate.control import ask
from fabric.local.doctor import boundary, exposure
from fabric.local.rotation import gate_socket
from fabric.local.up import LocalFabric
from provider_join.config import EXIT_REFUSED, Home
from provider_join.ray_node import end_orphans
from tests.fixtures.elsewhere import HOST, MACHINE, Elsewhere
from tests.fixtures.fabric import machines_online, tell
from tests.fixtures.trivial_fabric import eventually

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]
FABRIC = [sys.executable, "-c", "from fabric.cli import main; main()"]


@pytest.fixture
def open_fabric(elsewhere: Elsewhere) -> Iterator[LocalFabric]:
    """A fabric that other machines reach, with none of its own."""
    home = Path(tempfile.mkdtemp(prefix="fb-home-"))
    home.chmod(0o711)
    try:
        with LocalFabric(home=home, host=HOST, providers=0, allow_plaintext=True, tell=tell) as running:
            yield running
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def agent(open_fabric: LocalFabric, elsewhere: Elsewhere) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """The agent on the machine elsewhere, and what it prints."""
    home = Path(tempfile.mkdtemp(prefix="fb-agent-"))
    command = [sys.executable, "-m", "provider_join", "--url", open_fabric.url, "--home", str(home), "--slots", "1", "--threads", "1",
               "--name", "far", "--allow-plaintext"]  # fmt: skip
    environment = {**os.environ, "FABRIC_JOIN_TOKEN": open_fabric.credentials.join_token}
    process = elsewhere.spawn(command, log=home / "said", environment=environment)
    yield process, home / "said"
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait()
    end_orphans(Home(home))
    shutil.rmtree(home, ignore_errors=True)


def test_a_stranger_joins_works_and_is_banned(open_fabric, elsewhere, agent):
    process, said = agent
    eventually(lambda: machines_online(open_fabric) or process.poll() is not None, said.read_text)
    # Given a machine elsewhere that joined through the gate
    (machine,) = machines_online(open_fabric)
    (peer,) = ask(gate_socket(open_fabric.home), "status")["peers"].values()
    assert peer["peer"] == MACHINE
    # Then it works
    with Client(open_fabric.url, open_fabric.api_key, allow_plaintext=True) as client:
        upload_trivial(client)
        job = client.submit("trivial", np.ones((3, 4), np.float32)).wait(100, progress=False)
        np.testing.assert_array_equal(job.result("y"), np.full((3, 4), 3, np.float32))
    # And of the control node it reaches the front and the gate, and nothing that Ray or Postgres or Serve listens on
    settings, ports = load_settings(home=open_fabric.home.path), open_fabric.assembly.ports
    records = list(exposure(open_fabric.home, settings))
    assert [record for record in records if record.status != "ok"] == []
    assert {record.id for record in records if "on loopback" not in record.found} == {
        f"listener:{ports.http}",
        f"listener:{ports.gate}",
    }
    listening = {int(record.id.removeprefix("listener:")) for record in records}
    assert {ports.gcs, ports.serve, ports.objects} < listening
    assert reached(elsewhere, listening) == {ports.http, ports.gate}
    # And what it must not do is refused
    proofs = [record for record in boundary(open_fabric.home, settings) if record.id.startswith("gate")]
    assert len(proofs) == 3
    assert [record for record in proofs if record.status != "ok"] == []
    # When the operator bans it, on this machine without any key
    node = [child for child in psutil.Process(process.pid).children(recursive=True) if child.name() == "raylet"]
    assert node
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FABRIC_")}
    banned = subprocess.run(
        [*FABRIC, "providers", "ban", machine["id"], "--reason", "a test"], env={**environment, "FABRIC_HOME": str(open_fabric.home.path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert banned.returncode == 0, banned.stdout
    # Then it is nobody to the gate, its node ends, and its agent says why and stays away
    eventually(lambda: not ask(gate_socket(open_fabric.home), "status")["peers"], "the gate still knows it")
    assert process.wait(60) == EXIT_REFUSED
    assert "this machine was cut off" in said.read_text()
    psutil.wait_procs(node, timeout=30)
    assert not any(child.is_running() for child in node)


def reached(elsewhere: Elsewhere, ports: set[int]) -> set[int]:
    """On which of these ports a connection from that machine to this host is taken."""
    program = f"""if True:
        import socket
        for port in {sorted(ports)}:
            with socket.socket() as probe:
                probe.settimeout(5)
                if probe.connect_ex(({HOST!r}, port)) == 0:
                    print(port)
    """
    done = elsewhere.run([sys.executable, "-c", program])
    assert done.returncode == 0, done.stderr
    return {int(line) for line in done.stdout.split()}
