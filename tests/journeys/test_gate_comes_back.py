"""The gate is killed in the middle of work: it comes back knowing everybody, and neither machines nor jobs notice."""

import psutil
import pytest

from fabric.local.processes import Mark, family
from fabric.local.rotation import nodes_of_machines
from fabric.local.up import LocalFabric
from tests.fixtures.fabric import machines_online
from tests.fixtures.healing import LongJob, kill
from tests.fixtures.trivial_fabric import eventually

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]


@pytest.mark.parametrize("victim", ["the check", "HAProxy"])
def test_a_killed_gate_comes_back_and_no_attempt_is_lost(fabric: LocalFabric, long_job: LongJob, victim: str):
    gate = fabric.part("gate")
    (before,) = gate.marks()
    nodes = nodes_of_machines(fabric.home)
    assert len(nodes) == 2
    job = long_job.disturbed(lambda: kill(before if victim == "the check" else haproxy_of(fabric)))
    long_job.assert_nothing_lost_or_doubled(job)
    # The answers go on, so work does too: only what comes from machines passes the gate.
    assert {a["outcome"] for s in job.subtasks() for a in s["attempts"]} == {"done"}
    eventually(lambda: gate.failure() is None and gate.marks() != [before], "the gate did not come back")
    eventually(lambda: nodes_of_machines(fabric.home) == nodes, "the gate forgot machines")
    assert len(machines_online(fabric)) == 2


def haproxy_of(fabric: LocalFabric) -> Mark:
    """The process of the gate that listens."""
    return next(m for m in family(fabric.part("gate").marks()) if psutil.Process(m.pid).name() == "haproxy")
