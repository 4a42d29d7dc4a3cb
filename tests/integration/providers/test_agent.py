"""The owner's agent with a real Ray cluster and the real API: join, stay, leave, and what happens in between."""

import asyncio
import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from fabric.providers import store
from provider_join.config import EXIT_REFUSED, EXIT_RUNNING
from tests.fixtures.agents import Agent, ControlPlane, eventually
from tests.fixtures.leases import lease, settle_all
from tests.fixtures.ray_head import RayHead

pytestmark = pytest.mark.ray


async def nodes_of(head: RayHead) -> dict[str, dict]:
    """Live provider nodes by the id of their machine."""
    nodes = await asyncio.to_thread(head.nodes)
    return {node["labels"]["fabric.provider-id"]: node for node in nodes}


async def gone(head: RayHead, machine_id: str) -> None:
    async def is_gone() -> bool:
        return machine_id not in await nodes_of(head)

    await eventually(is_gone)


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def command_line(process: psutil.Process) -> str:
    """What the process list shows of it; nothing once it has ended."""
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


async def test_a_machine_joins_lends_exactly_what_was_granted_and_leaves(control_plane: ControlPlane, ray_head: RayHead):
    # Given an owner with a token
    token = await control_plane.token()
    # When the machine joins with it, at a price of its owner's
    agent = control_plane.start_agent(token, arguments=("--price", "0.02", "--region", "eu", "--threads", "1"))
    (machine,) = await control_plane.online()
    # Then the fabric knows its slots, and the cluster a node with the granted labels and resources and no CPU
    assert machine["slots"][0]["price_per_hour"]["usd"] == "0.020000000"
    assert machine["slots"][0]["benchmark_runs_per_s"] > 0
    node = (await nodes_of(ray_head))[machine["id"]]
    labels = {name: value for name, value in node["labels"].items() if not name.startswith("ray.io/")}
    assert labels["fabric.role"] == "provider"
    assert labels["fabric.region"] == "eu"
    assert node["resources"]["fabric_cpu"] == 1
    assert "CPU" not in node["resources"]
    # And what runs there sees nothing of the owner's
    seen = await asyncio.to_thread(ray_head.ask, "probe", node_id=node["node_id"])
    assert seen["node_id"] == node["node_id"]
    assert "owner" not in seen["environment"].values()
    assert not [name for name in seen["environment"] if name.startswith(("FABRIC_", "AWS_"))]
    assert seen["environment"]["HOME"].startswith(str(agent.home))
    # And the credential is the machine's alone, and in no process list
    credential = agent.home / "credential.json"
    assert stat.S_IMODE(credential.stat().st_mode) == 0o600
    secrets = (json.loads(credential.read_text())["credential"], ray_head.token, token)
    family = [psutil.Process(agent.process.pid), *agent.family()]
    assert not [p for p in family if any(secret in command_line(p) for secret in secrets)]
    # When it is asked to end
    agent.signal(signal.SIGTERM)
    # Then it drains, leaves, and nothing of it is left
    assert await agent.ended() == 0, agent.said()
    assert "finishing what runs" in agent.said()
    assert living(family) == []
    await gone(ray_head, machine["id"])
    assert [m["status"] for m in await control_plane.machines()] == ["offline"]
    # When it starts again, without a token
    again = control_plane.start_agent()
    # Then it is the same machine
    (same,) = await control_plane.online()
    assert same["id"] == machine["id"]
    assert "rejoined" in again.said()


async def planned(database) -> set[str]:
    """How the dispatcher sees the slots of machines: `online` ones may get work."""
    async with database.reading() as reader:
        return {slot.status for slot in await store.ready_slots(reader, is_gated=False)}


