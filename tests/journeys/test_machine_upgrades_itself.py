"""A machine with only Python joins by one line, and when its fabric becomes another it finishes, upgrades itself and comes back."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

import fabric
from fabric.providers.distribution import PACKAGES, make_wheel
from provider_join import install
from tests.fixtures.agents import Agent, ControlPlane, eventually

INSTALLING_S = 400.0
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]


async def test_one_line_joins_and_a_new_version_is_taken_up(control_plane: ControlPlane, tmp_path: Path):
    # Given an owner's machine with nothing of ours on it, and one line from the fabric's page
    home, log = control_plane.folder / "bare", control_plane.folder / "bare.out"
    line = f"curl -fsSL {control_plane.url}/join | sh -s -- --token {await control_plane.token()} --home {home} --slots 1 --name bare"
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:" + str(Path(shutil.which("python3.11") or "/usr/bin/x").parent),
        "HOME": str(tmp_path),
    }
    with log.open("wb") as output:
        process = await asyncio.to_thread(
            subprocess.Popen, ["sh", "-c", line], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
            start_new_session=True,
        )  # fmt: skip
    agent = Agent(process, home, log)
    control_plane.agents.append(agent)
    # When it is run, everything is installed, and the machine comes online
    (machine,) = await eventually(lambda: _online(control_plane), agent.said, INSTALLING_S)
    (first,) = (home / "environments").iterdir()
    # And when the fabric becomes another
    tree = tmp_path / "newer"
    for package in PACKAGES:
        shutil.copytree(Path(fabric.__file__).parents[1] / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "fabric" / "newer.py").write_text('"""What the newer version brings."""\n')
    newer = make_wheel(tree)
    control_plane.become(newer)
    # Then the agent installs that one while it goes on, drains, and comes back as the same machine from the new environment
    await eventually(lambda: "going on as" in agent.said() and "rejoined" in agent.said(), agent.said, INSTALLING_S)
    (again,) = await eventually(lambda: _online(control_plane), agent.said, INSTALLING_S)
    assert again["id"] == machine["id"]
    (second,) = await eventually(
        lambda: len(list((home / "environments").iterdir())) == 1 and list((home / "environments").iterdir())
    )
    assert (second.name != first.name, newer.sha256[:12] in second.name) == (True, True)
    assert list(install.program(second, "python").parents[1].glob("lib/*/site-packages/fabric/newer.py"))


async def _online(control_plane: ControlPlane) -> list[dict]:
    return [machine for machine in await control_plane.machines() if machine["status"] == "online"]
