"""`fabric up` as its operator meets it: start, second start refused, doctor, Ctrl-C, start again, SIGTERM."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fabric.local.home import Home, is_running
from fabric.local.orphans import recorded
from fabric.local.processes import family

pytestmark = pytest.mark.ray
FABRIC = [sys.executable, "-c", "from fabric.cli import main; main()"]


class Up:
    """One `fabric up` in a terminal of its own."""

    def __init__(self, home: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [*FABRIC, "up", "--providers", "1", *options],
            env={**os.environ, "FABRIC_HOME": str(home)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.printed = ""

    def read_until(self, words: str) -> str:
        for line in self.process.stdout:
            self.printed += line
            if words in line:
                return self.printed
        raise AssertionError(f"it ended without {words!r}:\n{self.printed}")

    def found(self, pattern: str) -> str:
        return re.search(pattern, self.printed)[1]

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        self.printed += self.process.stdout.read()
        return self.process.wait(60)


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fb-home-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def start(home: Path) -> Iterator[type[Up]]:
    running: list[Up] = []

    def begin(*options: str) -> Up:
        running.append(up := Up(home, *options))
        return up

    yield begin
    for up in running:
        if up.process.poll() is None:
            up.end(signal.SIGTERM)
        up.process.stdout.close()


def wallet(url: str, key: str) -> dict:
    answer = httpx.get(f"{url}/api/v1/wallet", headers={"Authorization": f"Bearer {key}"}, trust_env=False)
    answer.raise_for_status()
    return answer.json()


@pytest.mark.slow
def test_an_operator_starts_a_fabric_stops_it_and_finds_everything_again(home, start):
    # Given a fabric that was started and says what people need
    first = start()
    first.read_until("Ctrl-C ends it")
    url, key = first.found(r"endpoint +(http://127\.0\.0\.1:\d+)"), first.found(r"API key +(fab_\w+)")
    assert first.found(r"data +(\S+)") == str(home)
    assert first.found(r"(provider-join --url http://127\.0\.0\.1:\d+ --token fjt_\S+)")
    before = wallet(url, key)
    assert before["livemode"] is False
    assert before["available"]["usd_nanos"] > 0

    # When somebody starts a second one on the same data, it says so and the first goes on
    second = start()
    assert "already running" in second.read_until("already running")
    assert second.process.wait(60) == 1
    assert wallet(url, key) == before

    # And the doctor finds nothing wrong
    environment = {**os.environ, "FABRIC_HOME": str(home)}
    doctor = subprocess.run([*FABRIC, "doctor"], env=environment, capture_output=True, text=True, check=False)
    assert doctor.returncode == 0, doctor.stdout
    assert "listener:" in doctor.stdout

    # When Ctrl-C ends it, nothing is left
    members = {m for marks in recorded(Home(home)).values() for m in family(marks)}
    assert len(members) > 10
    assert first.end(signal.SIGINT) == 0
    assert not any(m.is_alive() for m in members)
    assert not is_running(Home(home))

    # Then the next start has the same address, key and money
    again = start()
    again.read_until("Ctrl-C ends it")
    assert (again.found(r"endpoint +(http://127\.0\.0\.1:\d+)"), again.found(r"API key +(fab_\w+)")) == (url, key)
    assert wallet(url, key) == before
    assert again.end(signal.SIGTERM) == 0


def test_beyond_loopback_a_fabric_wants_a_certificate_or_to_be_told_that_the_network_is_encrypted(start):
    refused = start("--host", "0.0.0.0")
    said = refused.read_until("--allow-plaintext")
    assert "--tls-cert" in said
    assert "--tls self-signed" in said
    assert refused.process.wait(60) == 1


def test_beyond_loopback_without_the_gate_it_wants_to_be_told_that_machines_are_trusted(start):
    refused = start("--host", "0.0.0.0", "--no-gate")
    assert "--trust-providers" in refused.read_until("--trust-providers")
    assert refused.process.wait(60) == 1