async def word(agent: Agent, *words: str) -> dict:
    """What `provider-join <word>` answers for the agent's home."""
    command = [sys.executable, "-m", "provider_join", *words, "--json", "--home", str(agent.home)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


async def test_an_owner_holds_a_machine_back_from_its_own_keyboard(control_plane: ControlPlane, database):
    # Given a machine with work under way
    agent = control_plane.start_agent(await control_plane.token(), arguments=("--hours", "0-24", "--max-memory-gib", "2"))
    (machine,) = await control_plane.online()
    assert machine["slots"][0]["memory_gib"] <= 2
    assert await planned(database) == {"online"}
    await lease(database, control_plane.owner.id, machine["id"])
    # When its owner pauses it there
    said = await word(agent, "pause")
    # Then the fabric knows before the word has ended: nothing new is planned, what runs goes on
    assert (said["holding"]["by"], said["orders_outstanding"]) == ("owner", 1)
    assert await planned(database) == {"paused"}
    (paused,) = await control_plane.machines()
    assert (paused["status"], paused["holding"]["by"]) == ("paused", "owner")
    assert agent.process.poll() is None
    shown = await word(agent, "status")
    assert (shown["limits"]["hours"], shown["limits"]["max_memory_gib"], shown["state"]) == ("0-24", 2.0, "running")
    # When the owner resumes
    await word(agent, "resume")
    # Then it gets work again, and drains when it is told to
    assert await planned(database) == {"online"}
    await word(agent, "pause")
    await settle_all(database)
    await word(agent, "drain")
    assert await agent.ended() == 0
    # And the pause outlived the agent
    assert json.loads((agent.home / "settings.json").read_text())["paused_since"]


@pytest.mark.slow
async def test_two_machines_in_one_computer_stand_beside_each_other(control_plane: ControlPlane, ray_head: RayHead):
    token = await control_plane.token(uses=2)
    first = control_plane.start_agent(token, home="a")
    control_plane.start_agent(token, home="b")
    machines = await control_plane.online(2)
    nodes = await nodes_of(ray_head)
    assert {machine["id"] for machine in machines} <= set(nodes)
    # A third agent on the first one's home is told so
    third = control_plane.start_agent(token, home="a")
    assert await third.ended() == EXIT_RUNNING
    # And one leaving does not disturb the other
    gone_id = next(machine["id"] for machine in machines if machine["name"] == "a")
    first.signal(signal.SIGINT)
    assert await first.ended() == 0
    await gone(ray_head, gone_id)
    (left,) = await control_plane.online(1)
    assert left["id"] in await nodes_of(ray_head)


async def test_a_removed_machine_is_cut_off_and_needs_a_new_token(control_plane: ControlPlane, ray_head: RayHead):
    agent = control_plane.start_agent(await control_plane.token())
    (machine,) = await control_plane.online()
    family = agent.family()
    await control_plane.call("DELETE", f"/{machine['id']}")
    assert await agent.ended() == EXIT_REFUSED
    assert "cut off" in agent.said()
    assert living(family) == []
    await gone(ray_head, machine["id"])
    again = control_plane.start_agent()
    assert await again.ended() == EXIT_REFUSED
    control_plane.start_agent(await control_plane.token())
    (new,) = await control_plane.online()
    assert new["id"] != machine["id"]


@pytest.mark.slow
async def test_a_machine_that_loses_its_node_joins_again_by_itself(control_plane: ControlPlane, ray_head: RayHead):
    agent = control_plane.start_agent(await control_plane.token())
    (machine,) = await control_plane.online()
    before = (await nodes_of(ray_head))[machine["id"]]["node_id"]
    raylet = next(process for process in agent.family() if process.name() == "raylet")
    raylet.kill()

    async def is_back() -> bool:
        node = (await nodes_of(ray_head)).get(machine["id"])
        return node is not None and node["node_id"] != before

    await eventually(is_back, agent.said)
    await control_plane.online()
    assert "joining again" in agent.said()


async def test_a_machine_outlives_a_restart_of_the_head(control_plane: ControlPlane, ray_head: RayHead):
    agent = control_plane.start_agent(await control_plane.token())
    (machine,) = await control_plane.online()
    await asyncio.to_thread(ray_head.kill)
    await asyncio.to_thread(ray_head.start)

    async def is_there() -> bool:
        return machine["id"] in await nodes_of(ray_head)

    await eventually(is_there, agent.said)
    node = (await nodes_of(ray_head))[machine["id"]]
    seen = await asyncio.to_thread(ray_head.ask, "probe", node_id=node["node_id"])
    assert seen["node_id"] == node["node_id"]


@pytest.mark.slow
async def test_a_machine_follows_the_fabric_to_another_ray_cluster(control_plane: ControlPlane, ray_head: RayHead):
    agent = control_plane.start_agent(await control_plane.token())
    (machine,) = await control_plane.online()
    other = RayHead()
    try:
        await asyncio.to_thread(other.start)
        control_plane.move_to(other)

        async def is_there() -> bool:
            return machine["id"] in await nodes_of(other)

        await eventually(is_there, agent.said)
        await gone(ray_head, machine["id"])
        agent.signal(signal.SIGTERM)
        assert await agent.ended() == 0
    finally:
        other.close()


@pytest.mark.slow
async def test_nothing_of_a_killed_agent_survives(control_plane: ControlPlane, ray_head: RayHead):
    agent = control_plane.start_agent(await control_plane.token())
    (machine,) = await control_plane.online()
    family = agent.family()
    temp_dir = json.loads((agent.home / "run" / "node.json").read_text())["temp_dir"]
    agent.signal(signal.SIGKILL)
    await agent.ended()
    await eventually(lambda: not living(family))
    await gone(ray_head, machine["id"])
    # And the next start cleans up and goes on as the same machine
    again = control_plane.start_agent()
    await eventually(lambda: "Ray node is up" in again.said(), again.said)
    (same,) = await control_plane.online()
    assert same["id"] == machine["id"]
    assert json.loads((agent.home / "run" / "node.json").read_text())["temp_dir"] != temp_dir
    assert not Path(temp_dir).exists()


async def test_a_draining_machine_waits_for_its_orders_unless_it_is_told_twice(
    control_plane: ControlPlane, ray_head: RayHead, database
):
    # Given a machine with an order
    agent = control_plane.start_agent(await control_plane.token())
    (machine,) = await control_plane.online()
    await lease(database, control_plane.owner.id, machine["id"])
    # When it is asked to end, it drains and stays
    agent.signal(signal.SIGINT)

    async def is_draining() -> bool:
        (now,) = await control_plane.machines()
        return now["status"] == "draining" and now["agent_state"]["state"] == "draining"

    await eventually(is_draining, agent.said)
    assert machine["id"] in await nodes_of(ray_head)
    assert agent.process.poll() is None
    # When the order is settled, it leaves
    await settle_all(database)
    assert await agent.ended() == 0
    # When it is told twice, it does not wait
    impatient = control_plane.start_agent()
    await control_plane.online()
    await lease(database, control_plane.owner.id, machine["id"])
    impatient.signal(signal.SIGINT)
    await eventually(is_draining, impatient.said)
    impatient.signal(signal.SIGINT)
    assert await impatient.ended() == 130
    assert [m["status"] for m in await control_plane.machines()] == ["offline"]


@pytest.mark.slow
async def test_an_owner_drains_a_machine_over_http(control_plane: ControlPlane, ray_head: RayHead):
    agent = control_plane.start_agent(await control_plane.token())
    (machine,) = await control_plane.online()
    await control_plane.call("POST", f"/{machine['id']}/drain")
    assert await agent.ended() == 0
    assert "the owner asked" in agent.said()
    await gone(ray_head, machine["id"])


async def test_a_bad_token_is_named(control_plane: ControlPlane):
    agent = control_plane.start_agent("fjt_invented")
    assert await agent.ended() == EXIT_REFUSED
    assert "join token is unknown" in agent.said()


async def test_a_first_start_without_a_token_says_what_is_missing(control_plane: ControlPlane):
    agent: Agent = control_plane.start_agent()
    assert await agent.ended() == 2
    assert "needs a join token" in agent.said()
