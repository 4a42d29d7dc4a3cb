"""The operator changes the cluster's token while a job runs: whoever holds the old one is out, and no work is lost."""

import os
import re
import subprocess
import sys

import pytest

from fabric.gate.control import ask
from fabric.gate.methods import GET_CLUSTER_ID
from fabric.local.gate_proof import GET_NEXT_JOB_ID, Caller
from fabric.local.rotation import gate_socket, nodes_of_machines
from fabric.local.up import LocalFabric
from tests.fixtures.fabric import machines_online
from tests.fixtures.healing import ITEMS_BEFORE, JOB_TIMEOUT_S, LongJob
from tests.fixtures.trivial_fabric import eventually

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]
JOBS = 6
FABRIC = [sys.executable, "-c", "from fabric.cli import main; main()"]


def test_jobs_outlive_the_change_of_the_token(fabric: LocalFabric, long_job: LongJob):
    before = fabric.home.secret("ray.token")
    nodes = nodes_of_machines(fabric.home)
    # Given work for longer than the change takes to begin
    jobs = [long_job.submit() for _ in range(JOBS)]
    next(data for _, _, data in jobs[0].events() if data.get("items_done", 0) >= ITEMS_BEFORE)
    # When the token is changed in the middle of it
    environment = {**os.environ, "FABRIC_HOME": str(fabric.home.path)}
    done = subprocess.run([*FABRIC, "token", "rotate"], env=environment, capture_output=True, text=True, timeout=300, check=False)
    print(done.stdout)
    assert done.returncode == 0
    # Then every job is whole, what was interrupted was done again, and nothing was lost or paid twice
    for job in jobs:
        job.wait(JOB_TIMEOUT_S, progress=False)
    for job in jobs:
        long_job.assert_nothing_lost_or_doubled(job)
    outcomes = [a["outcome"] for job in jobs for s in job.subtasks() for a in s["attempts"]]
    assert set(outcomes) > {"done"}, "nothing ran when the old head ended, so nothing was tested"
    # And the operator was told how long the endpoint was away, and that the machines are back
    assert re.search(r"away for \d+\.\d s; 2 of 2 machines were back after \d+\.\d s", done.stdout)
    eventually(lambda: len(machines_online(fabric)) == 2, "the machines are not back")
    assert not set(nodes.values()) & set(nodes_of_machines(fabric.home).values())
    # And the old token is good for nothing, at the cluster itself and at the gate
    after = fabric.home.secret("ray.token")
    assert after != before
    peer = next(iter(ask(gate_socket(fabric.home), "status")["peers"].values()))["peer"]
    for address, path in (
        (fabric.assembly.gcs_address, GET_NEXT_JOB_ID),
        (f"{peer}:{fabric.assembly.ports.gate}", GET_CLUSTER_ID),
    ):
        assert Caller(address, str(before)).call(path) != Caller(address, str(after)).call(path)
        assert isinstance(Caller(address, str(after)).call(path), bytes)
