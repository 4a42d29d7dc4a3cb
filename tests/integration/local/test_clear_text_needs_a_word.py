"""On a machine with one plain interface and one tunnel: over which a gate, and a machine on offer, speak without being told that they may."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fabric.gate.config import GateConfig

PLAIN, TUNNEL = "198.18.78.1", "10.88.0.1"
NEIGHBOURS = {PLAIN: "198.18.78.2:6380", TUNNEL: "10.88.0.2:6380"}
SCRIPT = """
set -e
mount -t sysfs sysfs /sys
ip link set lo up
ip link add plain0 type veth peer name plain1
ip address add 198.18.78.1/30 dev plain0
ip link set plain0 up; ip link set plain1 up
ip tuntap add mode tun name tunnel0
ip address add 10.88.0.1/30 dev tunnel0
ip link set tunnel0 up
exec "$@"
"""
ASK = """
import json, sys
from pathlib import Path
from fabric.core.errors import Invalid
from fabric.gate.tunnels import interfaces, plain_way
from fabric.local.tls import TlsChoice
from fabric.local.up import LocalFabric
from provider_join.config import Stop
from provider_join.trust import Trust
from provider_join.tunnel import plain_way as way_to

def said(act):
    try:
        act()
    except (Invalid, Stop) as error:
        return str(error)
    return "fine"

def up(**how):
    return said(lambda: LocalFabric(home=Path(sys.argv[1]), tls=TlsChoice(None, None), **how))

plain, tunnel, neighbours = json.loads(sys.argv[2])
print(json.dumps({
    "listen": {host: plain_way(host, interfaces()) for host in (plain, tunnel, "127.64.0.1")},
    "reach": {place: way_to(place) for place in (*neighbours, "127.64.0.1:6380", f"{plain}:6380")},
    "up plain": up(host=plain),
    "up everywhere": up(host="0.0.0.0"),
    "up in the tunnel": up(host=tunnel),
    "up plain, gate in the tunnel": up(host=plain, gate_host=tunnel),
    "up plain, gate for this machine only": up(host=plain, gate_host="127.0.0.1"),
    "up plain, as told": up(host=plain, allow_plaintext=True),
    "up plain, no gate": up(host=plain, gate=False, trust_providers=True),
    "agent plain": said(lambda: Trust().check_way(neighbours[0])),
    "agent in the tunnel": said(lambda: Trust().check_way(neighbours[1])),
    "agent as told": said(lambda: Trust(allow_plaintext=True).check_way(neighbours[0])),
}))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each says there."""
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("needs root and TUN devices")
    told = json.dumps([PLAIN, TUNNEL, list(NEIGHBOURS.values())])
    ask = [sys.executable, "-c", ASK, str(tmp_path_factory.mktemp("home")), told]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FABRIC_")}
    command = ["unshare", "--net", "--mount", "sh", "-c", SCRIPT, "sh", *ask]
    done = subprocess.run(command, env=kept, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_kernel_tells_a_tunnel_from_a_cable(answers):
    assert answers["listen"] == {PLAIN: f"{PLAIN} on plain0, which is no tunnel", TUNNEL: None, "127.64.0.1": None}


@pytest.mark.parametrize("how", ["up plain", "up everywhere", "up plain, no gate"])
def test_a_fabric_is_refused_and_told_what_clear_text_gives_away(answers, how):
    said = " ".join(answers[how].split())
    assert "--allow-plaintext" in said
    assert "--gate-host" in said
    for given_away in ("token", "keys of machines", "small inputs"):
        assert given_away in said


@pytest.mark.parametrize(
    "how", ["up in the tunnel", "up plain, gate in the tunnel", "up plain, gate for this machine only", "up plain, as told"]
)
def test_a_fabric_may_listen_in_a_tunnel_or_where_it_was_told_to(answers, how):
    assert answers[how] == "fine"


def test_an_agent_looks_at_its_own_side_of_the_way(answers):
    plain, tunnel = NEIGHBOURS.values()
    assert answers["reach"] == {plain: "plain0, which is no tunnel", tunnel: None, "127.64.0.1:6380": None, f"{PLAIN}:6380": None}
    assert answers["agent in the tunnel"] == "fine"
    assert answers["agent as told"] == "fine"
    for word in (plain, "plain0", "cluster's token", "--allow-plaintext"):
        assert word in answers["agent plain"]


def test_the_gate_itself_does_not_start_on_every_interface_unless_it_was_told_to(tmp_path):
    config = GateConfig("127.0.0.1:1", str(tmp_path / "token"), str(tmp_path / "g"), str(tmp_path / "s"), 1, host="0.0.0.0")
    config.write(tmp_path / "gate.json")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FABRIC_")}
    done = subprocess.run(
        [sys.executable, "-m", "fabric.gate.run", str(tmp_path / "gate.json")], capture_output=True, text=True, timeout=60, check=False,
        env={**kept, "FABRIC_HOME": str(tmp_path), "FABRIC_DATABASE_APP_URL": "postgresql://nobody@127.0.0.1:1/none"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "every interface" in done.stderr
    assert "allow_plaintext" in done.stderr
    assert not (tmp_path / "g").exists()
