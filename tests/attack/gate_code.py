"""Attacks on the gate that want to run code where it must not run, or to read and write what is not the attacker's."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
from ray.core.generated import gcs_pb2

from tests.attack.effects import EFFECT_S, Attack, adding_to, content, nonce, seen, within
from tests.attack.fabrics import AttackedFabric, eventually
from tests.attack.programs import control
from tests.attack.table import Outcome

DEAD = gcs_pb2.ActorTableData.DEAD
ALIVE = gcs_pb2.ActorTableData.ALIVE

ATTACKS: list[Attack] = []
attack = adding_to(ATTACKS)


# ── code where it must not run ────────────────────────────────────────────────────────────────────────────────────────────────


@attack("start a driver (ray.init), then an actor on the head")
def driver(fabric: AttackedFabric) -> Outcome:
    canary, before = Path(f"/tmp/canary-{nonce()}"), len(fabric.witness.jobs())
    report = fabric.attacker.machine.run("control:driver", canary=str(canary))
    said, jobs = content(canary), len(fabric.witness.jobs()) - before
    effect = (
        f"a file written on the head by {said}; {report.evidence}" if said else f"{jobs} job registered" if jobs > 0 else None
    )
    return seen(effect, report, "no job, no file on the head")


@attack("create an actor on the head (hand-made RPCs)")
def actor_on_the_head(fabric: AttackedFabric) -> Outcome:
    name = nonce()
    canary = Path(f"/tmp/canary-{name}")
    report = fabric.attacker.machine.run("control:actor", on="head", canary=str(canary), name=name)
    said = within(lambda: content(canary))
    return seen(said and f"its constructor ran on the head as {said}", report, "no file on the head")


@attack("run code on another provider: directly (the overlay's hub forwards nothing), then by an actor through the GCS")
def another_provider(fabric: AttackedFabric) -> Outcome:
    name, victim = nonce(), fabric.victim.machine
    node = fabric.witness.node_at(victim.address)
    direct = fabric.attacker.machine.run("reach:connect", host=victim.address, port=node.node_manager_port)
    report = fabric.attacker.machine.run("control:actor", on=victim.address, canary=f"/tmp/canary-{name}", name=name)
    said = within(lambda: content(victim.path(f"/tmp/canary-{name}")))
    if direct.succeeded:
        return Outcome(True, direct.evidence)
    effect = f"not directly ({direct.evidence}), but an actor's constructor ran there as {said}" if said else None
    return seen(effect, report, f"no file there; direct: {direct.evidence}")


@attack("submit a job (dashboard, and the job API of the head's agent)")
def submit_job(fabric: AttackedFabric) -> Outcome:
    canary = Path(f"/tmp/canary-{nonce()}")
    report = fabric.attacker.machine.run("control:submit_job", canary=str(canary))
    said = within(lambda: content(canary), 20.0 if report.succeeded else EFFECT_S)
    return seen(said and f"its shell command ran on the head as uid {said}", report, "no file on the head")


@attack("lease a worker from the head's raylet directly")
def lease(fabric: AttackedFabric) -> Outcome:
    canary = Path(f"/tmp/canary-{nonce()}")
    report = fabric.attacker.machine.run("control:lease", canary=str(canary))
    said = within(lambda: content(canary))
    effect = f"{report.evidence}, which ran as {said}" if said else report.evidence if report.succeeded else None
    return seen(effect, report, "no file on the head")


@attack("kill a named actor of the control node")
def kill_named_actor(fabric: AttackedFabric) -> Outcome:
    name, actor_id, _ = canary_actor(fabric)
    report = fabric.attacker.machine.run("control:kill_named_actor", name=name, namespace="attack")
    state = within(lambda: fabric.witness.actor(actor_id).state == DEAD)
    return seen(f"{name} is dead" if state else None, report, "it lives")


@attack("report a worker of the head as failed, so that its actor dies")
def fail_a_worker(fabric: AttackedFabric) -> Outcome:
    name, actor_id, address = canary_actor(fabric)
    report = fabric.attacker.machine.run(
        "nodes:fail_worker", worker_id=address.worker_id.hex(), node_id=address.node_id.hex(), address=address.ip_address,
        port=address.port,
    )  # fmt: skip
    state = within(lambda: fabric.witness.actor(actor_id).state == DEAD)
    return seen(f"the actor {name} was taken for dead" if state else None, report, "it lives")


def canary_actor(fabric: AttackedFabric) -> tuple[str, bytes, Any]:
    """A named actor on the head, made by the control node itself; its name, id and address."""
    name, witness = f"canary-{nonce()}", fabric.witness
    job_id = bytes(witness.jobs()[0].job_id)
    actor_id = control.create(witness.call, job_id, witness.head, name, f"/tmp/made-{name}")
    found = eventually(
        lambda: witness.actor(actor_id).state == ALIVE and witness.actor(actor_id), "the canary actor did not start"
    )
    return name, actor_id, found.address


# ── values and news ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@attack("read the GCS' key-value store (a planted secret)")
def read_values(fabric: AttackedFabric) -> Outcome:
    key, secret = f"secret-{nonce()}", secrets.token_hex(8)
    fabric.witness.kv_put(key.encode(), secret.encode(), b"canary")
    report = fabric.attacker.machine.run("store:read", key=key, namespace="canary")
    told = any(secret in value for value in report.facts["found"])
    return seen(f"the secret {secret} was read" if told else None, report, "nothing read")


@attack("overwrite and delete values in the GCS' key-value store")
def write_values(fabric: AttackedFabric) -> Outcome:
    key = f"value-{nonce()}"
    for name in (key, f"{key}-2"):
        fabric.witness.kv_put(name.encode(), b"ours", b"canary")
    report = fabric.attacker.machine.run("store:write", key=key, namespace="canary", value="theirs")
    left = [fabric.witness.kv_get(name.encode(), b"canary") for name in (key, f"{key}-2")]
    return seen(None if left == [b"ours", b"ours"] else f"the values are now {left}", report, "both as before")


@attack("listen to the control node's log lines (pub/sub)")
def hear_logs(fabric: AttackedFabric) -> Outcome:
    line = f"line-{nonce()}"
    with repeating(lambda: fabric.witness.publish_log(line)):
        report = fabric.attacker.machine.run("store:listen", channel="RAY_LOG_CHANNEL", look_for=line)
    return seen(f"a line of another worker: {report.evidence}" if report.succeeded else None, report, "the line was not heard")


@attack("listen to the states of everybody's actors (pub/sub)")
def hear_actors(fabric: AttackedFabric) -> Outcome:
    name = f"news-{nonce()}"
    heard = fabric.attacker.machine.begin("store:listen", channel="GCS_ACTOR_CHANNEL", look_for=name)
    witness = fabric.witness
    with suppress(grpc.RpcError):
        for _ in range(2):  # each start is several messages
            time.sleep(1.0)
            control.create(witness.call, bytes(witness.jobs()[0].job_id), witness.head, name, f"/tmp/made-{name}")
            name = f"{name}-again"
    report = heard()
    return seen(f"an actor's name and address: {report.evidence}" if report.succeeded else None, report, "nothing heard")


@contextmanager
def repeating(act: Callable[[], None]) -> Iterator[None]:
    """Act four times a second meanwhile."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(0.25):
            with suppress(grpc.RpcError):
                act()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
