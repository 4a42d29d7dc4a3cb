"""A local machine whose agent is killed is started again and is the same machine as before."""

import os
import signal

import pytest

from fabric.local.bootstrap import last_heartbeats
from fabric.local.up import LocalFabric
from tests.fixtures.trivial_fabric import eventually

pytestmark = pytest.mark.ray


@pytest.mark.chaos
def test_a_killed_agent_is_started_again_and_rejoins_as_the_same_machine(fabric: LocalFabric):
    # Given two machines, and the agent of the second
    machines = last_heartbeats(fabric.url, fabric.owner_api_key)
    before = fabric.provider_pids()[1]
    # When it is killed
    os.kill(before["agent"][0], signal.SIGKILL)
    # Then another agent brings the machine back, with a new Ray node, and no machine was added
    eventually(
        lambda: (
            set(fabric.provider_pids()[1].get("raylet", [])) - set(before["raylet"])
            and last_heartbeats(fabric.url, fabric.owner_api_key).get("local-2") not in {None, machines["local-2"]}
        ),
        "the machine did not come back",
    )
    assert not set(fabric.provider_pids()[1]["agent"]) & set(before["agent"])
    assert last_heartbeats(fabric.url, fabric.owner_api_key).keys() == machines.keys()
