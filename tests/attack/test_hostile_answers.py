"""A machine on offer answers the control side's own calls with lies: what plain Ray makes of each, and what Fabric leaves of it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attack.table import ANSWERS, Outcome, record
from tests.attack.test_hostile_receipts import FOREIGN, REPLAYED, WRONG_SHAPES
from tests.fixtures.lying import LyingCluster

pytestmark = pytest.mark.timeout(300)
BELIEVED = {
    WRONG_SHAPES: "a tensor of 3 columns where the model has 4",
    REPLAYED: "the receipt of the order before",
    FOREIGN: "the receipt of an order that another machine has",
}
FORGED = {"metadata": b"RAW".hex(), "data": b"forged".hex()}


@pytest.fixture(scope="module", params=["plain", "fabric"])
def cluster(request: pytest.FixtureRequest) -> Iterator[LyingCluster]:
    """Plain Ray, then Ray with the gate's outward direction between and the guard in the control process."""
    made = LyingCluster(is_checked=request.param == "fabric")
    yield made
    made.close()


class Asker:
    """One side: how a control process asks, and what the table is told."""

    def __init__(self, cluster: LyingCluster) -> None:
        self.cluster = cluster
        self.is_plain = not cluster.is_checked
        cluster.lie()
        if cluster.is_spent:
            cluster.new_control()
        if not self.is_plain:
            assert cluster.connect() == "connected"
        self.honest = self.ask("echo:hello")

    def ask(self, order: str, timeout_s: float = 30.0) -> Any:
        """What the process saw: a text, or {"error": …}, or {"died": …}."""
        return self.cluster.plain(order, timeout_s=timeout_s) if self.is_plain else self.cluster.send(order, timeout_s=timeout_s)

    def pickled(self, canary: Path) -> dict[str, str]:
        return dict(self.cluster.control.ask("pickled", canary=str(canary)))

    def record(self, attack: str, *, succeeded: bool, evidence: str) -> None:
        outcome = record(ANSWERS, attack, "plain" if self.is_plain else "fabric", succeeded=succeeded, evidence=evidence)
        self.check(outcome)

    def check(self, outcome: Outcome) -> None:
        """Fabric must hold; the table judges the rest."""
        if not self.is_plain:
            assert not outcome.succeeded, outcome.evidence


@pytest.fixture
def asker(cluster: LyingCluster) -> Asker:
    return Asker(cluster)


def shown(answer: Any) -> str:
    return answer if isinstance(answer, str) else ", ".join(f"{value}" for value in answer.values())[:160]


@pytest.mark.parametrize(
    ("attack", "order"),
    [
        ("return a hostile pickle", "pickle:{canary}"),
        ("raise a hostile exception", "raise:{canary}"),
        ("hide a pickle in a list of bytes", "list:{canary}"),
    ],
)
def test_code_in_an_answer(asker: Asker, attack: str, order: str, tmp_path: Path):
    canary = tmp_path / "canary"
    answer = asker.ask(order.format(canary=canary))
    ran = "its code ran in the control process" if canary.exists() else "no code ran"
    asker.record(attack, succeeded=canary.exists(), evidence=f"{ran}; the caller saw: {shown(answer)}")


def test_code_under_the_id_of_another_call(asker: Asker, tmp_path: Path):
    canary, (awaited,) = tmp_path / "canary", asker.cluster.control.ask("await_trusted").values()
    asker.cluster.lie("push_foreign_object", object_ids=[awaited], **asker.pickled(canary))
    asker.ask("echo:hello")
    answer = asker.cluster.control.ask("read_awaited", object_id=awaited)
    ran = "its code ran where a trusted actor's answer was awaited" if canary.exists() else "no code ran"
    asker.record(
        "a pickle under the id of a trusted actor's answer", succeeded=canary.exists(), evidence=f"{ran}; {shown(answer)}"
    )


def test_an_answer_in_place_of_another_actors(asker: Asker):
    (awaited,) = asker.cluster.control.ask("await_trusted").values()
    asker.cluster.lie("push_foreign_object", object_ids=[awaited], **FORGED)
    asker.ask("echo:hello")
    answer = asker.cluster.control.ask("read_awaited", object_id=awaited)
    asker.record(
        "answer a call (a ping, an order) that another actor was asked", succeeded=answer == "b'forged'",
        evidence=f"whoever waits for the other actor sees: {shown(answer)}",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("attack", "lie"),
    [("answer with a generator's many values", "push_dynamic"), ("answer under an id of the wrong length", "push_short_id")],
)
def test_nonsense_in_an_answer(asker: Asker, attack: str, lie: str):
    asker.cluster.lie(lie)
    answer = asker.ask("echo:hello")
    died = isinstance(answer, dict) and "died" in answer
    what = f"the control process died (status {answer['died']})" if died else f"the caller saw: {shown(answer)}; it goes on"
    asker.record(attack, succeeded=died, evidence=what)


