import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from fabric.core.errors import Conflict
from fabric.core.settings import load_settings
from fabric.local.doctor import boundary, exposure, judge
from fabric.local.home import is_running
from fabric.local.listeners import Listener
from fabric.local.orphans import recorded
from fabric.local.postgres import start_postgres
from fabric.local.processes import family, mark
from fabric.local.ray_head import HeadConfig, head_environment
from tests.fixtures.postgres import quick_folder
from tests.fixtures.trivial_fabric import APPLICATION, REPOSITORY, eventually, replica_pid

pytestmark = pytest.mark.ray


def processes_of(fabric):
    return {m for part in fabric._parts for m in family(part.marks())}


def pid_of(fabric, name):
    return next(m.pid for m in family(fabric.part("ray-head").marks()) if psutil.Process(m.pid).name() == name)


def kill(pid):
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def foreign_cluster(tmp_path):
    """Somebody else's Ray head on this machine, with settings of their own."""
    folder = Path("/tmp") / f"fx-{os.getpid()}"
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "token").write_text("somebody-else")
    config = HeadConfig(str(folder / "r"), "127.0.0.1", port, str(folder / "node.json"))
    config.write(folder / "config.json")
    environment = {**os.environ, **head_environment(token_file=folder / "token", gcs=folder / "gcs")}
    process = subprocess.Popen(
        [sys.executable, "-m", "fabric.local.ray_head", str(folder / "config.json")],
        env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    eventually((folder / "node.json").exists, "the foreign head did not start")
    yield process
    process.terminate()
    process.wait()
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_two_fabrics_run_side_by_side_and_leave_a_foreign_cluster_alone(make_fabric, foreign_cluster):
    # Given somebody else's Ray cluster, and two fabrics started on the same machine
    strangers = set(family([mark(foreign_cluster.pid)]))
    first, _ = make_fabric()
    second, _ = make_fabric()
    first.start()
    second.start()
    # Then they share nothing
    assert not set(first.assembly.ports.as_dict().values()) & set(second.assembly.ports.as_dict().values())
    assert replica_pid(first.url) != replica_pid(second.url)
    # When one ends, the other and the strangers do not notice
    answering = replica_pid(second.url)
    gone = processes_of(first)
    first.stop()
    assert not any(m.is_alive() for m in gone)
    assert replica_pid(second.url) == answering
    assert all(m.is_alive() for m in strangers)


@pytest.mark.chaos
def test_each_part_that_crashes_is_named_and_comes_back(trivial_fabric):
    fabric, told = trivial_fabric
    first_node = fabric.assembly.home.read_state("ray-node")["node_id"]

    told.clear()
    for name in ("objects", "postgres", "gate", "ray-head"):
        kill(fabric.part(name).marks()[0].pid)
        eventually(lambda name=name: told.count_of(f"{name} runs again"), f"{name} did not come back")
        assert told.count_of(f"{name} was ended by signal 9") + told.count_of(f"{name} ended with status -9") == 1

    # A new head has a new node, on which the application is deployed again, at the same address.
    eventually(lambda: told.count_of("serve runs again"), "the application was not deployed on the new head")
    assert fabric.assembly.home.read_state("ray-node")["node_id"] != first_node
    assert replica_pid(fabric.url)

    # Inside the head, Serve heals itself: the replica, and the HAProxy in front.
    before = replica_pid(fabric.url)
    kill(before)
    eventually(lambda: replica_pid(fabric.url) not in {None, before}, "the replica was not replaced")
    kill(pid_of(fabric, "haproxy"))
    eventually(lambda: replica_pid(fabric.url), "HAProxy was not replaced")


def test_a_second_fabric_on_the_same_home_is_refused_and_the_first_goes_on(trivial_fabric, make_fabric):
    first, _ = trivial_fabric
    second, _ = make_fabric(first.home.path)
    with pytest.raises(Conflict, match=f"already running on .* at {first.url}"):
        second.start()
    assert replica_pid(first.url)
    assert first.home.environment_file.exists()


@pytest.mark.slow
def test_after_a_kill_the_next_start_ends_the_orphans_and_finds_the_data(make_fabric):
    # Given a fabric whose `fabric up` was killed
    fabric, told = make_fabric()
    program = f"""if True:
        import time
        from pathlib import Path
        from fabric.local.up import LocalFabric
        fabric = LocalFabric(home=Path({str(fabric.home.path)!r}), application={APPLICATION!r})
        fabric.start()
        print(fabric.url, fabric.assembly.temp_dir, fabric.database_url, flush=True)
        time.sleep(600)
    """
    killed = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
    )
    url, temp_dir, database_url = killed.stdout.readline().split()
    with psycopg.connect(database_url, autocommit=True) as connection:
        identity = connection.execute("SELECT oid FROM pg_database WHERE datname = 'fabric'").fetchone()
    orphans = {m for marks in recorded(fabric.home).values() for m in family(marks)}
    killed.kill()
    killed.wait()
    killed.stdout.close()
    assert any(m.is_alive() for m in orphans)
    # When it is started again on the same home
    fabric.start()
    # Then the orphans are gone, and data and address are the same
    assert not any(m.is_alive() for m in orphans)
    assert not Path(temp_dir).exists()
    assert told.count_of("that an earlier, killed run had left")
    assert fabric.url == url
    with psycopg.connect(fabric.database_url, autocommit=True) as connection:
        assert connection.execute("SELECT oid FROM pg_database WHERE datname = 'fabric'").fetchone() == identity


