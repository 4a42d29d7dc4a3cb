"""Attacks on the gate by claims: what a node says that it has, who it says that it is, and calls that two readers read differently."""

from tests.attack.effects import Attack, adding_to, nonce, registered, seen, within
from tests.attack.fabrics import AttackedFabric
from tests.attack.table import Outcome

ATTACKS: list[Attack] = []
attack = adding_to(ATTACKS)


# ── claims ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@attack("register a node as fabric.role=control")
def claim_control(fabric: AttackedFabric) -> Outcome:
    report = fabric.attacker.machine.run("nodes:register", labels={"fabric.role": "control"}, resources={})
    node = registered(fabric, report, lambda n: n.labels.get("fabric.role") == "control")
    return seen(node and f"a live node {node.node_id.hex()[:8]} with fabric.role=control", report, "no such node")


@attack("register a node with another provider's address")
def claim_address(fabric: AttackedFabric) -> Outcome:
    address = fabric.victim.machine.address
    report = fabric.attacker.machine.run("nodes:register", labels={}, resources={}, address=address)
    node = registered(fabric, report, lambda n: n.node_manager_address == address)
    return seen(node and f"a live node at {address}, with the attacker's labels", report, "no such node")


@attack("register a node with ten slots where one was granted")
def claim_slots(fabric: AttackedFabric) -> Outcome:
    report = fabric.attacker.machine.run("nodes:register", labels={}, resources={"fabric_cpu": 10})
    total = fabric.witness.resources(bytes.fromhex(report.facts["node_id"])).get("fabric_cpu", 0)
    node = registered(fabric, report, lambda n: n.resources_total.get("fabric_cpu") == 10)
    return seen(node and f"a live node on which the scheduler sees {total:.0f} slots", report, "no such node")


@attack("claim ten slots and fabric.role=control in the resource stream (StartSync)")
def stream_claims(fabric: AttackedFabric) -> Outcome:
    node_id = fabric.witness.node_at(fabric.attacker.machine.address).node_id
    waiting = fabric.attacker.machine.begin(
        "nodes:sync", about="own", labels={"fabric.role": "control"}, resources={"fabric_cpu": 10}
    )

    def believed() -> str | None:
        slots = fabric.witness.resources(node_id).get("fabric_cpu", 0)
        told = fabric.witness.reported(node_id)
        role = told.labels.get("fabric.role", "") if told else ""
        return f"the scheduler sees {slots:.0f} slots, role {role!r}" if slots > 1 or role == "control" else None

    effect = within(believed, 6.0)
    return seen(effect, waiting(), "one slot as before")


@attack("speak for the head in the resource stream (StartSync)")
def stream_for_another(fabric: AttackedFabric) -> Outcome:
    head = fabric.witness.head
    waiting = fabric.attacker.machine.begin("nodes:sync", about=head.node_manager_address, labels={}, resources={"planted": 7})
    planted = within(lambda: fabric.witness.resources(head.node_id).get("planted"), 8.0)
    return seen(
        planted and f"the head now has {planted:.0f} of a resource that the attacker made up", waiting(), "the head is as it was"
    )


# ── identities ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def gate_key(fabric: AttackedFabric, name: str) -> tuple[str, str]:
    """A machine's provider id and a fresh key, as its own agent gets it: the worst case is that the other one learns it."""
    facts = fabric.members[name].machine.run("identity:new_key", url=fabric.url).facts
    return facts["provider_id"], facts["gate_key"] or ""


@attack("pass for another provider: replay its Enter and its gate key")
def replay_key(fabric: AttackedFabric) -> Outcome:
    (mine, my_key), (theirs, their_key) = gate_key(fabric, "attacker"), gate_key(fabric, "victim")
    tries = [(theirs, their_key), (theirs, my_key), (mine, their_key), (theirs, "")]
    report = fabric.attacker.machine.run("identity:pass_for", provider_id=theirs, keys=tries)
    node = registered(fabric, report, lambda n: n.labels.get("fabric.provider-id") == theirs)
    victim = fabric.victim.machine.run("identity:go_on", seconds=0.3, enter=["", ""])
    effect = None if victim.succeeded else "the victim is shut out"
    if node:
        effect = f"a live node at {node.node_manager_address} under the victim's provider id"
    return seen(effect, report, "no such node, the victim is served as before")


@attack("enter from another's address, with one's own key")
def enter_from_another_address(fabric: AttackedFabric) -> Outcome:
    mine, my_key = gate_key(fabric, "attacker")
    before = fabric.witness.node_at(fabric.attacker.machine.address)
    report = fabric.victim.machine.run("identity:pass_for", provider_id=mine, keys=[(mine, my_key)])
    node = registered(fabric, report, lambda n: n.labels.get("fabric.provider-id") == mine)
    moved = "the gate takes the victim's address for the attacker's" if mine in report.facts["entered"] else None
    still = fabric.witness.node(before.node_id) if before else None
    effect = f"a live node at {node.node_manager_address} under the attacker's provider id" if node else moved
    return seen(effect, report, f"no such node, the attacker's own is {'alive' if still and still.state == 0 else 'gone'}")


@attack("call with a stolen token, without having enrolled")
def without_entering(fabric: AttackedFabric) -> Outcome:
    assert fabric.outsider is not None
    loot = fabric.attacker.machine.run("identity:whoami").facts
    report = fabric.outsider.run("identity:without_entering", gcs=loot["gcs"], token=loot["token"])
    return seen(report.evidence if report.succeeded else None, report, "nothing told")


# ── readings that differ ──────────────────────────────────────────────────────────────────────────────────────────────────────


@attack("smuggle a forbidden value: compressed, doubled, padded, other paths, forged headers")
def smuggle_value(fabric: AttackedFabric) -> Outcome:
    key = f"smuggled-{nonce()}"
    report = fabric.attacker.machine.run("smuggle:value", key=key, value="theirs", other=fabric.victim.machine.address)
    there = fabric.witness.kv_get(key.encode(), b"canary")
    return seen(f"the value {there!r} is there; {report.evidence}" if there else None, report, "the value is not there")


@attack("smuggle fabric.role=control into a registration: compressed, doubled, forged headers")
def smuggle_registration(fabric: AttackedFabric) -> Outcome:
    report = fabric.attacker.machine.run("smuggle:registration", other=fabric.victim.machine.address)
    node = registered(fabric, report, lambda n: n.labels.get("fabric.role") == "control")
    return seen(node and "a live node with fabric.role=control", report, "no such node")
