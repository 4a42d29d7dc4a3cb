"""A fabric that nobody can listen to: requestor, machine and objects over TLS, trusted by the fingerprint that `fabric up` prints."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.trivial import trivial_model
from fabric.client import Client
from fabric.client.errors import WrongCertificate
from fabric.local.keep import welcome
from fabric.local.tls import TlsChoice
from fabric.local.up import LocalFabric
from provider_join.config import Home
from provider_join.ray_node import end_orphans
from tests.fixtures.fabric import tell
from tests.fixtures.trivial_fabric import eventually

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def encrypted_fabric():
    """A whole fabric with one machine of its own and a self-signed certificate."""
    home = Path(tempfile.mkdtemp(prefix="fb-home-"))
    home.chmod(0o711)
    try:
        with LocalFabric(home=home, providers=1, tls=TlsChoice(None, None), tell=tell) as running:
            yield running
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def machine(encrypted_fabric):
    """One more machine, joined by the very command that `fabric up` prints."""
    home = Path(tempfile.mkdtemp(prefix="fb-agent-", dir="/tmp"))
    arguments = encrypted_fabric.join_command.split()[1:]
    assert "--fingerprint" in arguments
    log = (home / "agent.out").open("wb")
    agent = subprocess.Popen(
        [sys.executable, "-m", "provider_join", *arguments, "--home", str(home), "--name", "encrypted", "--slots", "1"],
        stdout=log, stderr=log, cwd="/", start_new_session=True,
    )  # fmt: skip
    with Client(encrypted_fabric.url, encrypted_fabric.owner_api_key, ca_file=encrypted_fabric.assembly.tls.public_file) as owner:

        def machine() -> str | None:
            return next((m["id"] for m in owner.providers.list() if m["name"] == "encrypted" and m["status"] == "online"), None)

        eventually(machine, "the machine did not come online")
        yield machine()
    agent.terminate()
    agent.wait(60)
    log.close()
    end_orphans(Home(home))
    shutil.rmtree(home, ignore_errors=True)


def test_a_job_too_large_to_be_inline_runs_on_a_machine_that_knows_nothing_but_the_fingerprint(encrypted_fabric, machine):
    # Given a requestor who knows the fingerprint, and items that travel by signed URL, both ways
    fingerprint = encrypted_fabric.assembly.tls.certificate.fingerprint
    items = np.arange(120_000 * 4, dtype=np.float32).reshape(-1, 4)
    with Client(encrypted_fabric.url, encrypted_fabric.api_key, fingerprint=fingerprint) as client:
        client.models.upload("trivial", trivial_model())
        # When they run on the machine that joined from outside
        job = client.submit("trivial", {"x": items}, items_per_subtask=40_000, requirements={"providers": {"only": [machine]}})
        job.wait(180, progress=False)
        encrypted = job.results()
        # And on the machine of the fabric itself
        local = client.submit(
            "trivial", {"x": items}, items_per_subtask=40_000, requirements={"providers": {"never": [machine]}}
        ).wait(180, progress=False).results()  # fmt: skip
    # Then every item came back from both
    assert {name: array.shape[0] for name, array in encrypted.items()} == dict.fromkeys(encrypted, len(items))
    for name, array in encrypted.items():
        np.testing.assert_array_equal(array, local[name])


def test_who_knows_neither_fingerprint_nor_file_tells_no_secret(encrypted_fabric):
    with Client(encrypted_fabric.url, encrypted_fabric.api_key) as client, pytest.raises(WrongCertificate):
        client.models.list()


def test_the_command_line_trusts_what_it_is_told_to_trust(encrypted_fabric):
    told = welcome(encrypted_fabric)
    export = next(line for line in told.splitlines() if "export " in line).split()[1:]
    environment = {**os.environ, **dict(pair.split("=", 1) for pair in export)}
    assert "FABRIC_FINGERPRINT" in environment
    command = [sys.executable, "-c", "from fabric.cli import main; main()"]
    by_environment = subprocess.run([*command, "wallet", "show"], env=environment, capture_output=True, text=True, check=False)
    assert "available" in by_environment.stdout
    del environment["FABRIC_FINGERPRINT"]
    refused = subprocess.run([*command, "wallet", "show"], env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "WrongCertificate" in refused.stderr
    file = str(encrypted_fabric.home.path / "certificate.pem")
    by_file = subprocess.run(
        [*command, "--ca-file", file, "wallet", "show"], env=environment, capture_output=True, text=True, check=False
    )
    assert "available" in by_file.stdout