def test_an_external_database_is_used_and_nothing_else_is_left_behind(make_fabric, monkeypatch):
    folder = quick_folder()
    folder.chmod(0o711)
    server = start_postgres(folder / "pg", folder / "log", fast=True)
    try:
        # Given a fabric on a server that was started by somebody else
        monkeypatch.setenv("FABRIC_DATABASE_URL", server.url)
        fabric, told = make_fabric()
        fabric.start()
        assert told.count_of("FABRIC_DATABASE_URL names") == 1
        assert not fabric.home.postgres.exists()
        with psycopg.connect(fabric.database_url, autocommit=True) as connection:
            assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
        assert server.password not in fabric.home.environment_file.read_text()  # the owner's URL stays with migrations
        # When it ends
        members, ports, temp_dir = processes_of(fabric), fabric.assembly.ports, fabric.assembly.temp_dir
        assert "haproxy" in {psutil.Process(m.pid).name() for m in members}
        fabric.stop()
        # Then no process, port, temp folder or settings file is left, and the server still runs
        assert not any(m.is_alive() for m in members)
        assert not temp_dir.exists()
        listening = {one.laddr.port for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
        assert not listening & set(ports.as_dict().values())
        assert not fabric.home.environment_file.exists()
        assert not is_running(fabric.home)
        with psycopg.connect(server.url):
            pass
    finally:
        server.stop()
        shutil.rmtree(folder)


def test_every_listener_is_on_loopback_or_checks_the_token(trivial_fabric):
    fabric, _ = trivial_fabric
    records = list(exposure(fabric.home, fabric.assembly.settings))
    processes = " ".join(record.found for record in records)
    for name in ("gcs_server", "raylet", "haproxy", "ray::ServeReplica", "ray::DashboardAgent", "fabric.storage.server"):
        assert name in processes
    # The trivial application leaves its replicas' gRPC port open; the real one does not (test_nothing_listens_outside).
    assert [record for record in records if record.status != "ok" and "ServeReplica" not in record.found] == []
    assert any("UNAUTHENTICATED" in record.found for record in records)


def test_the_doctor_finds_the_gate_in_force(trivial_fabric):
    fabric, _ = trivial_fabric
    proofs = list(boundary(fabric.home, load_settings(home=fabric.home.path)))
    assert [proof for proof in proofs if proof.status != "ok"] == []
    assert any("a machine that never entered may not start a driver" in proof.found for proof in proofs)
    assert any("the GCS itself does what the gate refuses" in proof.found for proof in proofs)


def test_an_open_listener_beyond_loopback_is_a_failure():
    listener = Listener("ray-head", "gcs_server", "0.0.0.0", 6379)
    assert judge(listener, False, "gRPC answers anybody", public_ports=frozenset()).status == "fail"
    assert judge(listener, True, "UNAUTHENTICATED", public_ports=frozenset()).status == "ok"
    assert judge(listener, False, "HTTP 200", public_ports=frozenset({6379})).status == "ok"


def test_no_secret_is_in_the_environment_or_command_line_of_any_process(trivial_fabric):
    fabric, _ = trivial_fabric
    secrets = {path.read_text().strip() for path in fabric.home.secrets.iterdir()}
    secrets.add((fabric.home.path / "postgres.password").read_text())
    assert len(secrets) >= 4
    seen = b""
    for member in processes_of(fabric):
        folder = Path(f"/proc/{member.pid}")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may have ended meanwhile
            seen += (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
    assert b"FABRIC_HOME" in seen
    assert [secret for secret in secrets if secret.encode() in seen] == []
    assert stat.S_IMODE(fabric.home.environment_file.stat().st_mode) == 0o600


def test_without_tls_too_who_calls_is_what_the_kernel_says(trivial_fabric):
    fabric, _ = trivial_fabric
    lies = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"}
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.9"), timeout=30) as http:
        answer = http.get(f"{fabric.url}/who", headers=lies)
    assert answer.json() == {"address": "127.0.0.9", "scheme": "http", "forwarded": "None"}
    assert "strict-transport-security" not in answer.headers


def test_a_stream_flows_through_the_real_haproxy_and_its_absence_is_a_503(trivial_fabric):
    fabric, _ = trivial_fabric
    with httpx.stream("GET", f"{fabric.url}/ticks?count=3", trust_env=False, timeout=30) as answer:
        assert list(answer.iter_lines()) == ["0", "1", "2"]
    configuration = next(fabric.assembly.temp_dir.glob("h/*/haproxy.cfg")).read_text()
    assert "timeout client 900s" in configuration
    assert "timeout server 900s" in configuration
    kill(replica_pid(fabric.url))
    seen = set()

    def back() -> bool:
        answer = httpx.get(f"{fabric.url}/livez", trust_env=False, timeout=30)
        seen.add((answer.status_code, answer.headers.get("retry-after")))
        return answer.status_code == 200

    eventually(back, "the replica was not replaced")
    assert seen <= {(200, None), (502, "2"), (503, "2")}  # 502: what was under way when it died
