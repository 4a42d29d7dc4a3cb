"""What every attack on the gate is made of: a row, how its effect is waited for and told, and how what it left is removed."""

import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from ray.core.generated import gcs_service_pb2

from tests.attack.fabrics import AttackedFabric
from tests.attack.machines import Report
from tests.attack.table import Outcome

EFFECT_S = 3.0
"""How long after the last answer an effect may still show."""
EVIDENCE_CHARACTERS_MAX = 230
Run = Callable[[AttackedFabric], Outcome]


@dataclass(frozen=True, slots=True)
class Attack:
    """One row of the table."""

    name: str
    run: Run


def adding_to(attacks: list[Attack]) -> Callable[[str], Callable[[Run], Run]]:
    """A decorator that names an attack and adds it to the list."""

    def attack(name: str) -> Callable[[Run], Run]:
        def add(run: Run) -> Run:
            attacks.append(Attack(name, run))
            return run

        return add

    return attack


def seen(effect: str | None, report: Report, nothing: str) -> Outcome:
    """The outcome is the effect; what the attacker's program thinks of it is only told."""
    if effect:
        return Outcome(True, effect)
    said = re.sub(r"b'[^']*\\x[^']*'", "…", report.evidence)  # keys made of random bytes
    return Outcome(False, f"{said[:EVIDENCE_CHARACTERS_MAX]}; {nothing}")


def nonce() -> str:
    """Words that nobody else uses in this run."""
    return secrets.token_hex(4)


def within(question: Callable[[], Any], seconds: float = EFFECT_S) -> Any:
    """The answer as soon as it is true, else the last one."""
    deadline = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def content(path: Path) -> str | None:
    """What a canary file says; None when there is none (yet)."""
    with suppress(OSError):
        return path.read_text().strip() or None
    return None


def registered(fabric: AttackedFabric, report: Report, claim: Callable[[Any], bool]) -> Any | None:
    """The live node that carries the claim; it is removed again, so that it stands in nobody's way."""
    node_id = bytes.fromhex(report.facts["node_id"])
    node = next((n for n in fabric.witness.alive() if n.node_id == node_id), None)
    if node is not None:
        with suppress(grpc.RpcError):
            request = gcs_service_pb2.UnregisterNodeRequest(node_id=node_id)
            fabric.witness.call("NodeInfoGcsService/UnregisterNode", request)
    return node if node is not None and claim(node) else None
