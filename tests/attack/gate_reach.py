"""Attacks on the gate by reach and amount, and, last of all, those that end something."""

import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
from ray.core.generated import gcs_pb2

from tests.attack.effects import Attack, adding_to, content, nonce, registered, seen, within
from tests.attack.fabrics import AttackedFabric, eventually
from tests.attack.gate_claims import gate_key
from tests.attack.machines import HUB
from tests.attack.table import Outcome

HOARD_BYTES = 48 << 20
HELD_MAX = 1000
FLOOD_S = 6.0
NEIGHBOUR_WAITS_S = 2.0
BAN_S = 6.0
CUT_OFF_S = 1.0

ATTACKS: list[Attack] = []
attack = adding_to(ATTACKS)


# ── what listens ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@attack("reach any port of the control node but the endpoint and the address of the cluster")
def open_ports(fabric: AttackedFabric) -> Outcome:
    machine = fabric.attacker.machine
    allowed = {8700, int(machine.run("identity:whoami").facts["gcs"].rpartition(":")[2])}
    hosts = [HUB, f"{link_local(machine.link)}%hub"]
    report = machine.run("reach:ports", hosts=hosts)
    beyond = {host.partition("%")[0]: sorted(set(ports) - allowed) for host, ports in report.facts["open"].items()}
    count = sum(len(ports) for ports in beyond.values())
    effect = (
        f"{count} more ports accept connections, such as {next(p for p in beyond.values() if p)[:4]}; {report.evidence}"
        if count
        else None
    )
    return seen(effect, report, f"they are {sorted(allowed)}")


def link_local(interface: str) -> str:
    """The hub's own IPv6 address on a machine's link."""
    addresses = [a.address for a in psutil.net_if_addrs()[interface] if a.family.name == "AF_INET6"]
    return addresses[0].partition("%")[0]


@attack("read Postgres")
def read_postgres(fabric: AttackedFabric) -> Outcome:
    name = nonce()
    canary = Path(f"/tmp/canary-{name}")
    report = fabric.attacker.machine.run("reach:postgres", canary=str(canary), name=name)
    said = within(lambda: content(canary))
    return seen(said and f"through an actor on the head: {said}", report, "nothing read")


@attack("write into the object store's root")
def write_objects(fabric: AttackedFabric) -> Outcome:
    name, planted = nonce(), fabric.home / "objects" / "planted"
    canary = Path(f"/tmp/canary-{name}")
    report = fabric.attacker.machine.run("reach:objects", url=fabric.url, canary=str(canary), name=name)
    there = within(planted.exists)
    return seen(f"through an actor on the head: {content(canary)}" if there else None, report, "no such file")


# ── amounts ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@attack("store 48 MiB in the GCS under a key that every node may write")
def hoard(fabric: AttackedFabric) -> Outcome:
    report = fabric.attacker.machine.run("store:hoard", size=HOARD_BYTES)
    kept = len(fabric.witness.kv_get(report.facts["key"].encode(), b"dashboard"))
    return seen(f"the GCS keeps {kept >> 20} MiB for it" if kept > HOARD_BYTES else None, report, f"{kept} bytes are kept")


@attack("flood: 1,500 connections and calls without pause, so that another provider must wait")
def flood(fabric: AttackedFabric) -> Outcome:
    flooding = fabric.attacker.machine.begin("flood:flood", connections=1500, seconds=FLOOD_S)
    neighbour = fabric.victim.machine.run("flood:neighbour", seconds=FLOOD_S)
    report = flooding()
    said = f"{report.evidence}; the neighbour meanwhile: {neighbour.evidence}"
    eventually(
        lambda: fabric.attacker.machine.run("identity:go_on", seconds=0.2, enter=["", ""]).succeeded, "it stays shut out", 60.0
    )
    is_hurt = neighbour.facts["failed"] > 0 or neighbour.facts["slowest_s"] > NEIGHBOUR_WAITS_S
    return Outcome(is_hurt or report.facts["held"] > HELD_MAX, said)


# ── what ends something, last ─────────────────────────────────────────────────────────────────────────────────────────────────


@attack("report another provider's node as dead")
def unregister_another(fabric: AttackedFabric) -> Outcome:
    node = fabric.witness.node_at(fabric.victim.machine.address)
    report = fabric.attacker.machine.run("nodes:unregister", address=fabric.victim.machine.address)
    is_dead = within(lambda: fabric.witness.node(node.node_id).state == gcs_pb2.GcsNodeInfo.DEAD, 6.0)
    return seen("the victim's node is dead" if is_dead else None, report, "it is alive")


@attack("go on after a ban: over an open connection, by entering again")
def outlive_a_ban(fabric: AttackedFabric) -> Outcome:
    mine, my_key = gate_key(fabric, "attacker")
    node = fabric.witness.node_at(fabric.attacker.machine.address)
    going_on = fabric.attacker.machine.begin("identity:go_on", seconds=BAN_S, enter=[mine, my_key])
    time.sleep(BAN_S / 4)
    key = (fabric.home / "secrets" / "operator.api-key").read_text().strip()
    answer = httpx.post(
        f"{fabric.url}/api/v1/operator/providers/{mine}/ban", json={"reason": "attack"}, headers={"Authorization": f"Bearer {key}"},
        trust_env=False, timeout=10,
    )  # fmt: skip
    banned = time.time()
    assert answer.is_success, answer.text
    fabric.gone.add("attacker")
    report = going_on()
    assert 0 < report.facts["first"] < banned, f"it was not served before the ban either: {report.evidence}"
    longer = report.facts["last"] - banned
    is_alive = node is not None and fabric.witness.node(node.node_id).state == gcs_pb2.GcsNodeInfo.ALIVE
    said = (
        f"last answer {longer:+.2f} s after the ban, then {report.evidence[:100]}; its node is {'alive' if is_alive else 'dead'}"
    )
    return Outcome(longer > CUT_OFF_S or is_alive, said)


@attack("end the GCS or the head's raylet with malformed fields in calls that every node may make")
def end_the_gcs(fabric: AttackedFabric) -> Outcome:
    before = ray_processes()
    report = fabric.victim.machine.run("crash:malformed")  # not from the attacker's: by now it is banned
    ended = within(lambda: sorted(set(before.values()) - set(ray_processes().values())))
    fabric.is_wounded = bool(ended)
    return seen(f"{' and '.join(ended)} ended; {report.evidence}" if ended else None, report, "GCS and raylet live")


@attack("register a node as the head")
def claim_head(fabric: AttackedFabric) -> Outcome:
    report = fabric.victim.machine.run("nodes:register", labels={}, resources={}, is_head=True)  # the attacker's is banned by now
    node = registered(fabric, report, lambda n: n.is_head_node)
    return seen(node and f"a live node {node.node_id.hex()[:8]} that is the head", report, "no such node")


def ray_processes() -> dict[int, str]:
    """The GCS and the raylet of the control machine: those in this network namespace."""
    found = {}
    for process in psutil.process_iter(["name", "status"]):
        if process.info["name"] in ("gcs_server", "raylet") and process.info["status"] != psutil.STATUS_ZOMBIE:
            with suppress(OSError):
                if Path(f"/proc/{process.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
                    found[process.pid] = f"{process.info['name']} (pid {process.pid})"
    return found