def test_an_answer_that_is_claimed_to_be_10_gb(asker: Asker):
    asker.cluster.lie("push_claimed", bytes=10 * 10**9)
    began = time.monotonic()
    answer = asker.ask("echo:hello", timeout_s=4.0)
    waited = isinstance(answer, dict) and answer.get("error") == "TimeoutError"
    asker.record(
        "claim an answer of 10 GB that lies elsewhere", succeeded=waited,
        evidence=f"{'whoever asks waits for ever' if waited else shown(answer)} ({time.monotonic() - began:.1f} s)",
    )  # fmt: skip


def test_an_answer_that_is_200_mb(asker: Asker):
    before_mib = asker.cluster.control.ask("peak_mib")
    asker.cluster.lie("push_large", bytes=200_000_000)
    answer = asker.ask("echo:hello")
    grown = asker.cluster.control.ask("peak_mib") - before_mib
    asker.record("answer with 200 MB", succeeded=grown > 100, evidence=f"the process grew by {grown} MiB; {shown(answer)[:60]}")


def _lease(asker: Asker) -> Any:
    """Have a new actor placed on the machine. Whatever comes of it, the process that asked is no good for another question."""
    asker.cluster.is_spent = True
    if asker.is_plain:
        asker.cluster.control.ask("forget_plain")
        return asker.ask("where", timeout_s=6.0)
    return asker.cluster.connect()


def test_a_lease_that_names_a_process_of_the_control_node(asker: Asker):
    victim = asker.cluster.control.ask("trusted_process")
    asker.cluster.lie("lease_names", address=victim["address"])
    answer = _lease(asker)
    dead = not Path(f"/proc/{victim['pid']}").exists()
    what = "the GCS handed the actor to a process of the control node, which died of it" if dead else "that process goes on"
    asker.record(
        "answer a lease with a worker of the control node", succeeded=dead, evidence=f"{what}; the caller saw: {shown(answer)}"
    )


def test_a_lease_that_sends_to_another_raylet(asker: Asker):
    asker.cluster.is_spent = True
    asker.cluster.lie("lease_spills", address=asker.cluster.control.ask("raylet"))
    placed = asker.cluster.control.ask("place_unpinned", node_id=asker.cluster.node_id)
    elsewhere = placed == asker.cluster.control.ask("itself")["node_id"]
    asker.record(
        "answer a lease with a spillback to the head's raylet", succeeded=elsewhere,
        evidence="the actor that was to run there runs on the head" if elsewhere else f"it runs nowhere else ({placed or 'nowhere'})",
    )  # fmt: skip


def test_an_actor_of_the_control_side_is_taken(asker: Asker):
    asker.cluster.is_spent = True
    asker.cluster.lie("lease_takes")
    nodes = asker.cluster.control.ask("place_elsewhere", count=12)
    taken = nodes.count(asker.cluster.node_id)
    asker.record(
        "take actors that belong on the control node",
        succeeded=taken > 0,
        evidence=f"{taken} of {len(nodes)} were made on the machine",
    )


@pytest.mark.parametrize("cluster", ["plain"], indirect=True)
@pytest.mark.parametrize(("attack", "answered"), list(BELIEVED.items()))
def test_what_plain_ray_cannot_know(asker: Asker, attack: str, answered: str):
    # The other half, where an order and its receipt mean something, is in test_hostile_receipts.py.
    answer = asker.ask(f"echo:{answered}")
    came = answer == repr(answered.encode())
    asker.record(attack, succeeded=came, evidence=f"ray.get returned it as it was sent: {shown(answer)}")


def test_an_id_that_ends_the_gcs(asker: Asker):  # the last one: plainly nothing is left of the cluster
    asker.cluster.lie("lease_short_id")
    answer = _lease(asker)
    asker.cluster.lie()
    alive = asker.cluster.control.ask("nodes_alive", timeout_s=4.0)
    died = not isinstance(alive, int)
    what = (
        "the GCS died, and the cluster with it" if died else f"the GCS goes on ({alive} nodes); the caller saw: {shown(answer)}"
    )
    asker.record("answer a lease with an id of the wrong length", succeeded=died, evidence=what)
